"""What a DAG run asks for: the trigger form's params, the partition key, and who started it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from airflow.sdk import Param

from skillsengine.sources.keys import KEY_PATTERN, key_of, parse_key
from skillsengine.spec.schema import Experiment, Period

Trigger = Literal["scheduled", "manual", "backfill", "asset"]
Kind = Literal["retrain", "evaluations"]

_EXAMPLES: Mapping[Period, str] = {"day": "2026-06-30", "week": "2026-W26", "month": "2026-06", "quarter": "2026-Q2"}
_FORMS = {"limit": "a whole number above 0", "force": "true or false"}
TRIGGERS: Mapping[str, Trigger] = {
    "scheduled": "scheduled",
    "backfill": "backfill",
    "asset_triggered": "asset",
    "asset_materialization": "asset",
}
"""Airflow's kinds of runs -> ours; what is not in here was started by hand."""


class RequestError(Exception):
    """The run was triggered with something that the DAG does not understand; the text says what and the mend."""


@dataclass(frozen=True)
class Request:
    """What one DAG run asks for."""

    dag_id: str
    run_id: str
    trigger: Trigger
    partition: str | None = None
    """None takes the newest complete partition that has data, or all of a static source."""
    limit: int | None = None
    force: bool = False
    versions: tuple[str, ...] = ()
    """Evaluations only: aliases or numbers; empty takes the spec's."""


def retrain_params(experiment: Experiment) -> dict[str, Any]:
    """The form of the retrain DAG."""
    return _partition_param(experiment) | {
        "limit": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Smoke test",
            description="At most so many rows of a partition, 5 optimizer steps, 4 scored ads; nothing is registered. "
            "Empty: everything.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Train again",
            description="Fine-tune although the adapter is there already; both stay.",
        ),
    }


def evaluation_params(experiment: Experiment) -> dict[str, Any]:
    """The form of the evaluations DAG."""
    return _partition_param(experiment) | {
        "versions": Param(
            list(experiment.evaluations.versions),
            type="array",
            items={"type": "string", "minLength": 1},
            minItems=1,
            title="Versions",
            description=f"Aliases or numbers of {experiment.model_name}, such as champion, latest or 7. "
            "One that does not exist is passed over.",
        )
    }


def _partition_param(experiment: Experiment) -> dict[str, Any]:
    if not experiment.data.dated:
        return {}
    period = experiment.data.period
    return {
        "partition": Param(
            None,
            type=["null", "string"],
            pattern=KEY_PATTERN[period],
            title="Partition",
            description=f"The {period} to run for, such as {_EXAMPLES[period]}. Empty: the newest complete {period} that has "
            "data.",
        )
    }


def read_request(context: Mapping[str, Any], experiment: Experiment, kind: Kind) -> Request:
    """What the run of an Airflow task context asks for.

    Raises RequestError for a key that the form does not have (Airflow lets it pass), for two partitions that differ,
    and for a backfill before the experiment's `start_date`; SourceError if it backfills what is no partition's key.
    """
    dag_run, params = context["dag_run"], context["params"]
    # Not `params`: Airflow puts whatever it was given in there.
    form = list(retrain_params(experiment) if kind == "retrain" else evaluation_params(experiment))
    unknown = sorted(set(dag_run.conf or {}) - set(form))
    if unknown:
        raise RequestError(_unknown(unknown[0], form, experiment.data.period))
    asked, key = params.get("partition"), dag_run.partition_key
    if asked and key and asked != key:
        raise RequestError(
            f"partition: the run is for {key}, its param says {asked}. Leave the param empty, or trigger a run without "
            "a key."
        )
    partition = asked or key
    trigger = trigger_of(dag_run)
    if trigger == "backfill" and partition:
        _check_start(partition, experiment)
    return Request(
        dag_id=dag_run.dag_id,
        run_id=dag_run.run_id,
        trigger=trigger,
        partition=partition,
        limit=params.get("limit"),
        force=bool(params.get("force", False)),
        versions=tuple(params.get("versions", ())),
    )


def trigger_of(dag_run: Any) -> Trigger:
    """Who started a run."""
    return TRIGGERS.get(str(getattr(dag_run.run_type, "value", dag_run.run_type)), "manual")


def _unknown(key: str, known: list[str], period: Period) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean `{close[0]}`? " if close else ""
    forms = _FORMS | {"partition": f"a {period} such as {_EXAMPLES[period]}"}
    listed = ", ".join(f"{name} ({forms[name]})" if name in forms else name for name in known)
    return (
        f"conf: unknown key `{key}`; {hint}This DAG understands {listed}. Everything else stands in the spec: "
        "edit the YAML file, or use `skillsengine run SPEC --set a.b=c`."
    )


def _check_start(partition: str, experiment: Experiment) -> None:
    period, start = experiment.data.period, experiment.start_date
    if start is not None and parse_key(partition, period) < parse_key(key_of(start, period), period):
        raise RequestError(
            f"partition {partition} is before start_date {start} of `{experiment.name}`, the earliest that a backfill "
            "may reach. Set an earlier start_date in the spec, or backfill a later range."
        )
