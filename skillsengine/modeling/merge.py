"""Merge an adapter into its unquantized base, and show that the merged model answers as the two of them did.

The check is made on what was written, loaded back by its path as others will load it: so it also finds a head that came back
tied to the embedding, and a base whose quantized weights were merged into.
"""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, GenerationConfig

from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.encoding import encode_prompt
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import generate
from skillsengine.modeling.location import locate
from skillsengine.modeling.recorded import base_of, load_recorded

Dtype = Literal["float32", "bfloat16"]
BOUNDS: Mapping[Dtype, float] = {"float32": 1e-3, "bfloat16": 5e-2}
"""Largest difference of a logit that rounding is taken to explain, as a share of the largest logit."""
_SHARD = "5GB"


@dataclass(frozen=True)
class Agreement:
    """How far two models agree on some prompts."""

    prompts: int
    same_answers: int
    difference: float
    """Largest absolute difference of a logit, over all tokens of the prompts."""
    largest: float
    """Largest absolute logit."""


@dataclass(frozen=True)
class Merged:
    """What was written and how it was checked."""

    parameters: int
    dtype: Dtype
    agreement: Agreement
    """With base and adapter unmerged, in the same number format."""
    quantized: Agreement | None
    """With the quantized base that the adapter was trained on; None where it was trained on an unquantized one."""


@dataclass(frozen=True)
class _Answers:
    texts: list[str]
    logits: list[torch.Tensor]
    """One a prompt, shape (tokens of the prompt, vocabulary), float32 on the CPU."""


def merge(
    adapter: Path,
    record: Mapping[str, Any],
    out: Path,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    card: Callable[[Merged], str],
    dtype: Dtype = "float32",
    device: str = "cpu",
    bases: Path,
    allowed_roots: Sequence[Path],
    tell: Callable[[str], None],
) -> Merged:
    """Write base and adapter as one model into `out`, whole or not at all: safetensors, tokenizer, generation settings, and
    README.md as `card` makes it.

    `record`: the base as the adapter's artifact recorded it. `prompts` are answered before and after, with at most
    `max_new_tokens` each. `tell` is told what is being done.

    Raises ModelError where `out` holds something, the base or the adapter cannot be loaded, the disk has no room, or the
    merged model does not answer as before.
    """
    _require_empty(out)
    width = 4 if dtype == "float32" else 2
    location = locate(base_of(record, allowed_roots), bases=bases, allowed_roots=allowed_roots, tokenizer_only=True)
    if known := _parameters_of(location.folder):
        _require_room(out, known * width)
        tell(f"{known / 1e6:,.0f} million parameters in {dtype}: about {1.2 * known * width / 2**30:.1f} GB of memory")
    quantized = None
    if record["quantization"] != "none":
        tell(f"answers on the {record['quantization']} base that it was trained on")
        trained_on = load_recorded(record, adapter, device, bases=bases, allowed_roots=allowed_roots)
        quantized = _answers(trained_on, prompts, max_new_tokens)
        del trained_on
        gc.collect()
    tell(f"loading the base {record['model']} in {dtype}")
    loaded = load_recorded(
        {**record, "quantization": "none"}, adapter, device, bases=bases, allowed_roots=allowed_roots, dtype=dtype
    )
    parameters = sum(weight.numel() for name, weight in loaded.model.named_parameters() if "lora_" not in name)
    _require_room(out, parameters * width)
    tell(f"answers to {len(prompts)} prompts before merging")
    before = _answers(loaded, prompts, max_new_tokens)
    tell("merging")
    merged = loaded.model.merge_and_unload(safe_merge=True)
    building = out.with_name(f".{out.name}.merging")
    shutil.rmtree(building, ignore_errors=True)
    try:
        tell(f"writing {parameters * width / 2**30:.1f} GB")
        _write(merged, loaded, building, max_new_tokens)
        del merged
        loaded = replace(loaded, model=None)
        gc.collect()
        tell("loading what was written, and answering again")
        model = AutoModelForCausalLM.from_pretrained(building, dtype=dtype, device_map={"": device}).eval()
        after = _answers(replace(loaded, model=model), prompts, max_new_tokens)
        agreement = _agreement(before, after)
        _require_agreement(agreement, dtype)
        off = None if quantized is None else _agreement(quantized, after)
        result = Merged(parameters, dtype, agreement, off)
        (building / "README.md").write_text(card(result), encoding="utf-8")
        for path in building.rglob("*"):
            path.chmod(0o644)  # safetensors writes for the owner alone, and others serve it
        building.replace(out)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return result


