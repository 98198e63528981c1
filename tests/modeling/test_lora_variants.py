"""rsLoRA, DoRA and PiSSA, and `all-linear`: what is saved gives the same answers on the base as it was, with peft alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from skillsengine.modeling import pissa
from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.lora import attach, load_adapter, save_adapter, targets_of, untrained
from skillsengine.spec.schema import Base, Lora
from tests.tiny import make_tiny_base

# GPT-2's output layer is a Linear, its other layers are transposed; peft says which is which.
pytestmark = pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to")
PROJECTIONS = ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")
TARGETS = ("q_proj", "k_proj", "down_proj", "lm_head")
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_weights": "pissa"},
    "pissa-rslora": {"init_weights": "pissa", "use_rslora": True},
    "pissa-dora": {"init_weights": "pissa", "use_dora": True},
}
IDS = torch.arange(3, 43)[None]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds `tied`, `untied` and `gpt2`."""
    folder = tmp_path_factory.mktemp("bases")
    for tied in (True, False):
        base = make_tiny_base(folder / ("tied" if tied else "untied"), tied=tied)
        if tied:  # a padding token's row starts at zero, which DoRA cannot take
            weights = load_file(base / "model.safetensors")
            torch.nn.init.normal_(weights["model.embed_tokens.weight"], generator=torch.Generator().manual_seed(3))
            save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    make_tiny_base(folder / "gpt2", architecture="gpt2", tied=False)
    return folder


def load(root: Path, name: str, quantization: str = "none") -> LoadedBase:
    base = Base.model_validate({"model": name, "quantization": quantization})
    return load_base(base, "cpu", bases=root, allowed_roots=[root])


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model.eval()(IDS).logits
    return found


def trained(root: Path, name: str, start: Path, targets: tuple[str, ...] = TARGETS, **variant: Any) -> PeftModel:
    """An adapter far from where it started."""
    model = attach(load(root, name).model, Lora(r=4, alpha=6, target_modules=targets, **variant), 1, start)
    generator = torch.Generator().manual_seed(2)
    for weight in (weight for weight in model.parameters() if weight.requires_grad):
        weight.data += 0.05 * torch.randn(weight.shape, generator=generator)
    return model


