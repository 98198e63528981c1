"""The section `sweep`, and the trials that follow from it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.pipeline.graph import FINETUNE
from skillsengine.spec.load import load_spec, resolved
from skillsengine.spec.schema import Experiment, Lora, Sweep, Train
from skillsengine.spec.trials import trials
from tests.spec.support import Folder


def spec(sweep: dict[str, Any], **sections: Any) -> Experiment:
    return Experiment.model_validate({"name": "job", "data": {"source": "ads"}, "sweep": sweep, **sections})


def test_a_grid_is_every_combination_the_last_list_fastest() -> None:
    experiment = spec({"train.learning_rate": [1e-4, 2e-4], "lora.r": [8, 16, 32]}, lora={"alpha": 128})
    found = trials(experiment)
    assert [trial.label for trial in found] == [
        f"r={r}, learning_rate={rate}" for r in (8, 16, 32) for rate in ("0.0001", "0.0002")
    ]
    for trial, (r, rate) in zip(found, product((8, 16, 32), (1e-4, 2e-4)), strict=True):
        assert trial.values == {"lora.r": r, "train.learning_rate": rate}
        assert (trial.spec.lora.r, trial.spec.lora.alpha, trial.spec.train.learning_rate) == (r, 128, rate)
        assert trial.spec.sweep is None
        assert trial.spec == Experiment.model_validate(resolved(trial.spec)), "a plain spec like any other"


def test_no_sweep_has_no_trials() -> None:
    assert trials(Experiment.model_validate({"name": "job", "data": {"source": "ads"}})) == ()


def test_lists_are_told_by_their_items_while_these_are_few() -> None:
    many = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
    found = trials(spec({"lora.target_modules": [["q_proj", "v_proj"], many]}))
    assert [trial.label for trial in found] == ["target_modules=q_proj+v_proj", "target_modules=#2"]
    assert found[1].spec.lora.target_modules == tuple(many)


LISTS = st.lists(st.integers(1, 64), min_size=1, max_size=12, unique=True)


@settings(max_examples=60, deadline=None)
@given(LISTS, LISTS, LISTS, st.integers(1, 64), st.integers(0, 2**32 - 1))
def test_a_sample_is_a_part_of_the_grid_in_its_order_and_always_the_same(
    a: list[int], b: list[int], c: list[int], samples: int, seed: int
) -> None:
    lists = {"lora.r": a, "lora.alpha": b, "train.warmup_steps": c}
    sweep = Sweep.model_validate(lists | {"samples": samples})
    grid = list(product(range(len(a)), range(len(b)), range(len(c))))
    chosen = sweep.chosen(seed)
    assert len(chosen) == len(set(chosen)) == min(samples, len(grid))
    assert chosen == sorted(chosen) and set(chosen) <= set(grid)
    assert chosen == Sweep.model_validate(lists | {"samples": samples}).chosen(seed)


def test_a_sample_stays_what_it_is() -> None:
    sweep = Sweep.model_validate({"lora.r": list(range(1, 65)), "train.seed": list(range(64)), "samples": 4})
    assert sweep.combinations == 4096
    assert sweep.chosen(42) == [(18, 48), (19, 23), (39, 32), (41, 17)], "cached trials would be lost"
    assert sweep.chosen(43) != sweep.chosen(42)


def test_what_may_be_swept_is_what_finetune_alone_reads_and_what_changes_its_adapter() -> None:
    swept = {path for path in Sweep.model_fields if "." in path}
    fields = {
        f"{name}.{field}" for name, section in (("lora", Lora), ("train", Train)) for field in section.model_fields
    }
    read = {path for path in fields if path in FINETUNE.reads or path.split(".")[0] in FINETUNE.reads}
    of_a_step = {path for path in fields if path in ("train.gradient_accumulation_steps", "train.batch_size")}
    assert "train.effective_batch_size" in FINETUNE.reads, "by which these two enter the digest"
    assert swept == read | of_a_step


def test_the_resolved_sweep_holds_what_was_written(specs: Folder) -> None:
    text = "name: job\ndata: {source: ads}\nsweep:\n  train.learning_rate: [1e-4, 0.0002]\n"
    loaded = specs.load(text)
    written = {"train.learning_rate": [1e-4, 2e-4], "samples": None, "metric": "validation_loss", "parallel": 1}
    assert resolved(loaded.experiment)["sweep"] == written
    overridden = load_spec(specs.experiments / "job.yaml", overrides=["sweep.lora.r=[4, 8]", "sweep.samples=3"])
    assert resolved(overridden.experiment)["sweep"] == {"lora.r": [4, 8]} | written | {"samples": 3}
    assert str(overridden.sources.place("sweep.lora.r")) == "--set sweep.lora.r=[4, 8]"
    assert load_spec(specs.experiments / "job.yaml", overrides=["sweep=null"]).experiment.sweep is None


@pytest.mark.parametrize("sweep", [{}, {"samples": 3}, {"lora.r": None}])
def test_a_sweep_of_nothing(sweep: dict[str, Any], specs: Folder) -> None:
    assert "sweep: no field to try: name one with a list of values, such as `lora.r: [8, 16, 32]`" in specs.error(
        f'{{"name": "job", "data": {{"source": "ads"}}, "sweep": {str(sweep).replace("None", "null")}}}'.replace(
            "'", '"'
        )
    )


@pytest.mark.parametrize("path", ["train.logging_steps", "base.quantization", "tokens.max_length", "sweep.samples"])
def test_what_cannot_be_swept_is_told_with_what_can(path: str, specs: Folder) -> None:
    told = specs.error(f"name: job\ndata: {{source: ads}}\nsweep:\n  {path}: [1, 2]\n")
    assert told.startswith(f"experiments/job.yaml:4:3: sweep.{path}: unknown key\n   4 |   {path}: [1, 2]\n")
    assert "tried out can be what changes the adapter and is read by `finetune` alone: lora.r, lora.alpha, " in told
    assert not told.endswith("metric")
