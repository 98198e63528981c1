"""The fields of a spec that a person may override for one run, as params of Airflow's trigger form.

Type, range and help are those of the spec's schema, and the value shown is the spec's own, so that the form cannot say anything
else than the spec. A run of the form carries all of its values, changed or not: one that equals the spec's own is no override.

Known limitation: if the spec is edited between the trigger and the start of the run, the values of the form are what the person
saw; where they differ from the edited spec they are overrides, and the run's note says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from airflow.sdk import Param
from pydantic import TypeAdapter

from skillsengine.pipeline.graph import read_path
from skillsengine.spec.allowed import describe, options
from skillsengine.spec.compare import shown
from skillsengine.spec.schema import Experiment

Kind = Literal["retrain", "evaluations"]

SECTION = "Values of the spec, for this run alone"
FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "retrain": (
        "data.window",
        "tokens.max_length",
        "base.quantization",
        "lora.r",
        "lora.alpha",
        "lora.dropout",
        "train.epochs",
        "train.per_device_batch_size",
        "train.gradient_accumulation_steps",
        "train.learning_rate",
        "train.seed",
        "evaluate.max_rows",
    ),
    "evaluations": ("evaluate.max_rows",),
}
"""In the order of the spec. The form's names are the fields' paths: what one writes by hand into `conf` is what --set takes."""
_DATED_ONLY = frozenset({"data.window"})


def fields(experiment: Experiment, kind: Kind) -> tuple[str, ...]:
    """Paths of the fields that the form of an experiment's DAG has."""
    return tuple(path for path in FIELDS[kind] if experiment.data.dated or path not in _DATED_ONLY)


def override_params(experiment: Experiment, kind: Kind) -> dict[str, Any]:
    """Path -> param, in a section of their own below the form's other params."""
    return {
        path: Param(
            read_path(experiment, path),
            section=SECTION,
            description_md=_help(path, read_path(experiment, path)),
            **field_schema(path),
        )
        for path in fields(experiment, kind)
    }


def overrides(params: Mapping[str, Any], experiment: Experiment, kind: Kind) -> dict[str, Any]:
    """Path -> value of what a run's params have otherwise than the spec."""
    return {
        path: params[path] for path in FIELDS[kind] if path in params and params[path] != read_path(experiment, path)
    }


@cache
def field_schema(path: str) -> dict[str, Any]:
    """The JSON schema of a field, as Airflow's form and API use it."""
    return flat(_schema(path))


def flat(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A field's JSON schema on one level, `type` being a name or a list of names.

    The form takes its widget from `type`, and would not look into the alternatives of an `anyOf`. Limits of several types go
    together: `minimum` speaks of numbers alone, `pattern` of texts alone. Raises ValueError for a union of two arms of one
    type.
    """
    arms = [_arm(arm) for arm in schema.get("anyOf", [schema])]
    types = [arm.pop("type") for arm in arms]
    if len(set(types)) < len(types):
        raise ValueError(f"a union with two arms of one type ({', '.join(types)}) has no field in Airflow's form")
    if "number" in types:
        # Of `2e-5` Airflow's widget for a number makes 1. One for several types reads JSON; every integer is a number anyhow.
        types.append("integer")
    merged = {key: value for arm in arms for key, value in arm.items()}
    return {"type": types[0] if len(types) == 1 else types, **merged}


def _arm(schema: Mapping[str, Any]) -> dict[str, Any]:
    """One alternative; a lone word is a pattern, since `const` would speak of the other types too."""
    arm = {key: value for key, value in schema.items() if key not in ("title", "const")}
    return arm | ({"pattern": f"^{re.escape(schema['const'])}$"} if "const" in schema else {})


@cache
def _schema(path: str) -> dict[str, Any]:
    """The JSON schema of one field. The whole spec's would take four times as long, in every process that parses a DAG."""
    info = _info(path)
    # With the path in it: typing hands out one type for equal arguments, and to it 0 equals 0.0, whoever said it first.
    annotation: Any = Annotated[(info.annotation, *info.metadata, path)]
    return TypeAdapter(annotation).json_schema()


def _info(path: str) -> Any:
    section, _, name = path.partition(".")
    return Experiment.model_fields[section].annotation.model_fields[name]  # type: ignore[union-attr]


def _help(path: str, own: Any) -> str:
    """What the field means and takes, and what the spec says: the form shows that only until somebody writes over it."""
    return f"{_meaning(path)}; the spec says {shown(own)})"


@cache
def _meaning(path: str) -> str:
    schema = _schema(path)
    nullable = any(option.get("type") == "null" for option in options(schema))
    empty = ", an empty field" if nullable else ""
    return f"{' '.join(_info(path).description.split())} ({describe(schema)}{empty}"
