"""Model FLOPs against the sizes that a paper gives, and against torch's own counter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM

from skillsengine.modeling.batches import answer_logits
from skillsengine.modeling.flops import TrainingFlops, peak_flops
from skillsengine.modeling.lora import attach
from skillsengine.spec.schema import Lora
from tests.tiny import make_tiny_base

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")


def test_a_step_is_what_torch_counts(tmp_path: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(
        make_tiny_base(tmp_path / "b", tied=False), attn_implementation="eager"
    )
    adapted = attach(model, Lora(r=4, alpha=8, target_modules=TARGETS), seed=1)
    ids = torch.randint(3, 320, (1, 64))
    labels = ids.clone()
    labels[:, :40] = -100
    with FlopCounterMode(display=False) as counter:
        answer_logits(adapted, ids, labels)[0].sum().backward()
    flops = TrainingFlops.of(adapted)
    ours = flops.of_step([64], 24)
    # torch counts the attention without its mask, twice as much; nothing before the first adapter has a gradient to pass on.
    full = ours + flops.of_a_pair * (64 * 64 - 64 * 65 / 2)
    assert full == pytest.approx(counter.get_total_flops(), rel=0.06)


def test_llama_2_13b_with_the_notebook_s_adapter() -> None:
    """53.4 GFLOP a token at 1,024 tokens, all of them supervised or not: the linear modules alone are 50.8 + the adapter's."""
    config = AutoConfig.for_model(
        "llama",
        hidden_size=5120,
        intermediate_size=13824,
        num_hidden_layers=40,
        num_attention_heads=40,
        vocab_size=32000,
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        adapted = attach(model, Lora(r=32, alpha=64, target_modules=TARGETS), seed=1)
    flops = TrainingFlops.of(adapted)
    a_token = flops.of_step([1024], 1024) / 1024 / 1e9
    assert a_token == pytest.approx(53.4, abs=0.6)
    assert flops.of_a_supervised_token / 1e9 == pytest.approx(0.66, abs=0.02)


def test_the_peak_of_a_cpu_is_measured_and_of_a_gpu_known(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = peak_flops("cpu")
    assert measured is not None and 1e9 < measured < 1e14 and peak_flops("cpu") == measured
    for name, peak in (("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA L40S", 362e12)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda name=name: name)
        assert peak_flops("cuda") == peak
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Somebody's 9000")
    assert peak_flops("cuda") is None
