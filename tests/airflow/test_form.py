"""The trigger form's fields: what the schema says, no more and no less, and what an override changes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Param
from airflow.sdk.exceptions import ParamValidationError

from skillsengine.airflow.form import SECTION, field_schema, fields, flat, override_params, overrides
from skillsengine.pipeline.graph import read_path
from skillsengine.pipeline.plan import Plan, Sources, make_plan
from skillsengine.settings import Settings, load_settings
from skillsengine.sources.files import SourceFile
from skillsengine.spec import allowed
from skillsengine.spec.errors import SpecError
from skillsengine.spec.laid_over import lay_values_over
from skillsengine.spec.load import load_spec
from skillsengine.spec.schema import Experiment
from tests.pipeline.project import tiny_experiment

DATED = tiny_experiment()
FIELDS = fields(DATED, "retrain")
LIMITS = {"minimum": (0, -1), "exclusiveMinimum": (1, 0), "maximum": (0, 1), "exclusiveMaximum": (-1, 0)}
"""Limit -> (steps from it to the last value that fits, to the first that does not)."""


def schema_of(path: str) -> allowed.Schema:
    """What the whole spec's schema says of a field; the form derives it from the field alone."""
    found: allowed.Schema | None = allowed.root_schema()
    for part in path.split("."):
        assert found is not None
        found = allowed.step(found, part)
    assert found is not None
    return found


def step(value: float, count: int, kind: str) -> int | float:
    """The number next to `value`: the next float for a field of floats."""
    if count == 0:
        return value
    return int(value) + count if kind == "integer" else math.nextafter(value, math.copysign(math.inf, count))


def edges(path: str) -> Iterator[tuple[Any, bool]]:
    """(value, whether it fits) at each edge of what a field allows."""
    arms = allowed.options(schema_of(path))
    kinds = {arm["type"] for arm in arms}
    yield None, "null" in kinds
    yield from ((wrong, False) for wrong in (True, [], {}, "no such word", ""))
    for arm in arms:
        yield from ((word, True) for word in arm.get("enum", [arm["const"]] if "const" in arm else []))
        yield from ((f"{word}x", False) for word in arm.get("enum", [arm["const"]] if "const" in arm else []))
        for limit, (inside, outside) in LIMITS.items():
            if limit in arm:
                yield step(arm[limit], inside, arm["type"]), True
                yield step(arm[limit], outside, arm["type"]), False
        if arm["type"] == "integer":
            yield arm.get("minimum", 0) + 0.5, False
        if arm["type"] in ("integer", "number"):
            yield "1", False


def param_takes(path: str, value: Any) -> bool:
    try:
        Param(value, **field_schema(path)).resolve()
    except ParamValidationError:
        return False
    return True


def spec_takes(path: str, value: Any) -> bool:
    try:
        beside = {"train.batch_size": 16} if (path, value) == ("train.per_device_batch_size", "auto") else {}
        laid = lay_values_over(DATED, {path: value} | beside, "conf")
    except SpecError:
        return False
    assert read_path(laid, path) == value
    return True


@pytest.mark.parametrize("path", FIELDS)
def test_the_form_takes_what_the_spec_takes(path: str) -> None:
    cases = list(edges(path))
    assert {fits for _, fits in cases} == {True, False} and len(cases) > 6
    for value, fits in cases:
        assert (param_takes(path, value), spec_takes(path, value)) == (fits, fits), f"{path}={value!r}"


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_shows_the_spec_s_own_value_and_says_what_it_means(path: str) -> None:
    param = override_params(DATED, "retrain")[path]
    own = read_path(DATED, path)
    assert param.value == param.resolve() == own
    about = schema_of(path)["description"].splitlines()[0]
    assert param.schema["description_md"].startswith(about) and param.description is None
    assert param.schema["section"] == SECTION
    assert overrides({path: own}, DATED, "retrain") == {}


def test_ranges_and_words_reach_the_form_s_widgets() -> None:
    """Airflow's page chooses a field's widget by `type` and `enum` at the top of its schema."""
    assert field_schema("lora.r") == {"type": "integer", "minimum": 1, "maximum": 1024}
    assert field_schema("base.quantization") == {"type": "string", "enum": ["nf4", "int8", "none"]}
    assert field_schema("evaluate.max_rows") == {"type": ["integer", "null"], "minimum": 1}
    rate = {"type": ["number", "integer"], "exclusiveMinimum": 0.0, "maximum": 1.0}
    assert field_schema("train.learning_rate") == rate, "the widget of a lone `number` makes 1 of 2e-5"
    both = {"type": ["string", "integer"], "pattern": "^auto$", "minimum": 16, "maximum": 131072}
    assert field_schema("tokens.max_length") == both


