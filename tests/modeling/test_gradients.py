"""Every matrix of an adapter learns, in each way that a loss is computed; with its guards away, the checks here fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch.nn.functional import cross_entropy, linear

from skillsengine.modeling import batches, lora
from skillsengine.modeling.base import load_base
from skillsengine.modeling.batches import answer_logits, collate
from skillsengine.modeling.encoding import IGNORED, Encoded
from skillsengine.modeling.lora import attach, save_adapter
from skillsengine.spec.schema import Base, Lora
from tests.tiny import make_tiny_base

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_weights": "pissa"},
}
Loss = Callable[[Any, dict[str, torch.Tensor]], torch.Tensor]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bases")
    for tied in (True, False):
        make_tiny_base(folder / ("tied" if tied else "untied"), tied=tied)
    return folder


def adapted(root: Path, name: str = "untied", quantization: str = "none", **options: Any) -> Any:
    base = Base.model_validate({"model": name, "quantization": quantization})
    loaded = load_base(base, "cpu", bases=root, allowed_roots=[root], for_training=True)
    settings = Lora(r=4, alpha=8, target_modules=("all-linear", "lm_head"), **options)
    return attach(loaded.model, settings, 1)


def batch() -> dict[str, torch.Tensor]:
    rows = []
    for length, answer, seed in ((19, 6, 1), (31, 9, 2)):
        ids = torch.randint(3, 320, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
        rows.append(Encoded(ids, [IGNORED] * (length - answer) + ids[length - answer :], False))
    return collate(rows, pad_id=2)


def full(model: Any, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """The plain loss: logits of every position."""
    logits = model(input_ids=rows["input_ids"]).logits[:, :-1].float()
    return cross_entropy(logits.flatten(0, 1), rows["labels"][:, 1:].flatten(), ignore_index=IGNORED)


def supervised(model: Any, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """Ours: logits where an answer is learned, through the output layer's module."""
    logits, gold = batches.answer_logits(model, rows["input_ids"], rows["labels"])
    return cross_entropy(logits.float(), gold)


def dead(model: Any, loss: Loss) -> list[str]:
    """Trainable weights that get no gradient in two steps; at the first, A stands behind a B of zeros."""
    model.train()
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    optimizer = torch.optim.SGD(weights.values(), lr=0.1)
    seen: set[str] = set()
    for step in range(2):
        optimizer.zero_grad()
        torch.manual_seed(step)
        loss(model, batch()).backward()
        seen |= {name for name, weight in weights.items() if weight.grad is not None and bool(weight.grad.any())}
        optimizer.step()
    return sorted(set(weights) - seen)


@pytest.mark.parametrize("loss", [full, supervised])
@pytest.mark.parametrize(
    ("quantization", "variant", "dropout"),
    [
        ("none", "plain", 0.0),
        ("none", "rslora", 0.3),
        ("none", "dora", 0.3),
        ("none", "pissa", 0.0),
        ("nf4", "plain", 0.3),
        ("nf4", "dora", 0.0),
        ("int8", "plain", 0.0),
        ("int8", "rslora", 0.3),
    ],
)
def test_every_matrix_gets_a_gradient(root: Path, loss: Loss, quantization: str, variant: str, dropout: float) -> None:
    model = adapted(root, quantization=quantization, dropout=dropout, **VARIANTS[variant])
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert len(trained) == (2 * 7 + 1) * (3 if variant == "dora" else 2)
    assert dead(model, loss) == []


@pytest.mark.parametrize(
    ("quantization", "variant"),
    [("none", "plain"), ("none", "dora"), ("nf4", "plain"), ("nf4", "dora"), ("int8", "plain")],
)
def test_the_loss_is_that_of_all_logits(root: Path, quantization: str, variant: str) -> None:
    model = adapted(root, quantization=quantization, **VARIANTS[variant])
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        # int8 rounds each matrix of activations by its own largest value.
        assert torch.allclose(
            full(model, batch()), supervised(model, batch()), rtol=1e-3 if quantization == "int8" else 1e-5
        )


def _fused(model: Any, input_ids: torch.Tensor, labels: torch.Tensor, cache: Any = None) -> Any:
    """What fused losses do: read the output layer's weight, not its module."""
    inner = model.get_base_model()
    hidden = inner.model(input_ids=input_ids).last_hidden_state[:, :-1]
    speaks = labels[:, 1:] != IGNORED
    return linear(hidden[speaks], inner.lm_head.weight), labels[:, 1:][speaks]


def test_a_loss_that_reads_the_head_s_weight_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "answer_logits", _fused)
    model = adapted(root)
    assert dead(model, supervised) == [f"base_model.model.lm_head.lora_{matrix}.default.weight" for matrix in "AB"]
    with torch.no_grad():
        torch.nn.init.normal_(model.base_model.model.lm_head.lora_B["default"].weight)
        assert not torch.allclose(full(model, batch()), supervised(model, batch()), rtol=1e-3)


def test_a_loss_over_the_prompts_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(model: Any, input_ids: torch.Tensor, labels: torch.Tensor, cache: Any = None) -> Any:
        return answer_logits(model, input_ids, input_ids)

    model = adapted(root)
    with torch.no_grad():
        right = supervised(model, batch())
        monkeypatch.setattr(batches, "answer_logits", everything)
        assert not torch.allclose(right, supervised(model, batch()), rtol=1e-3)


def stored(model: Any, folder: Path) -> set[str]:
    """Names of what a saved adapter holds beside its matrices."""
    save_adapter(model, folder, folder / "start")
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        return {name for name in file.keys() if "lora_" not in name}  # noqa: SIM118


@pytest.mark.parametrize("name", ["tied", "untied"])
def test_no_embedding_is_stored(root: Path, tmp_path: Path, name: str) -> None:
    assert stored(adapted(root, name), tmp_path) == set()


@pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers` to `True`")
def test_peft_s_default_stores_the_embedding_and_is_found(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = lora.PeftModel.save_pretrained
    monkeypatch.setattr(lora.PeftModel, "save_pretrained", lambda self, folder, **_: plain(self, folder))
    assert {name.rpartition(".")[0].rpartition(".")[2] for name in stored(adapted(root), tmp_path)} >= {"base_layer"}


@torch.no_grad()
def merged_apart(model: Any) -> float:
    """By how much the logits change when the adapter is merged."""
    for name, weight in model.named_parameters():
        if ".lora_B." in name:
            weight += 0.05
    before = model.eval()(batch()["input_ids"]).logits
    return float((model.merge_and_unload()(batch()["input_ids"]).logits - before).abs().max())


@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`")  # peft warns of it, too
def test_a_head_that_stays_tied_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert merged_apart(adapted(root, "tied")) < 1e-4
    monkeypatch.setattr(lora, "untie", lambda model: False)
    assert merged_apart(adapted(root, "tied")) > 1e-2
