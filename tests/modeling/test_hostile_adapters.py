"""Adapters of foreign make, on the base that they claim to be for."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.lora import attach, load_adapter, save_adapter, update_matrices
from skillsengine.modeling.memory import peak_gb, restart_peak
from skillsengine.spec.schema import Base, Lora
from tests.tiny import make_tiny_base

TARGETS = ("q_proj", "v_proj")
WEIGHTS = "adapter_model.safetensors"
IDS = torch.arange(3, 43)[None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """With a base, and a trained adapter for it in `adapter`."""
    make_tiny_base(tmp_path / "base", tied=False)
    model = attach(loaded(tmp_path).model, Lora(r=4, alpha=8, target_modules=TARGETS), seed=1)
    torch.manual_seed(2)
    for weight in update_matrices(model).values():
        torch.nn.init.normal_(weight.data, std=0.05)
    save_adapter(model, tmp_path / "adapter", tmp_path / "start")
    return tmp_path


def loaded(root: Path) -> LoadedBase:
    return load_base(Base(model="base"), "cpu", bases=root / "bases", allowed_roots=[root])


def refusal(root: Path) -> str:
    base = loaded(root)
    restart_peak("cpu")
    before = peak_gb("cpu")
    with pytest.raises(ModelError) as caught:
        load_adapter(base, root / "adapter")
    assert peak_gb("cpu") - before < 0.5
    return str(caught.value)


def tell(root: Path, **fields: Any) -> None:
    path = root / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"auto_mapping": {"base_model_class": "Popen", "parent_library": "subprocess"}},
            'auto_mapping: {"base_model_class"',
        ),
        ({"modules_to_save": ["lm_head"]}, 'modules_to_save: ["lm_head"]'),
        ({"megatron_config": {"a": 1}, "megatron_core": "evil.module"}, 'megatron_config: {"a": 1}'),
        ({"layer_replication": [[0, 10**9]]}, "layer_replication: [[0, 1000000000]]"),
        ({"rank_pattern": {".*": 10**9}}, 'rank_pattern: {".*": 1000000000}'),
        ({"alpha_pattern": {".*": 1e9}}, 'alpha_pattern: {".*": 1000000000.0}'),
        ({"exclude_modules": "(a+)+$"}, 'exclude_modules: "(a+)+$"'),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices: [1, 2]"),
        ({"target_parameters": ["lm_head.weight"]}, 'target_parameters: ["lm_head.weight"]'),
        ({"bias": "all"}, 'bias: "all"'),
        ({"arrow_config": {"router": "/etc"}}, 'arrow_config: {"router": "/etc"}'),
        ({"a_field_of_tomorrow": True}, "a_field_of_tomorrow: true"),
        ({"peft_type": "PREFIX_TUNING"}, 'tells peft_type "PREFIX_TUNING" and task_type "CAUSAL_LM"'),
        ({"task_type": "SEQ_CLS"}, 'tells peft_type "LORA" and task_type "SEQ_CLS"'),
        ({"target_modules": "(a+)+$"}, 'target_modules in adapter_config.json is no list of names: "(a+)+$"'),
        ({"target_modules": []}, "is no list of names: []"),
        ({"r": 10**9}, "tells r: 1000000000, its matrices in adapter_model.safetensors have the rank 4"),
        ({"r": 8}, "tells r: 8, its matrices in adapter_model.safetensors have the rank 4"),
        ({"r": -4}, "tells r: -4"),
        ({"r": "4"}, 'tells r: "4"'),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_more_or_other_than_an_adapter_is_refused(root: Path, fields: dict[str, Any], said: str) -> None:
    tell(root, **fields)
    told = refusal(root)
    assert f"the adapter {root}/adapter is refused: " in told and said in told
    assert told.endswith("Take the folder as `finetune` or `register` wrote it.")


@pytest.mark.parametrize(
    ("content", "said"),
    [("[" * 100_000, "RecursionError"), ("{", "JSONDecodeError"), ("[]", "is no JSON object")],
    ids=["deep", "torn", "a list"],
)
def test_a_config_that_is_none(root: Path, content: str, said: str) -> None:
    (root / "adapter" / "adapter_config.json").write_text(content)
    assert said in refusal(root)


def test_the_base_s_name_in_the_config_is_not_followed(root: Path) -> None:
    def logits() -> torch.Tensor:
        with torch.no_grad():
            told: torch.Tensor = load_adapter(loaded(root), root / "adapter").model(IDS).logits
        return told

    before = logits()
    pipe = root / "config.json"  # whoever opens it waits for ever
    os.mkfifo(pipe)
    tell(root, base_model_name_or_path=str(root), revision="../..")
    assert torch.equal(logits(), before)


def rewrite(root: Path, **changed: torch.Tensor) -> None:
    weights = load_file(root / "adapter" / WEIGHTS)
    save_file({**weights, **changed}, root / "adapter" / WEIGHTS, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        ("base_model.model.lm_head.weight", 320),  # a whole matrix of the base, and of its shape
        ("base_model.model.model.layers.0.self_attn.k_proj.lora_A.weight", 4),
        ("base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight", 4),
        ("__class__", 4),
    ],
)
def test_keys_that_have_no_place_in_the_base(root: Path, key: str, rows: int) -> None:
    rewrite(root, **{key: torch.ones(rows, 64)})
    assert "does not fit this base: 0 of 8 matrices are not in it, 1 have no place" in refusal(root)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_none(root: Path, value: float) -> None:
    name = next(iter(load_file(root / "adapter" / WEIGHTS)))
    wrong = load_file(root / "adapter" / WEIGHTS)[name].clone()
    wrong[0, 0] = value
    rewrite(root, **{name: wrong})
    told = refusal(root)
    assert f"holds numbers that are none (NaN or infinite) in 1 of 8 matrices (the first: {name})" in told


def test_matrices_of_two_ranks_and_of_another_width(root: Path) -> None:
    [name, other] = [key for key in load_file(root / "adapter" / WEIGHTS) if ".0." in key and ".lora_A." in key]
    rewrite(root, **{name: torch.ones(5, 64)})
    assert "have the rank 4, 5. Take the folder" in refusal(root)
    rewrite(root, **{name: torch.ones(4, 65), other: torch.ones(4, 64)})
    assert "does not fit this base" in refusal(root)
