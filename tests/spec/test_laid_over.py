"""Values from outside laid over a resolved spec."""

from __future__ import annotations

import pytest

from skillsengine.spec.errors import SpecError
from skillsengine.spec.laid_over import differences, lay_values_over
from skillsengine.spec.schema import Experiment

DATED = Experiment.model_validate(
    {
        "name": "job",
        "schedule": "partition",
        "start_date": "2026-01-01",
        "data": {"source": "ads/{partition}.jsonl", "wait": "6h"},
    }
)


def said(values: dict[str, object]) -> str:
    with pytest.raises(SpecError) as caught:
        lay_values_over(DATED, values, "conf")
    return str(caught.value)


def test_the_rest_stays_as_it_is() -> None:
    laid = lay_values_over(DATED, {"train.epochs": 1, "lora.target_modules": ["q_proj"]}, "conf")
    assert differences(DATED, laid) == [
        "lora.target_modules: -k_proj -v_proj -o_proj -gate_proj -up_proj -down_proj",
        "train.epochs: 3.0 -> 1.0",
    ]
    assert lay_values_over(DATED, {}, "conf") is DATED


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert said({"train.epochs": 0, "lora.r": None, "train.epoch": 3}) == (
        "conf: lora.r: expected an int >= 1 and <= 1024, found nothing\n"
        "   Rank of the update matrices. (default 32)\n\n"
        "conf: train.epochs: expected a float > 0 and <= 1000, found 0\n"
        "   Passes over the training rows. (default 3.0)\n\n"
        "conf: train.epoch: unknown key\n"
        "   did you mean `epochs`? (float > 0 and <= 1000, default 3.0)"
    )


def test_a_value_that_does_not_go_with_the_spec_names_both() -> None:
    assert said({"data.source": "ads", "train.epochs": 1}) == (
        "conf: schedule: `partition` needs a dated source: put `{partition}` into data.source or set data.date_column, or "
        "use a cron or `none`\n"
        "   `job` alone is right: this value of its spec does not go with data.source: ads, train.epochs: 1"
    )
