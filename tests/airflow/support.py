"""Small projects, and what Airflow hands to a task."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

SPEC = """\
name: {name}
schedule: none
data:
  source: data/ads/{{partition}}.jsonl
"""


def write_spec(project: Path, name: str, more: str = "", *, folder: str = "") -> Path:
    """A spec that compiles, with `more` at its end."""
    path = project / "experiments" / folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SPEC.format(name=name) + more, encoding="utf-8")
    return path


class TaskInstance:
    """Keeps XComs, and knows the states of the run's tasks. It is on its last attempt."""

    try_number, max_tries, map_index = 1, 0, -1

    def __init__(self, dag_id: str, states: dict[str, str] | None = None) -> None:
        self.dag_id, self.states = dag_id, states or {}
        self.xcoms: dict[tuple[str | None, str], Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[None, key] = value

    def xcom_pull(
        self, task_ids: str | None = None, key: str = "return_value", *, map_indexes: int | None = None
    ) -> Any:
        return self.xcoms.get((task_ids if map_indexes is None else f"{task_ids}_{map_indexes}", key))

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        return {run_ids[0]: self.states}


def make_context(
    dag_id: str = "tiny",
    *,
    run_id: str = "manual__1",
    run_type: str = "manual",
    conf: dict[str, Any] | None = None,
    params: dict[str, Any] | None = None,
    key: str | None = None,
    states: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The parts of a task context that the tasks read.

    `params` are those of the retrain form, and all of `conf`, as Airflow fills it in.
    """
    form = {"partition": None, "limit": None, "force": False} | (params or {}) | (conf or {})
    run = SimpleNamespace(dag_id=dag_id, run_id=run_id, run_type=run_type, conf=conf or {}, partition_key=key)
    return {"dag_run": run, "params": form, "ti": TaskInstance(dag_id, states)}
