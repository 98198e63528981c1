"""Runs one part of Airflow (`python -m skillsengine.airflow.part scheduler ...`) so that neither it nor any process
it forks outlives the supervisor."""

from __future__ import annotations

import importlib
import os
import sys

# What every task needs. Tasks are forks of forks of the scheduler: loaded here once, it is there when a task begins,
# which saves each of them some seconds.
_PRELOADED = {
    "scheduler": (
        "airflow.sdk.execution_time.task_runner",
        "airflow.dag_processing.dagbag",
        "skillsengine.airflow.dag",
        "skillsengine.pipeline.run",
    )
}


def main() -> None:
    from skillsengine.airflow.process import Orphaned, die_with_parent, forks_die_with_parent
    from skillsengine.settings import SUPERVISOR

    try:
        die_with_parent(int(os.environ[SUPERVISOR]))
    except Orphaned:
        sys.exit(1)
    forks_die_with_parent()
    for module in _PRELOADED.get(sys.argv[1], ()):
        importlib.import_module(module)
    from airflow.__main__ import main as airflow

    sys.argv[0] = "airflow"
    airflow()


if __name__ == "__main__":
    main()
