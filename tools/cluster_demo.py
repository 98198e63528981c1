"""The demo on a cluster that runs: `python -m tools.cluster_demo http://admin:PASSWORD@127.0.0.1:PORT [--folder FOLDER]`.

`tools.cluster demo` calls it with what a worker finds in its environment, so that it reads the cluster's own catalog and store.
The folder, where it is not the usual one, is for the commands that are told in the end.
"""

from __future__ import annotations

import shlex
import sys

from skillsengine.airflow.client import AirflowError
from skillsengine.cli.demo import run_demo_on
from skillsengine.cli.result import Commands
from skillsengine.settings import load_settings

_CLUSTER = ".venv/bin/python -m tools.cluster"


def main() -> None:
    address, *folder = sys.argv[1:]
    again, stop = (shlex.join([*_CLUSTER.split(), what, *folder]) for what in ("demo", "down"))
    try:
        run_demo_on(lambda: address, load_settings(), commands=Commands(again, stop))
    except AirflowError as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
