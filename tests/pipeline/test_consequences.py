"""What each change of a spec does to the stages, field by field, and what several do together.

What each field does by itself stands in `consequences.txt`; GOLDEN=write in the environment writes it anew: read the
difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.consequences import READERS, Consequences, consequences
from skillsengine.settings import Settings
from skillsengine.spec import allowed
from skillsengine.spec.compare import Change, compare
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment, StageResources, Sweep
from skillsengine.spec.source import Part

TABLE = Path(__file__).with_name("consequences.txt")
STATIC: dict[str, Any] = {"name": "job", "schedule": "none", "data": {"source": "ads"}}
DATED: dict[str, Any] = {**STATIC, "data": {"source": "ads/{partition}.jsonl"}}
STAGES = ["format", "profile", "finetune", "evaluate[base]", "evaluate[lexicon]", "evaluate[adapter]", "register"]
_OTHER: dict[str, Any] = {
    "data.source": "other",
    "data.period": "week",
    "tokens.max_length": 512,
    "gate.min_slice_scores": {"length=long": 0.5},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path / "home", "sqlite://", ())


def follow(before: dict[str, Any], after: dict[str, Any], settings: Settings, **more: Any) -> Consequences:
    left, right = Experiment.model_validate(before), Experiment.model_validate(after)
    return consequences(left, right, compare(resolved(left), resolved(right)), settings, **more)


def again(found: Consequences) -> dict[str, str]:
    return {outcome.step: outcome.because for outcome in found.outcomes if outcome.again}


def fields(value: Any, path: tuple[Part, ...] = ()) -> Iterator[tuple[tuple[Part, ...], Any]]:
    """Every field of a whole spec, lists as one."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from fields(child, (*path, key))
    else:
        yield path, value


def other(path: str, value: Any) -> Any:
    """Something else that the field could hold."""
    if path in _OTHER:
        return _OTHER[path]
    schema: allowed.Schema = allowed.root_schema()
    for part in path.split("."):
        schema = allowed.step(schema, part) or {}
    if path == "sweep":
        return Sweep.model_validate({"lora.r": [4, 8]})
    options = [option for option in allowed.options(schema) if option.get("type") != "null"]
    words = [word for option in options for word in option.get("enum", ()) if word != value]
    kind, form = options[0].get("type"), options[0].get("format")
    if words:
        return words[0]
    if kind == "array":
        return value[1:] if value else ["x"]
    if kind == "object":
        return {"finetune": StageResources(queue="x")}
    if kind in ("integer", "number"):
        return (value or 0) + (1 if kind == "integer" else 0.01)
    if form in ("date", "duration"):
        return date(2020, 1, 1) if form == "date" else timedelta(days=9)
    return not value if kind == "boolean" else f"{value}x"


def put(section: Any, path: Sequence[Part], value: Any) -> Any:
    """`section` with another value, unchecked: a field by itself may break a rule that joins fields."""
    head, *rest = map(str, path)
    return section.model_copy(update={head: put(getattr(section, head), rest, value) if rest else value})


def alone(spec: dict[str, Any], settings: Settings) -> Iterator[str]:
    """For each field of the schema: the steps that read it, or what it is for."""
    before = Experiment.model_validate(spec)
    for path, value in fields(resolved(before)):
        name = ".".join(map(str, path))
        new = other(name, value)
        after = put(before, path, tuple(new) if isinstance(new, list) else new)
        found = consequences(before, after, [Change(path, value, new)], settings)
        felt = [outcome.step for outcome in found.outcomes if outcome.changes]
        told = [about for _, about in found.elsewhere]
        assert len(told) == (not felt), name
        yield f"{name}: {', '.join(felt) or f'({told[0]})'}"


def test_every_field_by_itself(settings: Settings) -> None:
    rows = ["# a source that is not dated", *alone(STATIC, settings), "", "# a dated source", *alone(DATED, settings)]
    text = "\n".join(rows) + "\n"
    if os.environ.get("GOLDEN") == "write":
        TABLE.write_text(text, "utf-8")
    assert text == TABLE.read_text("utf-8")
    assert "nothing, with the other values as they are" not in text


