"""A base that is held answers as one that was loaded anew, whatever adapter was on it before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from skillsengine.modeling import held
from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.held import holding, recorded
from skillsengine.modeling.lora import attach, save_adapter
from skillsengine.modeling.recorded import load_recorded
from skillsengine.spec.schema import Base, Lora
from tests.tiny import make_tiny_base

TARGETS = {"attention": ("q_proj", "v_proj"), "output": ("down_proj", "lm_head"), "dora": ("q_proj",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bases `a` and `b`, and for each an adapter of every kind, at random."""
    folder = tmp_path_factory.mktemp("held")
    for seed, name in enumerate(("a", "b")):
        make_tiny_base(folder / name, tied=True, seed=seed)
        for kind, targets in TARGETS.items():
            loaded = load_base(Base(model=str(folder / name)), "cpu", bases=folder, allowed_roots=(folder,))
            lora = Lora(r=4, alpha=8, target_modules=targets, use_dora=kind == "dora")
            model = attach(loaded.model, lora, seed=seed)
            for key, weight in model.named_parameters():
                if "lora_B" in key:
                    torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(seed))
            save_adapter(model, folder / f"{name}-{kind}", folder / "unused")
    return folder


def load(folder: Path, name: str, load_with: Any = recorded) -> LoadedBase:
    base, _, _ = name.partition("-")
    record = {"model": str(folder / base), "revision": None, "quantization": "none", "weights_sha256": None}
    loaded: LoadedBase = load_with(record, folder / name, "cpu", bases=folder, allowed_roots=(folder,))
    return loaded


def logits(loaded: LoadedBase) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = loaded.model(input_ids=torch.arange(3, 40)[None]).logits
        return found


def test_one_after_the_other_answers_as_each_alone(folder: Path) -> None:
    order = [
        "a-attention",
        "a-attention",
        "a-output",
        "a-attention",
        "a-dora",
        "a-output",
        "b-output",
        "b-attention",
        "a-dora",
    ]
    with holding():
        for name in order:
            assert torch.equal(logits(load(folder, name)), logits(load(folder, name, load_recorded))), name


def test_a_base_is_loaded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    def counted(record: Any, adapter: Path, *args: Any, **named: Any) -> LoadedBase:
        loads.append(adapter.name)
        return load_recorded(record, adapter, *args, **named)

    monkeypatch.setattr(held, "load_recorded", counted)
    with holding():
        for name in ("a-attention", "a-output", "a-dora", "b-output", "b-attention"):
            with holding():
                load(folder, name)
    assert loads == ["a-attention", "b-output"]
    load(folder, "b-attention")
    assert loads[2:] == ["b-attention"], "outside nothing is held"
    assert held._held is None


def test_an_untuned_base_is_loaded_once_and_never_taken_from_under_an_adapter(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Base(model=str(folder / "a"))
    loads: list[str] = []

    def counted(base: Base, *args: Any, **named: Any) -> LoadedBase:
        loads.append(base.model)
        return load_base(base, *args, **named)

    monkeypatch.setattr(held, "load_base", counted)
    with holding():
        tuned = logits(load(folder, "a-attention"))
        plain = [logits(held.untuned(base, "cpu", bases=folder, allowed_roots=(folder,))) for _ in range(3)]
        assert loads == [base.model]
        assert all(torch.equal(plain[0], each) for each in plain) and not torch.equal(plain[0], tuned)
        assert torch.equal(logits(load(folder, "a-attention")), tuned)


def test_sabotage_an_adapter_that_is_not_taken_off_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft import PeftModel

    monkeypatch.setattr(PeftModel, "unload", lambda self: self.merge_and_unload(), raising=False)
    with holding():
        load(folder, "a-attention")
        assert not torch.allclose(
            logits(load(folder, "a-dora")), logits(load(folder, "a-dora", load_recorded)), atol=1e-3
        )


def test_what_cannot_be_loaded_leaves_nothing_behind(folder: Path) -> None:
    with holding():
        load(folder, "a-attention")
        with pytest.raises(Exception, match="is no adapter"):
            load(folder, "a-nothing")
        assert torch.equal(logits(load(folder, "a-dora")), logits(load(folder, "a-dora", load_recorded)))
