"""`train.gradient_checkpointing` changes memory and time, and nothing of what is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaMLP

from skillsengine.spec.schema import recomputes
from tests.stages.training import Training


def _train(folder: Path, name: str, setting: bool | str, monkeypatch: pytest.MonkeyPatch) -> tuple[Training, int]:
    """The training, and how often a layer's feed-forward part computed while gradients were asked for."""
    calls = 0
    plain = LlamaMLP.forward

    def counting(self: Any, x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += self.training
        return plain(self, x)

    sections: dict[str, dict[str, Any]] = {
        "lora": {"dropout": 0.2, "target_modules": ["q_proj", "down_proj", "lm_head"]},
        "train": {"epochs": 1, "gradient_checkpointing": setting},
    }
    training = Training(folder, sections)
    with monkeypatch.context() as patched:
        patched.setattr(LlamaMLP, "forward", counting)
        training.run(name, checkpoints=f"checkpoints-{name}")
    return training, calls


def test_recomputing_gives_the_same_losses_and_the_same_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, once = _train(tmp_path, "kept", "auto", monkeypatch)
    recomputed, twice = _train(tmp_path, "recomputed", True, monkeypatch)
    assert (once, twice) == (4 * 2, 4 * 2 * 2), "4 steps, 2 layers; and each once more"
    assert [line["loss"] for line in kept.metrics("kept") if "loss" in line] == [
        line["loss"] for line in recomputed.metrics("recomputed") if "loss" in line
    ]
    before, after = kept.adapter("kept"), recomputed.adapter("recomputed")
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("setting", "device", "parameters", "expected"),
    [
        ("auto", "cuda", 7 * 10**9, True),
        ("auto", "cuda", 135 * 10**6, False),
        ("auto", "cpu", 7 * 10**9, False),
        (True, "cpu", 1000, True),
        (False, "cuda", 7 * 10**9, False),
    ],
)
def test_auto_recomputes_where_memory_is_short(setting: Any, device: str, parameters: int, expected: bool) -> None:
    assert recomputes(setting, device, parameters) is expected
