"""The last task of every run: it runs in any case, closes the run in the catalog and writes the run's note.

It is a teardown, so it does not decide the run's state: a failed `finetune` is a failed run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseOperator

from skillsengine.airflow import work
from skillsengine.airflow.client import AirflowClient, AirflowError
from skillsengine.airflow.request import Kind, read_request
from skillsengine.airflow.tasks import ERROR_KEY
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment

log = logging.getLogger(__name__)


class ReportTask(BaseOperator):  # type: ignore[misc]  # airflow ships no types
    """Says what came of the run: in the catalog, in this task's log and, where Airflow's address is known, on the
    run."""

    ui_color = "#e6e9f4"

    def __init__(self, *, experiment: Experiment, project: str, kind: Kind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._experiment, self._project, self._kind = experiment, project, kind

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        settings = work.settings_for(self._project)
        state, error = self._outcome(context)
        note = self._close(context, settings, state, error)
        log.info("%s", note)
        put_note(context["dag_run"].dag_id, context["dag_run"].run_id, note, settings)
        return {"state": state, "note": note}

    def _outcome(self, context: Mapping[str, Any]) -> tuple[str, str | None]:
        """(`success` or `failed`, what the first failed task said)."""
        ti, run_id = context["ti"], context["dag_run"].run_id
        states: Mapping[str, Any] = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id]).get(run_id, {})
        order = [task.task_id for task in self.dag.topological_sort() if task.task_id != self.task_id]
        failed = [task for task in order if str(states.get(task)) == "failed"]
        if failed:
            said = ti.xcom_pull(task_ids=failed[0], key=ERROR_KEY)
            return "failed", f"{failed[0]}: {said or 'see its log; the process was ended before it could say why'}"
        undone = [task for task in order if str(states.get(task)) != "success"]
        return ("failed", f"{undone[0]}: did not run ({states.get(undone[0])})") if undone else ("success", None)

    def _close(self, context: Mapping[str, Any], settings: Settings, state: str, error: str | None) -> str:
        """Close the run in the catalog, unless the request or the data never let it be opened."""
        from skillsengine.pipeline.run import finish_run

        try:
            request = read_request(context, self._experiment, self._kind)
            run = work.open_for(request, self._experiment, settings, self._kind)
        except Exception as failed:
            if not work.permanent(failed):
                raise
            return f"{state}: {error or failed}"
        note = finish_run(run, state, error)
        if self._kind == "evaluations" and state == "success":
            note = self._scores(context, run.partition)
            run.catalog.finish_run(run.id, state, note)
        return note

    def _scores(self, context: Mapping[str, Any], partition: str) -> str:
        result = context["ti"].xcom_pull(task_ids="score") or {}
        shown = [
            f"{name} F1 {metrics['f1']:.3f}" for name, metrics in result.get("cells", {}).items() if "f1" in metrics
        ]
        return f"{partition}: {', '.join(shown) or result.get('note') or 'no labels to score against'}"


def put_note(dag_id: str, run_id: str, note: str, settings: Settings) -> None:
    """Write the run's note through Airflow's API, where its address is known. Never a reason to fail: the log has it
    too."""
    if not settings.airflow_url:
        log.info("SKILLSENGINE_AIRFLOW_URL is not set: the note stands in this log and in the catalog only")
        return
    try:
        with AirflowClient(settings.airflow_url) as client:
            client.set_note(dag_id, run_id, note)
    except (AirflowError, OSError) as error:
        log.warning("the note stands in this log and in the catalog only: %s", error)