@pytest.mark.parametrize("name", ["tied", "untied", "gpt2"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")  # peft alone leaves it tied
def test_a_saved_adapter_fits_the_base_as_it_was(tmp_path: Path, root: Path, name: str, variant: str) -> None:
    targets = ("c_attn", "c_fc", "lm_head") if name == "gpt2" else TARGETS
    model = trained(root, name, tmp_path / "start", targets, **VARIANTS[variant])
    save_adapter(model, tmp_path / "adapter", tmp_path / "start")
    untuned, expected = logits(load(root, name).model), logits(model)
    assert (expected - untuned).abs().max() > 0.01
    ours = load_adapter(load(root, name), tmp_path / "adapter")
    assert torch.allclose(logits(ours.model), expected, atol=1e-5)
    with ours.model.disable_adapter():
        assert torch.equal(logits(ours.model), untuned)
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(root / name), tmp_path / "adapter")
    assert torch.equal(logits(theirs), logits(ours.model))
    assert torch.allclose(logits(ours.model.merge_and_unload()), expected, atol=1e-5)
    assert not [key for key in load_file(tmp_path / "adapter" / "adapter_model.safetensors") if "embed" in key]


def test_the_config_says_what_it_is(tmp_path: Path, root: Path) -> None:
    def config(variant: str) -> dict[str, Any]:
        model = trained(root, "untied", tmp_path / f"{variant}.start", **VARIANTS[variant])
        save_adapter(model, tmp_path / variant, tmp_path / f"{variant}.start")
        told = json.loads((tmp_path / variant / "adapter_config.json").read_text())
        return {name: told[name] for name in ("r", "lora_alpha", "use_rslora", "use_dora", "init_lora_weights")}

    plain = {"r": 4, "lora_alpha": 6, "use_rslora": False, "use_dora": False, "init_lora_weights": True}
    assert config("plain") == plain
    assert config("rslora") == plain | {"use_rslora": True}
    assert config("dora") == plain | {"use_dora": True}
    # As a plain adapter: peft would take `pissa` as an order to change the base again.
    assert config("pissa") == plain | {"r": 8, "lora_alpha": 12}
    assert config("pissa-rslora") == plain | {"r": 8, "lora_alpha": 6 * math.sqrt(2), "use_rslora": True}


@pytest.mark.parametrize(("variant", "scale"), [("plain", 6 / 4), ("rslora", 6 / math.sqrt(4))])
def test_the_scale(root: Path, variant: str, scale: float) -> None:
    lora = Lora(r=4, alpha=6, target_modules=("q_proj",), **VARIANTS[variant])
    layer = attach(load(root, "untied").model, lora, 1).base_model.model.model.layers[0].self_attn.q_proj
    assert layer.scaling["default"] == scale


def test_a_pissa_adapter_whose_start_is_not_taken_back_answers_otherwise(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check above, with its guard away: the matrices as they were trained, called a plain adapter."""

    def only_say_so(weights: Path, config: Path, start: Path) -> None:
        config.write_text(json.dumps(json.loads(config.read_text()) | {"init_lora_weights": True}))

    model = trained(root, "untied", tmp_path / "start", **VARIANTS["pissa"])
    monkeypatch.setattr(pissa, "fit_original_base", only_say_so)
    save_adapter(model, tmp_path / "adapter", tmp_path / "start")
    ours = load_adapter(load(root, "untied"), tmp_path / "adapter")
    assert not torch.allclose(logits(ours.model), logits(model), atol=0.1)


@pytest.mark.parametrize("name", ["untied", "gpt2"])
def test_pissa_starts_where_the_base_stands_and_again_from_its_file(tmp_path: Path, root: Path, name: str) -> None:
    lora = Lora(r=4, alpha=6, target_modules=("all-linear", "lm_head"), use_dora=True, init_weights="pissa")

    def start() -> PeftModel:
        return attach(load(root, name).model, lora, 1, tmp_path / "start")

    first = start()
    assert torch.allclose(logits(first), logits(load(root, name).model), atol=1e-5)
    with first.disable_adapter():
        rest = (logits(first) - logits(load(root, name).model)).abs().max()
    assert rest > 0.1, "the base has lost its main directions"
    assert len(untrained(first, tmp_path / "start")) == {"untied": 15, "gpt2": 9}[name]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.linalg, "svd", None)  # another machine's may differ
        again = start()
    for (name_, weight), (_, other) in zip(first.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(weight, other), name_


def test_what_did_not_move_is_told_with_pissa_too(tmp_path: Path, root: Path) -> None:
    model = trained(root, "untied", tmp_path / "start", **VARIANTS["pissa"])
    assert untrained(model, tmp_path / "start") == []
    begun = load_file(tmp_path / "start")["base_model.model.lm_head.lora_B.weight"]
    model.base_model.model.lm_head.lora_B["default"].weight.data = begun
    assert untrained(model, tmp_path / "start") == ["base_model.model.lm_head"]


def test_more_directions_than_there_are(root: Path) -> None:
    lora = Lora(r=33, alpha=6, target_modules=("q_proj", "k_proj"), init_weights="pissa")
    with pytest.raises(ModelError) as caught:
        attach(load(root, "untied").model, lora, 1)
    assert str(caught.value) == (
        "lora.init_weights: PiSSA starts from the 33 main directions (lora.r) of each module, and "
        "model.layers.0.self_attn.k_proj has 32. Lower lora.r, take it out of lora.target_modules, or set "
        "lora.init_weights: default."
    )


def test_dora_cannot_take_rows_of_zeros(tmp_path: Path) -> None:
    make_tiny_base(tmp_path / "base", tied=True)  # its padding token's row
    lora = Lora(r=4, target_modules=("all-linear", "lm_head"), use_dora=True)
    with pytest.raises(ModelError) as caught:
        attach(load(tmp_path, "base").model, lora, 1)
    assert str(caught.value) == (
        "lora.use_dora: DoRA divides by the length of each row of the base's weights, and 1 of 320 rows of lm_head are zero. "
        "Take it out of lora.target_modules, or set lora.use_dora: false."
    )


@pytest.mark.parametrize("name", ["tied", "untied", "gpt2"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_all_linear_is_what_peft_means_by_it(root: Path, name: str, quantization: str) -> None:
    def adapted(model: Any) -> set[str]:
        return {path for path, _ in model.named_parameters() if "lora_" in path}

    ours = attach(load(root, name, quantization).model, Lora(r=4, target_modules=("all-linear",)), 1)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", fan_in_fan_out=name == "gpt2")
    assert adapted(ours) == adapted(get_peft_model(load(root, name, quantization).model, config))


def test_all_linear_and_the_output_layer(root: Path) -> None:
    model = load(root, "tied").model
    assert targets_of(model, ("all-linear",)) == list(PROJECTIONS)
    assert targets_of(model, ("lm_head", "all-linear", "q_proj")) == sorted((*PROJECTIONS, "lm_head"))


def test_all_linear_leaves_out_an_output_layer_whose_name_is_another_s_too(root: Path) -> None:
    model = load(root, "untied").model
    model.model.layers[1].mlp.lm_head = torch.nn.Linear(4, 4)
    assert targets_of(model, ("all-linear",)) == sorted((*PROJECTIONS, "model.layers.1.mlp.lm_head"))
