"""The last task of every run: it runs in any case, closes the run in the catalog, writes the run's note and the version's
report, and tells whom the spec names.

It is a teardown, so it does not decide the run's state: a failed `finetune` is a failed run. It is also what tells a failure,
rather than Airflow's callback of a failed run: that one runs in the DAG processor, once, and its log is nobody's; this one is
a task with retries, and it runs after a task whose process or worker died too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from skillsengine.airflow import task_links, work
from skillsengine.airflow.client import AirflowClient, AirflowError
from skillsengine.airflow.form import Kind
from skillsengine.airflow.notify.address import airflow_address
from skillsengine.airflow.notify.message import About, run_url
from skillsengine.airflow.notify.outcome import tell
from skillsengine.airflow.request import read_request, trigger_of
from skillsengine.airflow.tasks import ERROR_KEY, last_attempt
from skillsengine.scoring.wording import with_half
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment

if TYPE_CHECKING:
    from skillsengine.pipeline.run import Run

log = logging.getLogger(__name__)

_OVER = ("success", "failed", "skipped", "upstream_failed", "removed")
"""States of Airflow's tasks that nothing follows by itself."""


class ReportTask(BaseOperator):  # type: ignore[misc]  # airflow ships no types
    """Says what came of the run: in the catalog, in this task's log, where Airflow's address is known on the run, and
    over the connection that the spec names."""

    ui_color = "#e6e9f4"
    operator_extra_links = task_links.ALL

    def __init__(self, *, experiment: Experiment, project: str, kind: Kind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.made: dict[str, str] = {}
        self._experiment, self._project, self._kind = experiment, project, kind

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        return self._say(context, *self._outcome(context, self._states(context)))

    def say_again(
        self, context: Mapping[str, Any], task: str, state: str, result: Mapping[str, Any] | None = None
    ) -> None:
        """Once more, from `task`, which ends with `state` and `result`: somebody cleared it and not this one (Airflow's "only
        failed tasks"), so that the run would stay what it was called before. Nothing where this one, or another, is still to
        come. Never a reason to fail."""
        try:
            states = {**self._states(context), task: state}
            if states.get(self.task_id) in _OVER and all(found in _OVER for found in states.values()):
                self._say(context, *self._outcome(context, states), result)
        except Exception:
            log.exception("the run is not told anew; clear its task `%s` to have that", self.task_id)

    def _say(
        self, context: Mapping[str, Any], state: str, error: str | None, result: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        settings = work.settings_for(self._project)
        # Airflow adds to the attempts that a task has when somebody clears it, not when it tries again by itself.
        cleared = context["ti"].max_tries
        try:
            run, note = self._close(context, settings, state, error, result)
        except Exception as failed:
            # The catalog is away, say. Who waits for a word gets it after the last attempt, whatever came of the report.
            if last_attempt(context["ti"]):
                tell(
                    self._experiment,
                    about_run(self._experiment, context, None),
                    error or f"{self.task_id}: {failed}",
                    None,
                    cleared,
                )
            raise
        log.info("%s", note)
        if untold := tell(self._experiment, about_run(self._experiment, context, run), error, run, cleared):
            note = f"{note} · {untold}"
            if run is not None:
                run.catalog.finish_run(run.id, state, note, error)
        put_note(context["dag_run"].dag_id, context["dag_run"].run_id, note, settings)
        place = leave_report(run) if run is not None and self._kind == "retrain" else None
        if run is not None and place is not None:
            self.made = task_links.version_links(run.experiment.name, int(PurePosixPath(place).stem), report=True)
        return {"state": state, "note": note} | ({"report": place} if place else {})

    def _states(self, context: Mapping[str, Any]) -> dict[str, str]:
        ti, run_id = context["ti"], context["dag_run"].run_id
        found: Mapping[str, Any] = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id]).get(run_id, {})
        return {name: str(state) for name, state in found.items()}

    def _outcome(self, context: Mapping[str, Any], states: Mapping[str, str]) -> tuple[str, str | None]:
        """(`success` or `failed`, what the first failed task said)."""
        ti = context["ti"]
        order = [task.task_id for task in self.dag.topological_sort() if task.task_id != self.task_id]
        for task in order:
            instances: list[tuple[int | None, str]] = [*_mapped(states, task)] or [(None, str(states.get(task)))]
            for index, state in instances:
                if state == "failed":
                    name, said = _said(ti, task, index)
                    return "failed", f"{name}: {said or 'see its log; the process was ended before it could say why'}"
        for task in order:
            mapped = _mapped(states, task)
            # A trial that diverged is skipped, and `select` has gone on without it.
            undone = [state for _, state in mapped if state not in ("success", "skipped")]
            if undone or (not mapped and str(states.get(task)) != "success"):
                return "failed", f"{task}: did not run ({undone[0] if undone else states.get(task)})"
        return "success", None

    def _close(
        self,
        context: Mapping[str, Any],
        settings: Settings,
        state: str,
        error: str | None,
        result: Mapping[str, Any] | None,
    ) -> tuple[Run | None, str]:
        """Close the run in the catalog, unless the request or the data never let it be opened; and its note."""
        from skillsengine.pipeline.run import finish_run, with_overrides

        try:
            request = read_request(context, self._experiment, self._kind)
            run = work.open_for(request, self._experiment, settings, self._kind)
        except Exception as failed:
            if not work.permanent(failed):
                raise
            return None, f"{state}: {error or failed}"
        note = finish_run(run, state, error)
        if self._kind == "evaluations" and state == "success":
            scored = result or context["ti"].xcom_pull(task_ids="score") or {}
            note = with_overrides(run, self._scores(scored, run.partition))
            run.catalog.finish_run(run.id, state, note)
        return run, note

    def _scores(self, result: Mapping[str, Any], partition: str) -> str:
        from skillsengine.pipeline.drift import label_free, phrase
        from skillsengine.pipeline.rejected import describe

        if "cached" in result:
            return work.filled(result)
        cells: Mapping[str, Mapping[str, Any]] = result.get("cells", {})
        shown = [
            f"{name} F1 {with_half(metrics)}" if "f1" in metrics else f"{name} {label_free(metrics)}"
            for name, metrics in cells.items()
        ]
        shown += [f"{name} not scored: it was trained on these ads" for name in result.get("not_scored", {})]
        drift = [f"{name}: {words}" for name, m in cells.items() if (words := phrase(m, self._experiment.drift))]
        rows = [describe(counted) for counted in result.get("rejected", {}).values()]
        return " · ".join(
            [f"{partition}: {', '.join(shown) or result.get('note') or 'nothing was scored'}", *drift, *rows]
        )


