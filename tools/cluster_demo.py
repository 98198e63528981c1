"""The demo on a cluster that runs: `python -m tools.cluster_demo http://admin:PASSWORD@127.0.0.1:PORT`.

`tools.cluster demo` calls it with what a worker finds in its environment, so that it reads the cluster's own catalog and store.
"""

from __future__ import annotations

import sys

from skillsengine.airflow.client import AirflowError
from skillsengine.cli.demo import run_demo_on
from skillsengine.settings import load_settings


def main() -> None:
    (address,) = sys.argv[1:]
    try:
        run_demo_on(lambda: address, load_settings())
    except AirflowError as error:
        sys.exit(f"demo: {error}")


if __name__ == "__main__":
    main()
