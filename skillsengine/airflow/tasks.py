"""The operators of an experiment's DAGs. They carry no template fields: a `{{…}}` in a spec stays what it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import Asset, AssetAlias, BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from skillsengine.airflow import work
from skillsengine.airflow.form import Kind
from skillsengine.airflow.process import die_with_parent
from skillsengine.airflow.progress import ProgressLog
from skillsengine.airflow.request import read_request
from skillsengine.sources.errors import SourceUnavailable
from skillsengine.spec.masking import mask_shapes
from skillsengine.spec.schema import Experiment, format_duration

if TYPE_CHECKING:
    from skillsengine.pipeline.run import Run

T = TypeVar("T")
log = logging.getLogger(__name__)

ERROR_KEY = "error"
"""XCom in which a failed task leaves its text for the report."""
_ERROR_CHARS = 1000


class ExperimentTask(BaseOperator):  # type: ignore[misc]  # airflow ships no types
    """One task: opens the run, does its part, leaves a small summary as XCom."""

    ui_color = "#e8f4ec"

    def __init__(self, *, experiment: Experiment, project: str, kind: Kind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._experiment, self._project, self._kind = experiment, project, kind
        # Known when the worker parses the file, so that a supervisor that dies before the task begins is noticed.
        self._parent = os.getppid()

    def execute(self, context: Mapping[str, Any]) -> Any:
        die_with_parent(self._parent)
        return attempt(lambda: self._work(context), context)

    def _work(self, context: Mapping[str, Any]) -> dict[str, Any]:
        run = self._open(context)
        for note in run.sources.notes:
            log.info("note: %s", note)
        for override in run.overrides:
            log.info("overridden for this run: %s", override)
        result = self._do(run, ProgressLog(log))
        for line in work.describe(result):
            log.info("%s", line)
        return result

    def _open(self, context: Mapping[str, Any]) -> Run:
        request = read_request(context, self._experiment, self._kind)
        return work.open_for(request, self._experiment, work.settings_for(self._project), self._kind)

    def _do(self, run: Run, observer: work.Observer) -> dict[str, Any]:
        tasks = work.EVALUATIONS if self._kind == "evaluations" else {**work.RETRAIN, **work.PUSH, **work.SWEEP}
        return tasks[self.task_id](run, observer)


class TrialsTask(ExperimentTask):
    """`trials` of a sweep: the ids of the run's trials, which `finetune` is mapped over.

    Those of the run as it was pinned, and not those that stand in the spec by now.
    """

    def execute(self, context: Mapping[str, Any]) -> list[str]:
        trials: list[str] = super().execute(context)["trials"]
        return trials


class TrialTask(ExperimentTask):
    """`finetune` of a sweep: one trial. One that diverged is skipped: the others go on without it."""

    def __init__(self, *, trial: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._trial = trial
        self.tried = trial.partition("[")[2].removesuffix("]") or trial

    def execute(self, context: Mapping[str, Any]) -> Any:
        result = super().execute(context)
        for lost in result.get("diverged", ()):
            raise AirflowSkipException(lost["reason"])
        return result

    def _do(self, run: Run, observer: work.Observer) -> dict[str, Any]:
        return work.trial(run, self._trial, observer)


class RegisterTask(ExperimentTask):
    """`register`: a new version is an asset event; a cached one and a smoke test are none."""

    def _work(self, context: Mapping[str, Any]) -> dict[str, Any]:
        result = super()._work(context)
        model = self._experiment.model_name
        for step in result["steps"]:
            if not step["cached"]:
                event = context["outlet_events"][model_alias(model)]
                event.add(
                    Asset(name=model_uri(model), uri=model_uri(model)),
                    extra={"version": step["summary"].get("version")},
                )
        return result


def model_uri(model: str) -> str:
    """The asset that downstream DAGs schedule themselves on."""
    return f"skillsengine://{model}"


def model_alias(model: str) -> AssetAlias:
    return AssetAlias(name=f"skillsengine:{model}")


class WaitForData(BaseSensorOperator):  # type: ignore[misc]  # airflow ships no types
    """Waits until the run's partition has data, without holding a worker slot meanwhile.

    Only a scheduled run waits: who triggers or backfills by hand is told at once by the next task that there is no
    data.
    """

    ui_color = "#f4f1e4"

    def __init__(self, *, experiment: Experiment, project: str, kind: Kind, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", timeout=experiment.data.wait, **kwargs)
        self._experiment, self._project, self._kind = experiment, project, kind
        self._parent = os.getppid()

    def execute(self, context: Mapping[str, Any]) -> None:
        die_with_parent(self._parent)
        try:
            super().execute(context)
            return
        except AirflowSensorTimeout:
            text = self._too_late(context)
        raise failure(text, context)

    def poke(self, context: Mapping[str, Any]) -> bool:
        try:
            return self._there(context)
        except SourceUnavailable as error:
            # Data that is waited for for days outlasts a store that is away for an hour.
            log.warning("%s Looking again in %.0f s.", error, self.poke_interval)
            return False
        except Exception as error:
            if not work.permanent(error):
                raise
            text = str(error)
        raise failure(text, context)

    def _there(self, context: Mapping[str, Any]) -> bool:
        request = read_request(context, self._experiment, self._kind)
        if request.trigger != "scheduled" or request.partition is None:
            return True
        if request.partition in work.partitions_there(self._experiment, work.settings_for(self._project)):
            return True
        log.info(
            "no data for %s at %s yet; looking again in %.0f s, for %s at most",
            request.partition,
            self._where(request.partition),
            self.poke_interval,
            format_duration(self._experiment.data.wait),
        )
        return False

    def _where(self, partition: str) -> str:
        from skillsengine.sources.find import place_of

        return place_of(self._experiment.data, partition)

    def _too_late(self, context: Mapping[str, Any]) -> str:
        partition = str(read_request(context, self._experiment, self._kind).partition)
        return (
            f"no data for {partition} at {self._where(partition)} after waiting for "
            f"{format_duration(self._experiment.data.wait)}. Put the data there and clear this task to go on, "
            "or raise data.wait in the spec. This task's log tells what each look has found."
        )


def attempt(do: Callable[[], T], context: Mapping[str, Any]) -> T:
    """What `do` gives back; its error stays for the report, and one that no retry can heal ends the task for good."""
    try:
        return do()
    except Exception as error:
        text = str(error) or type(error).__name__
        if not work.permanent(error):
            remember(text, context)
            raise
    raise failure(text, context)


def failure(text: str, context: Mapping[str, Any]) -> AirflowFailException:
    """What ends a task for good, with `text` in the log and in an XCom for the report.

    Raise it outside of an `except` block: Airflow prints what an exception was raised during, and the text says it all.
    """
    remember(text, context)
    log.error("%s", text)
    return AirflowFailException(text)


def remember(text: str, context: Mapping[str, Any]) -> None:
    """Leave what went wrong for the report. An address with a password, as drivers like to quote, is masked."""
    context["ti"].xcom_push(key=ERROR_KEY, value=mask_shapes(text)[:_ERROR_CHARS])
