"""A merged model answers as base and adapter did, whoever loads it; and the check that says so finds what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraModel, PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from skillsengine.modeling import lora, merge, recorded
from skillsengine.modeling.base import load_base
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.lora import attach, save_adapter
from skillsengine.modeling.merge import Merged
from skillsengine.spec.schema import Base, Lora
from tests.tiny import make_tiny_base

PROMPTS = [f"### Job Description: {text}\n### Skills:" for text in ("a nurse with wound care", "SQL", "TIG welding")]
TARGETS = ("q_proj", "down_proj", "lm_head")


def trained(project: Path, *, tied: bool = True, **variant: Any) -> dict[str, Any]:
    """Write `<project>/base` and `<project>/adapter`; returns what an artifact records of the base."""
    if not (project / "base").exists():
        make_tiny_base(project / "base", tied=tied)
    loaded = load_base(Base(model="base"), "cpu", bases=project, allowed_roots=(project,))
    start = project / "start"
    model = attach(loaded.model, Lora(r=4, alpha=8, target_modules=TARGETS, **variant), 1, start)
    generator = torch.Generator().manual_seed(3)
    for weight in (weight for weight in model.parameters() if weight.requires_grad):
        weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    save_adapter(model, project / "adapter", start)
    return {
        "model": "base",
        "revision": None,
        "quantization": "none",
        "weights_sha256": loaded.weights_sha256,
    }


def merged(project: Path, record: dict[str, Any], **options: Any) -> Merged:
    return merge.merge(
        project / "adapter",
        record,
        project / "merged",
        PROMPTS,
        max_new_tokens=8,
        card=lambda found: f"{found.agreement.same_answers} the same\n",
        bases=project,
        allowed_roots=(project,),
        tell=options.pop("tell", lambda text: None),
        **options,
    )


@torch.no_grad()
def logits(model: Any, tokenizer: Any) -> list[torch.Tensor]:
    return [model.eval()(**tokenizer(prompt, return_tensors="pt")).logits.float() for prompt in PROMPTS]


@pytest.mark.parametrize(
    ("tied", "variant"),
    [(True, {}), (False, {"use_dora": True}), (True, {"init_weights": "pissa", "use_rslora": True})],
)
@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`")  # peft alone leaves it tied
def test_transformers_loads_it_by_its_folder(tmp_path: Path, tied: bool, variant: dict[str, Any]) -> None:
    told: list[str] = []
    found = merged(tmp_path, trained(tmp_path, tied=tied, **variant), tell=told.append)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    untuned = logits(base, AutoTokenizer.from_pretrained(tmp_path / "base"))
    apart = PeftModel.from_pretrained(base, tmp_path / "adapter")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "merged")
    for one, other, plain in zip(logits(model, tokenizer), logits(apart, tokenizer), untuned, strict=True):
        assert torch.allclose(one, other, atol=1e-4)
        assert (one - plain).abs().max() > 0.1
    assert found.agreement.same_answers == found.agreement.prompts == 3
    assert found.agreement.difference < 1e-4 < found.agreement.largest
    assert found.quantized is None
    assert found.parameters == sum(weight.numel() for weight in model.parameters())
    assert sorted(path.name for path in (tmp_path / "merged").iterdir()) == [
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert (config["tie_word_embeddings"], config["dtype"]) == (False, "float32")
    assert model.generation_config.max_new_tokens == 8
    assert (tmp_path / "merged" / "README.md").read_text() == "3 the same\n"
    assert str(tmp_path) not in "".join(path.read_text() for path in (tmp_path / "merged").glob("*.json"))
    assert told[0] == "0 million parameters in float32: about 0.0 GB of memory"
    assert told[-1] == "loading what was written, and answering again"


def test_into_bfloat16(tmp_path: Path) -> None:
    found = merged(tmp_path, trained(tmp_path), dtype="bfloat16")
    assert 1e-4 < found.agreement.difference <= 0.05 * found.agreement.largest
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "merged").dtype == torch.bfloat16


@pytest.mark.parametrize("quantization", ["nf4", pytest.param("int8", marks=pytest.mark.nightly)])
def test_of_a_quantized_base_the_unquantized_one_is_merged(tmp_path: Path, quantization: str) -> None:
    found = merged(tmp_path, trained(tmp_path) | {"quantization": quantization})
    assert found.agreement.difference < 1e-4
    assert found.quantized is not None
    assert found.quantized.difference > 1e-3, "the quantized base answers a little otherwise"
    assert "quantization_config" not in (tmp_path / "merged" / "config.json").read_text()


def test_answers_may_part_at_near_ties_in_sixteen_bits_alone() -> None:
    parted = merge.Agreement(prompts=4, same_answers=3, difference=0.5, largest=30.0)
    merge._require_agreement(parted, "bfloat16")
    with pytest.raises(ModelError, match=r"1 of 4 answers differ, logits by up to 0\.5 \(at most 0\.03 is rounding\)"):
        merge._require_agreement(parted, "float32")
    for difference in (2.0, float("nan")):
        with pytest.raises(ModelError, match="Take --dtype float32, where rounding is small"):
            merge._require_agreement(merge.Agreement(4, 4, difference, 30.0), "bfloat16")


def _nothing_left(project: Path) -> bool:
    return not [path for path in project.iterdir() if "merged" in path.name or "merging" in path.name]


@pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True`")  # peft warns of it, too
def test_a_head_that_stays_tied_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = trained(tmp_path)
    monkeypatch.setattr(lora, "untie", lambda model: False)
    with pytest.raises(ModelError, match=r"does not answer as base and adapter did: \d of 3 .* Nothing was written"):
        merged(tmp_path, record)
    assert _nothing_left(tmp_path)


@pytest.mark.parametrize("quantization", ["int8", pytest.param("nf4", marks=pytest.mark.nightly)])
@pytest.mark.filterwarnings("ignore:Merge lora module to")  # peft warns of it, too
def test_merging_into_quantized_weights_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quantization: str
) -> None:
    record = trained(tmp_path)
    plain = recorded.base_of
    monkeypatch.setattr(
        recorded, "base_of", lambda record, roots: plain({**record, "quantization": quantization}, roots)
    )
    with pytest.raises(ModelError, match="does not answer as base and adapter did"):
        merged(tmp_path, record)
    assert _nothing_left(tmp_path)


def test_an_adapter_that_is_forgotten_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = trained(tmp_path)
    monkeypatch.setattr(LoraModel, "merge_and_unload", lambda self, **_: self.unload())
    with pytest.raises(ModelError, match="3 of 3 answers differ"):
        merged(tmp_path, record)
    assert _nothing_left(tmp_path)


def test_where_something_is_nothing_is_written(tmp_path: Path) -> None:
    record = trained(tmp_path)
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "mine.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"merged is not empty, and nothing is overwritten\. Name a new folder"):
        merged(tmp_path, record)
    (tmp_path / "merged" / "mine.txt").unlink()
    merged(tmp_path, record)
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    with pytest.raises(ModelError, match=r"/nowhere does not exist.*Make it first"):
        merge.merge(
            tmp_path / "adapter",
            record,
            tmp_path / "nowhere" / "merged",
            PROMPTS,
            max_new_tokens=8,
            card=str,
            bases=tmp_path,
            allowed_roots=(tmp_path,),
            tell=lambda text: None,
        )


def test_a_base_that_is_gone(tmp_path: Path) -> None:
    record = trained(tmp_path)
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match=r"trained on the local folder `base`, which is in none of .*Move or copy it"):
        merged(tmp_path, record)


def test_a_full_disk_is_told_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = trained(tmp_path)
    usage = merge.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(merge.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    told: list[str] = []
    with pytest.raises(ModelError, match=r"no room for the merged model in .*: it takes 0\.0 GB, and 0\.0 GB are free"):
        merged(tmp_path, record, tell=told.append)
    assert told == []