def test_help_tells_meaning_range_and_the_spec_s_own_value() -> None:
    said = {path: param.schema["description_md"] for path, param in override_params(DATED, "retrain").items()}
    assert said["train.learning_rate"] == "Peak learning rate. (float > 0 and <= 1; the spec says 0.01)"
    assert said["evaluate.max_rows"] == (
        "Score a seeded sample of at most this many rows; null scores all. "
        "(int >= 1 or null, an empty field; the spec says null)"
    )
    assert said["base.quantization"].endswith("(one of nf4, int8, none; the spec says none)")


def test_a_union_that_airflow_cannot_show_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a union with two arms of one type \(string, string\) has no field"):
        flat({"anyOf": [{"type": "string", "const": "auto"}, {"type": "string", "minLength": 1}]})


def test_only_a_dated_source_has_a_window() -> None:
    undated = tiny_experiment(data={"source": "ads"})
    assert set(FIELDS) - set(fields(undated, "retrain")) == {"data.window"}
    assert fields(undated, "evaluations") == fields(DATED, "evaluations") == ("evaluate.max_rows",)


@pytest.mark.parametrize("given", ["train.epochs=0", "base.quantization=nf3", "tokens.max_length=8", "lora.r=4.0"])
def test_a_wrong_value_is_told_as_on_the_command_line(given: str, tmp_path: Path) -> None:
    spec = tmp_path / "experiments" / "tiny.yaml"
    spec.parent.mkdir()
    spec.write_text(json.dumps(DATED.model_dump(mode="json")))
    path, _, text = given.partition("=")
    value = text if path.startswith("base") else json.loads(text)
    with pytest.raises(SpecError) as by_form:
        lay_values_over(DATED, {path: value}, "conf")
    with pytest.raises(SpecError) as by_hand:
        load_spec(spec, overrides=[given])
    assert str(by_form.value).startswith(f"conf: {path}: expected ")
    assert str(by_form.value) == str(by_hand.value).replace(f"--set {given}: ", "conf: ")


def plan_of(experiment: Experiment, settings: Settings) -> Plan:
    months = ("2026-01", "2026-02", "2026-03")[3 - 1 - experiment.data.window :]
    files = {key: (SourceFile(f"s3://b/{key}.jsonl", sha256=key * 8),) for key in months}
    return make_plan(experiment, Sources("2026-03", months[:-1], files), settings)


OTHER = {
    "data.window": 1,
    "tokens.max_length": 128,
    "base.quantization": "int8",
    "lora.r": 8,
    "lora.alpha": 16,
    "lora.dropout": 0.5,
    "train.epochs": 2,
    "train.per_device_batch_size": 8,
    "train.gradient_accumulation_steps": 2,
    "train.learning_rate": 0.5,
    "train.seed": 7,
    "evaluate.max_rows": 3,
}
ALL_BUT_FORMAT = {"profile", "finetune", "evaluate[lexicon]", "evaluate[adapter]", "register"}
FROM_FINETUNE = ALL_BUT_FORMAT - {"profile"}
CHANGED = {
    "data.window": ALL_BUT_FORMAT,
    "tokens.max_length": ALL_BUT_FORMAT,
    "base.quantization": FROM_FINETUNE | {"evaluate[base]"},
    "evaluate.max_rows": {"evaluate[base]", "evaluate[lexicon]", "evaluate[adapter]"},
}


@pytest.mark.parametrize("path", FIELDS)
def test_an_override_changes_the_digests_that_the_same_edit_of_the_spec_changes(path: str, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    settings = load_settings(tmp_path)
    section, _, name = path.partition(".")
    data = DATED.model_dump(mode="json")
    edited = Experiment.model_validate(data | {section: data[section] | {name: OTHER[path]}})
    overridden = lay_values_over(DATED, {path: OTHER[path]}, "conf")
    assert overridden == edited
    assert plan_of(overridden, settings).steps == plan_of(edited, settings).steps
    before = {step.id: step.digest for step in plan_of(DATED, settings).steps}
    changed = {step.id for step in plan_of(overridden, settings).steps if before.get(step.id) != step.digest}
    assert changed == CHANGED.get(path, FROM_FINETUNE)