def test_the_table_of_readers_names_fields_that_there_are() -> None:
    known = {
        ".".join(map(str, path))
        for path, _ in fields(resolved(Experiment.model_validate(STATIC | {"sweep": {"lora.r": [4]}})))
    }
    for name in READERS:
        assert any(field == name or field.startswith(f"{name}.") for field in known), name


def test_several_changes_are_told_where_each_is_felt(settings: Settings) -> None:
    after = DATED | {"train": {"epochs": 1}, "evaluate": {"seed": 1}, "owner": "me", "prompt": {"template": "{text}"}}
    found = follow(DATED, after, settings)
    assert [outcome.step for outcome in found.outcomes] == STAGES
    assert again(found) == {
        "profile": "prompt.template",
        "finetune": "prompt.template, train.epochs",
        "evaluate[base]": "prompt.template, evaluate.seed",
        "evaluate[lexicon]": "evaluate.seed",
        "evaluate[adapter]": "evaluate.seed",
        "register": "finetune runs again",
    }
    assert [(change.path, about) for change, about in found.elsewhere] == [("owner", "how Airflow runs it")]


def test_changes_that_undo_each_other_keep_everything(settings: Settings) -> None:
    before = STATIC | {"train": {"per_device_batch_size": 8, "gradient_accumulation_steps": 1}}
    after = STATIC | {"train": {"per_device_batch_size": 2, "gradient_accumulation_steps": 4}}
    found = follow(before, after, settings)
    assert again(found) == {}
    words = "memory and speed: an optimizer step has as many rows as before"
    assert [about for _, about in found.elsewhere] == [words, words]


def test_one_of_two_batch_sizes_that_do_not_undo_each_other(settings: Settings) -> None:
    after = STATIC | {"train": {"per_device_batch_size": 8, "gradient_accumulation_steps": 3}}
    assert again(follow(STATIC, after, settings))["finetune"] == (
        "train.per_device_batch_size, train.gradient_accumulation_steps"
    )


def test_a_wider_window_formats_the_partitions_that_came_in(settings: Settings) -> None:
    wider = DATED | {"data": DATED["data"] | {"window": 9}}
    found = follow(DATED, wider, settings)
    assert [(outcome.step, outcome.again) for outcome in found.outcomes[:3]] == [
        ("format of 3 partitions", True),
        ("format of 7 partitions", False),
        ("profile", True),
    ]
    assert again(follow(wider, DATED, settings))["profile"] == "data.window"
    assert "format" not in again(follow(wider, DATED, settings))


def test_other_partitions_are_all_new(settings: Settings) -> None:
    found = follow(DATED, DATED | {"data": DATED["data"] | {"period": "week"}}, settings)
    assert again(found)["format"] == "data.period"
    assert again(found)["evaluate[lexicon]"] == "format, finetune run again"


def test_what_only_two_changes_together_bring_about_is_told_of_both(settings: Settings) -> None:
    weeks = DATED | {"data": DATED["data"] | {"period": "week", "window": 9}}
    found = follow(DATED, weeks, settings)
    assert {outcome.step: outcome.because for outcome in found.outcomes[:2]} == {
        "format of 3 partitions": "data.period, data.window",
        "format of 7 partitions": "data.period",
    }


def test_reasons_beside_the_spec(settings: Settings) -> None:
    found = follow(STATIC, STATIC, settings, reasons={"format": "version 3 of the stage -> 4"})
    assert again(found) == {
        "format": "version 3 of the stage -> 4",
        "profile": "format runs again",
        "finetune": "format, profile run again",
        "evaluate[base]": "format runs again",
        "evaluate[lexicon]": "format, finetune run again",
        "evaluate[adapter]": "format, finetune run again",
        "register": "finetune runs again",
    }


def test_a_static_source_has_no_window(settings: Settings) -> None:
    found = follow(STATIC, STATIC | {"data": {"source": "ads", "window": 2}}, settings)
    assert again(found) == {}
    assert [(change.path, about) for change, about in found.elsewhere] == [("data.window", "dated sources only")]