def about_run(experiment: Experiment, context: Mapping[str, Any], run: Run | None) -> About:
    """What a message of a run is about; `run` is None where it never opened."""
    dag_run = context["dag_run"]
    asked = dag_run.partition_key or context["params"].get("partition")
    partition = run.partition if run is not None else asked
    url = run_url(airflow_address(), dag_run.dag_id, dag_run.run_id)
    dated = experiment.data.dated
    return About(
        experiment.name, dag_run.dag_id, dag_run.run_id, trigger_of(dag_run), partition if dated else None, url
    )


def _mapped(states: Mapping[str, Any], task: str) -> list[tuple[int, str]]:
    """(index, state) of each instance of a mapped task, as Airflow names them: `finetune_0`; none of any other task."""
    return sorted(
        (int(found[1]), str(state))
        for name, state in states.items()
        if (found := re.fullmatch(rf"{re.escape(task)}_(\d+)", name))
    )


def _said(ti: Any, task: str, index: int | None) -> tuple[str, str | None]:
    """(the failed task's name, what it said); of a mapped one the trial's."""
    if index is None:
        return task, ti.xcom_pull(task_ids=task, key=ERROR_KEY)
    trials = ti.xcom_pull(task_ids="trials") or []
    name = trials[index] if index < len(trials) else f"{task}[{index}]"
    return name, ti.xcom_pull(task_ids=task, key=ERROR_KEY, map_indexes=index)


def leave_report(run: Run) -> str | None:
    """Write the HTML report of the run's version into the store, and tell where. None where the run has registered none.

    Never a reason to fail: the run is over, and `skillsengine report` can be asked again.
    """
    try:
        from skillsengine.pipeline.shown import show_report
        from skillsengine.reporting.report import keep_report, make_report

        version = run.catalog.find_version(run.experiment.model_name, run.plan.adapter.digest)
        if version is None or version.state != "ready":
            return None
        page = make_report(version, run.catalog, run.store, run.settings)
        place = keep_report(run.store, version, page)
        run.catalog.set_run_data(run.id, report=place)
    except Exception:
        model = run.experiment.model_name
        log.exception(
            "the report of this run's version is not written; `skillsengine report %s@latest` tries again", model
        )
        return None
    log.info("report: %s", place)
    show_report(version, run.experiment, run.settings, run.run_id, page)
    return place


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
