"""The operators of an experiment's DAGs. They carry no template fields: a `{{…}}` in a spec stays what it is."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import Asset, AssetAlias, BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
)

from skillsengine.airflow import task_links, work
from skillsengine.airflow.form import Kind
from skillsengine.airflow.process import die_with_parent
from skillsengine.airflow.progress import ProgressLog
from skillsengine.airflow.request import read_request
from skillsengine.masking import mask_shapes
from skillsengine.sources.errors import SourceUnavailable
from skillsengine.spec.schema import Experiment, format_duration
from skillsengine.stages.contract import HandedOver

if TYPE_CHECKING:
    from skillsengine.pipeline.run import Run
    from skillsengine.storage.catalog import VersionRow

T = TypeVar("T")
log = logging.getLogger(__name__)

REPORT = "report"
"""The task that ends every run."""
ERROR_KEY = "error"
"""XCom in which a failed task leaves its text for the report."""
_ERROR_CHARS = 1000
_OF_A_VERSION = ("register", "gate", "promote", "push")
"""Tasks that are about the version that the run has registered."""


class ExperimentTask(BaseOperator):  # type: ignore[misc]  # airflow ships no types
    """One task: opens the run, does its part, leaves a small summary as XCom."""

    ui_color = "#e8f4ec"
    operator_extra_links = task_links.ALL

    def __init__(self, *, experiment: Experiment, project: str, kind: Kind, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._experiment, self._project, self._kind = experiment, project, kind
        self.made: dict[str, str] = {}
        # Known when the worker parses the file, so that a supervisor that dies before the task begins is noticed.
        self._parent = os.getppid()

    def execute(self, context: Mapping[str, Any]) -> Any:
        die_with_parent(self._parent)
        try:
            result = attempt(lambda: self._work(context), context)
        except AirflowRescheduleException:
            raise  # it is not over
        except Exception as error:
            if isinstance(error, AirflowFailException) or last_attempt(context["ti"]):
                self._say_again(context, "failed")
            raise
        self._say_again(context, "success", result)
        return result

    def _say_again(self, context: Mapping[str, Any], state: str, result: Mapping[str, Any] | None = None) -> None:
        index = context["ti"].map_index
        name = self.task_id if index is None or index < 0 else f"{self.task_id}_{index}"
        if self.dag is not None and self.dag.has_task(REPORT):
            self.dag.get_task(REPORT).say_again(context, name, state, result)

    def _work(self, context: Mapping[str, Any]) -> dict[str, Any]:
        run = self._open(context)
        for note in run.sources.notes:
            log.info("note: %s", note)
        for override in run.overrides:
            log.info("overridden for this run: %s", override)
        result = self._do(run, ProgressLog(log))
        for line in work.describe(result):
            log.info("%s", line)
        self._link(run, result)
        return result

    def _link(self, run: Run, result: Mapping[str, Any]) -> None:
        for step in result.get("steps", ()):
            if "wandb" in step:
                self.made[task_links.TRACKED] = step["wandb"]
        version = made_version(run) if self.task_id in _OF_A_VERSION else None
        if version is not None:
            self.made |= task_links.version_links(run.experiment.name, version.number)

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

    def _do(self, run: Run, observer: work.Observer) -> dict[str, Any]:
        result = super()._do(run, observer)
        self._scores = {} if (version := made_version(run)) is None else _headline(version)
        return result

    def _work(self, context: Mapping[str, Any]) -> dict[str, Any]:
        result = super()._work(context)
        model = self._experiment.model_name
        for step in result["steps"]:
            if not step["cached"]:
                event = context["outlet_events"][model_alias(model)]
                event.add(
                    Asset(name=model_uri(model), uri=model_uri(model)),
                    extra={"version": step["summary"].get("version")} | self._scores,
                )
        return result


def made_version(run: Run) -> VersionRow | None:
    """The version that the run registers, once it has; None in a smoke test."""
    return run.catalog.find_version(run.experiment.model_name, run.plan.adapter.digest)


def _headline(version: VersionRow) -> dict[str, Any]:
    """What a DAG behind the asset may decide by: F1 with its 95% interval, where the partition has labels."""
    scores = version.metrics.get("adapter", {})
    shown = {name: scores[name] for name in ("f1", "f1_low", "f1_high") if name in scores}
    return {"partition": version.partition, **shown}


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


def last_attempt(ti: Any) -> bool:
    return bool(ti.try_number > ti.max_tries)


def attempt(do: Callable[[], T], context: Mapping[str, Any]) -> T:
    """What `do` gives back; its error stays for the report, and one that no retry can heal ends the task for good.

    What was handed over is scheduled again, at once, for whichever worker comes first: that counts as no attempt.
    """
    try:
        return do()
    except HandedOver as error:
        log.info("%s", error)
        again = AirflowRescheduleException(datetime.now(UTC))
    except Exception as error:
        text = str(error) or type(error).__name__
        if not work.permanent(error):
            remember(text, context)
            raise
        again = failure(text, context)
    raise again


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