def _require_empty(out: Path) -> None:
    """Raise ModelError where `out` holds something, or stands where nothing can be written."""
    if out.is_dir() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise ModelError(f"{out} is not empty, and nothing is overwritten. Name a new folder, or remove it first.")
    if not out.absolute().parent.is_dir():
        raise ModelError(
            f"{out.absolute().parent} does not exist: the folder around the new one must be there. Make it first."
        )


def _parameters_of(folder: Path) -> int:
    """Numbers that the *.safetensors files of a folder hold, read from their headers; 0 where they are not there yet."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            total += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def _require_room(out: Path, size: int) -> None:
    free = shutil.disk_usage(out.absolute().parent).free
    if free < size:
        raise ModelError(
            f"no room for the merged model in {out.absolute().parent}: it takes {size / 2**30:.1f} GB, and "
            f"{free / 2**30:.1f} GB are free on that disk. Free some, name a folder on another disk, or take --dtype bfloat16 "
            "(half the size)."
        )


def _write(merged: Any, loaded: LoadedBase, folder: Path, max_new_tokens: int) -> None:
    # A base may ship sampling values; what was checked are greedy answers.
    old = merged.generation_config
    merged.generation_config = GenerationConfig(
        bos_token_id=old.bos_token_id,
        eos_token_id=old.eos_token_id if old.eos_token_id is not None else loaded.tokenizer.eos_token_id,
        pad_token_id=loaded.tokenizer.pad_token_id,
        do_sample=False,
        max_new_tokens=max_new_tokens,
    )
    merged.save_pretrained(folder, max_shard_size=_SHARD)
    loaded.tokenizer.save_pretrained(folder)


@torch.inference_mode()
def _answers(loaded: LoadedBase, prompts: Sequence[str], max_new_tokens: int) -> _Answers:
    texts = generate(loaded, prompts, max_new_tokens=max_new_tokens, batch_size=1)
    logits = []
    for prompt in prompts:
        ids = torch.tensor([encode_prompt(prompt, loaded.tokenizer)[: loaded.context_length]], device=loaded.device)
        logits.append(loaded.model(input_ids=ids, use_cache=False).logits[0].float().cpu())
    return _Answers(texts, logits)


def _agreement(before: _Answers, after: _Answers) -> Agreement:
    pairs = list(zip(before.logits, after.logits, strict=True))
    return Agreement(
        prompts=len(before.texts),
        same_answers=sum(one == other for one, other in zip(before.texts, after.texts, strict=True)),
        difference=max(float((one - other).abs().max()) for one, other in pairs),
        largest=max(float(one.abs().max()) for one, _ in pairs),
    )


def _require_agreement(found: Agreement, dtype: Dtype) -> None:
    bound = BOUNDS[dtype] * found.largest
    differing = found.prompts - found.same_answers
    # In 16 bits rounding decides between tokens that are nearly as likely: measured on SmolLM2, one answer of two differed
    # with logits within the bound. Such answers are counted and told. `not <=` finds NaN too.
    if not found.difference <= bound or (differing and dtype == "float32"):
        rounding = " Take --dtype float32, where rounding is small." if dtype == "bfloat16" else ""
        raise ModelError(
            f"the merged model does not answer as base and adapter did: {differing} of {found.prompts} answers differ, logits "
            f"by up to {found.difference:.2g} (at most {bound:.2g} is rounding). Nothing was written.{rounding}"
        )
