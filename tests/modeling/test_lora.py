"""The adapter on real tiny bases: targets, tied embeddings, quantized weights, and what peft itself makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import generate
from skillsengine.modeling.lora import attach, linear_names, load_adapter, untie, untrained, update_matrices
from skillsengine.spec.schema import Base, Lora
from tests.tiny import make_tiny_base

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
IDS = torch.arange(3, 43)[None]


def _load(root: Path, *, tied: bool = False, quantization: str = "none", hidden: int = 64) -> LoadedBase:
    name = f"tied-{tied}-{hidden}"
    if not (root / name).exists():
        make_tiny_base(root / name, tied=tied, hidden=hidden)
    base = Base.model_validate({"model": name, "quantization": quantization})
    return load_base(base, "cpu", bases=root / "bases", allowed_roots=[root])


def _adapter(root: Path, loaded: LoadedBase, targets: tuple[str, ...] = ALL) -> Path:
    """An adapter whose updates are far from nothing."""
    model = attach(loaded.model, Lora(r=4, alpha=8, target_modules=targets), seed=1)
    torch.manual_seed(2)
    for weight in update_matrices(model).values():
        torch.nn.init.normal_(weight.data, std=0.05)
    model.save_pretrained(root / "adapter", save_embedding_layers=False)
    return root / "adapter"


@torch.no_grad()
def _logits(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(IDS).logits
    return logits


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")  # peft alone leaves it tied
def test_peft_alone_gives_the_same_logits(tmp_path: Path, tied: bool) -> None:
    untuned = _logits(_load(tmp_path, tied=tied).model)
    folder = _adapter(tmp_path, _load(tmp_path, tied=tied))
    ours = load_adapter(_load(tmp_path, tied=tied), folder)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / f"tied-{tied}-64"), folder)
    assert torch.equal(_logits(ours.model), _logits(theirs.eval()))
    assert (_logits(ours.model) - untuned).abs().max() > 0.01
    with ours.model.disable_adapter():
        assert torch.equal(_logits(ours.model), untuned)


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
@pytest.mark.parametrize("tied", [True, False])
def test_on_a_quantized_base(tmp_path: Path, quantization: str, tied: bool) -> None:
    loaded = _load(tmp_path, tied=tied, quantization=quantization)
    kind = type(loaded.model.model.layers[0].mlp.up_proj).__name__
    assert kind == {"nf4": "Linear4bit", "int8": "Linear8bitLt"}[quantization]
    folder = _adapter(tmp_path, loaded)
    reloaded = load_adapter(_load(tmp_path, tied=tied, quantization=quantization), folder)
    assert torch.equal(_logits(loaded.model), _logits(reloaded.model))


@pytest.mark.parametrize("quantization", ["none", "nf4", "int8"])
def test_an_evaluation_leaves_the_gradients_as_they_are(tmp_path: Path, quantization: str) -> None:
    """bitsandbytes repacks 4-bit weights in eval mode on some CPUs; the packed product has no gradient."""
    name = "base"
    make_tiny_base(tmp_path / name, tied=False)
    base = Base.model_validate({"model": name, "quantization": quantization})
    loaded = load_base(base, "cpu", bases=tmp_path, allowed_roots=[tmp_path], for_training=True)
    model = attach(loaded.model, Lora(r=4, alpha=8, target_modules=ALL), seed=1)
    for weight in update_matrices(model).values():
        torch.nn.init.normal_(weight.data, std=0.05, generator=torch.Generator().manual_seed(2))

    def gradients() -> list[torch.Tensor]:
        model.train()
        model.zero_grad()
        model(IDS, labels=IDS).loss.backward()
        return [weight.grad.clone() for weight in model.parameters() if weight.requires_grad]

    before = gradients()
    model.eval()
    _logits(model)
    assert all(torch.equal(a, b) for a, b in zip(before, gradients(), strict=True))


def test_same_seed_same_adapter(tmp_path: Path) -> None:
    def start(seed: int) -> dict[str, torch.Tensor]:
        model = attach(_load(tmp_path).model, Lora(r=4), seed)
        return {name: weight for name, weight in model.named_parameters() if "lora_" in name}

    first, again, other = start(1), start(1), start(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_only_the_adapter_trains_and_starts_at_nothing(tmp_path: Path) -> None:
    model = attach(_load(tmp_path).model, Lora(r=4, target_modules=ALL), 1)
    assert all(("lora_" in name) == weight.requires_grad for name, weight in model.named_parameters())
    assert len(update_matrices(model)) == len(untrained(model)) == 2 * 7 + 1


def test_an_unknown_target_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        attach(_load(tmp_path).model, Lora(target_modules=("q_proj", "query", "all-linear")), 1)
    assert str(caught.value) == (
        "lora.target_modules: `query`: no linear module of LlamaForCausalLM has such a name. There are: down_proj, "
        "gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj; `all-linear` stands for all but the output layer."
    )


def test_targets_may_be_longer_names(tmp_path: Path) -> None:
    model = attach(_load(tmp_path).model, Lora(target_modules=("layers.1.mlp.up_proj",)), 1)
    assert len(update_matrices(model)) == 1


@pytest.mark.parametrize("quantization", ["none", "nf4", "int8"])
def test_linear_names_of_any_kind_of_weights(tmp_path: Path, quantization: str) -> None:
    assert linear_names(_load(tmp_path, quantization=quantization).model) == sorted(ALL)


def test_merging_is_right_once_untied(tmp_path: Path) -> None:
    loaded = load_adapter(_load(tmp_path, tied=True), _adapter(tmp_path, _load(tmp_path, tied=True)))
    before = _logits(loaded.model)
    assert torch.allclose(_logits(loaded.model.merge_and_unload()), before, atol=1e-5)


def test_untie_copies_once(tmp_path: Path) -> None:
    model = _load(tmp_path, tied=True).model
    assert untie(model)
    assert model.lm_head.weight is not model.model.embed_tokens.weight
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    assert not untie(model)


def test_not_an_adapter(tmp_path: Path) -> None:
    loaded = _load(tmp_path)
    with pytest.raises(ModelError, match=r"is no adapter: adapter_config.json and adapter_model.safetensors missing"):
        load_adapter(loaded, tmp_path)
    folder = _adapter(tmp_path, _load(tmp_path))
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model.safetensors missing.*only safetensors are read"):
        load_adapter(loaded, folder)


def test_an_adapter_of_another_base(tmp_path: Path) -> None:
    folder = _adapter(tmp_path, _load(tmp_path, hidden=32))
    with pytest.raises(ModelError, match=r"does not fit this base: .*size mismatch") as caught:
        load_adapter(_load(tmp_path), folder)
    assert "Load it on the base that it was trained on" in str(caught.value)


def test_an_adapter_with_missing_matrices(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = _adapter(tmp_path, _load(tmp_path))
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[3:]), folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"3 of 30 matrices are not in it, 0 have no place"):
        load_adapter(_load(tmp_path), folder)


def test_a_damaged_adapter(tmp_path: Path) -> None:
    folder = _adapter(tmp_path, _load(tmp_path))
    (folder / "adapter_model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="does not fit this base"):
        load_adapter(_load(tmp_path), folder)


def test_a_shared_beginning_with_an_adapter(tmp_path: Path) -> None:
    loaded = load_adapter(_load(tmp_path), _adapter(tmp_path, _load(tmp_path)))
    prompts = ["### Job Description: the same for all of them. " * 8 + end for end in ("a", "bcd", "### Skills:")]
    together = generate(loaded, prompts, max_new_tokens=8, batch_size=3)
    assert together == [generate(loaded, [prompt], max_new_tokens=8, batch_size=1)[0] for prompt in prompts]
