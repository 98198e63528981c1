"""Runs one part of Airflow (`python -m skillsengine.airflow.part scheduler ...`) so that neither it nor any process
it forks outlives the supervisor."""

from __future__ import annotations

import os
import sys


def main() -> None:
    from skillsengine.airflow.process import Orphaned, die_with_parent, forks_die_with_parent
    from skillsengine.settings import SUPERVISOR

    try:
        die_with_parent(int(os.environ[SUPERVISOR]))
    except Orphaned:
        sys.exit(1)
    forks_die_with_parent()
    if sys.argv[1] == "scheduler":
        from skillsengine.airflow.preload import preload

        preload()
    from airflow.__main__ import main as airflow

    sys.argv[0] = "airflow"
    airflow()


if __name__ == "__main__":
    main()
