"""What a DAG run asks for: the trigger form's params, the partition key, and who started it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from airflow.sdk import Param

from skillsengine.airflow.form import FIELDS, Kind, override_params, overrides
from skillsengine.pipeline.bounds import MOST_CELLS
from skillsengine.sources.keys import KEY_PATTERN, key_of, parse_key
from skillsengine.spec import allowed
from skillsengine.spec.schema import Experiment, Period
from skillsengine.spec.suggest import closest

Trigger = Literal["scheduled", "manual", "backfill", "asset"]

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
    cells: tuple[tuple[int, str], ...] = ()
    """Evaluations of a dated source only: (version, partition) of each cell to fill, instead of one partition."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Dotted path of a field of the spec -> the value it has in this run alone."""


def retrain_params(experiment: Experiment) -> dict[str, Any]:
    """The form of the retrain DAG."""
    own = {
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
    return _partition_param(experiment) | own | override_params(experiment, "retrain")


def evaluation_params(experiment: Experiment) -> dict[str, Any]:
    """The form of the evaluations DAG."""
    own = {
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
    return _partition_param(experiment) | own | _cells_param(experiment) | override_params(experiment, "evaluations")


def _cells_param(experiment: Experiment) -> dict[str, Any]:
    if not experiment.data.dated:
        return {}
    period = experiment.data.period
    return {
        "cells": Param(
            [],
            type="array",
            items={"type": "string", "pattern": "^[0-9]{1,9}@" + KEY_PATTERN[period].removeprefix("^")},
            maxItems=MOST_CELLS,
            title="Cells",
            description=f"Instead of one {period}: a line for each cell to fill, version@{period}, such as "
            f"7@{_EXAMPLES[period]}, at most {MOST_CELLS}. The base is loaded once for all. `skillsengine backfill "
            f"{experiment.name} --dry-run --json` lists what is missing.",
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
            description=f"The {period} to run for, such as {_EXAMPLES[period]}. One only: several are a run each, or a "
            f"backfill. Empty: the newest complete {period} that has data.",
        )
    }


def read_request(context: Mapping[str, Any], experiment: Experiment, kind: Kind) -> Request:
    """What the run of an Airflow task context asks for.

    Whether its overrides go with the spec is for `open_run` to say, which alone knows whether the run is pinned already.

    Raises RequestError for a key that the form does not have (Airflow lets it pass), for two partitions that differ,
    and for a backfill before the experiment's `start_date`; SourceError if it backfills what is no partition's key.
    """
    dag_run, params = context["dag_run"], context["params"]
    # Not `params`: Airflow puts whatever it was given in there.
    form = list(retrain_params(experiment) if kind == "retrain" else evaluation_params(experiment))
    # What only a dated source's form has is known all the same: the source may have been dated when the run was triggered,
    # and an edit in mid-run is not to reach the run.
    of_dated = {"partition", "cells"} if kind == "evaluations" else {"partition"}
    unknown = sorted(set(dag_run.conf or {}) - {*form, *of_dated, *FIELDS[kind]})
    if unknown:
        raise RequestError(_unknown(unknown[0], form, experiment.data.period))
    asked, key = params.get("partition"), dag_run.partition_key
    if asked and key and asked != key:
        raise RequestError(
            f"partition: the run is for {key}, its param says {asked}. Leave the param empty, or trigger a run without "
            "a key."
        )
    partition = asked or key
    cells = tuple(_cell(text, experiment.data.period) for text in params.get("cells") or ())
    if cells and partition:
        raise RequestError(
            f"cells and partition exclude each other: the run is for {partition}, and its param `cells` names {len(cells)} "
            "cells of other partitions. Leave one of them empty."
        )
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
        cells=tuple(dict.fromkeys(cells)),
        overrides=overrides(params, experiment, kind),
    )


def _cell(text: str, period: Period) -> tuple[int, str]:
    number, _, key = str(text).partition("@")
    if not number.isdecimal():
        raise RequestError(f"cells: `{text}` is no cell. Write version@{period}, such as 7@{_EXAMPLES[period]}.")
    parse_key(key, period)
    return int(number), key


def trigger_of(dag_run: Any) -> Trigger:
    """Who started a run."""
    return TRIGGERS.get(str(getattr(dag_run.run_type, "value", dag_run.run_type)), "manual")


def _unknown(key: str, known: Sequence[str], period: Period) -> str:
    forms = _FORMS | {"partition": f"a {period} such as {_EXAMPLES[period]}"}
    own = ", ".join(f"{name} ({forms[name]})" if name in forms else name for name in known if "." not in name)
    of_spec = ", ".join(name for name in known if "." in name)
    return (
        f"conf: unknown key `{key}`; {_meant(key, known)}This DAG understands {own}, and of the spec {of_spec}. "
        "Everything else stands in the spec: edit the YAML file, or use `skillsengine run SPEC --set a.b=c`."
    )


def _meant(key: str, known: Sequence[str]) -> str:
    """What an unknown key of `conf` was probably meant to be."""
    below = [name for name in known if name.startswith(f"{key}.")]
    if below:
        return f"did you mean `{below[0]}`? A field of a section is a key by its whole path. "
    if allowed.is_field(key):
        return "the form does not have this field of the spec. "
    paths = {name.rpartition(".")[2]: name for name in known} | {name: name for name in known}
    near = closest(key, paths)
    return f"did you mean `{paths[near]}`? " if near else ""


def _check_start(partition: str, experiment: Experiment) -> None:
    period, start = experiment.data.period, experiment.start_date
    if start is not None and parse_key(partition, period) < parse_key(key_of(start, period), period):
        raise RequestError(
            f"partition {partition} is before start_date {start} of `{experiment.name}`, the earliest that a backfill "
            "may reach. Set an earlier start_date in the spec, or backfill a later range."
        )
