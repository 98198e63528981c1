"""What a stage may read is what enters its digest."""

from __future__ import annotations

import importlib

import pytest

from skillsengine.pipeline import graph
from skillsengine.spec.schema import Experiment

EXPERIMENT = Experiment.model_validate({"name": "x", "schedule": "none", "data": {"source": "a/{partition}.jsonl"}})
ALL = [graph.FORMAT, graph.PROFILE, graph.FINETUNE, *graph.SUBJECTS.values(), graph.REGISTER]


@pytest.mark.parametrize("stage", ALL, ids=lambda stage: f"{stage.name}-{len(stage.reads)}")
def test_every_declared_path_exists(stage: graph.StageDef) -> None:
    for path in (*stage.reads, *stage.uses):
        graph.read_path(EXPERIMENT, path)


@pytest.mark.parametrize("stage", ALL, ids=lambda stage: f"{stage.name}-{len(stage.reads)}")
def test_the_module_has_the_declared_version(stage: graph.StageDef) -> None:
    assert stage.version == importlib.import_module(stage.module).VERSION


def test_a_stage_sees_what_it_declares() -> None:
    view = graph.narrow(EXPERIMENT, graph.FINETUNE)
    assert view.train.effective_batch_size == 4
    assert view.lora.target_modules == EXPERIMENT.lora.target_modules
    assert view.data.dated is True


def test_a_stage_cannot_read_what_it_does_not_declare() -> None:
    view = graph.narrow(EXPERIMENT, graph.FORMAT)
    with pytest.raises(AttributeError, match=r"stage `format` reads `lora` of the spec without declaring it"):
        _ = view.lora
    with pytest.raises(AttributeError, match=r"reads `data\.window`"):
        _ = view.data.window
