"""The sizes of a base, from its config.json where that is on this machine, without loading a model or asking the Hub."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from skillsengine.pipeline.estimate import Shape
from skillsengine.pipeline.plan import base_roots
from skillsengine.settings import Settings
from skillsengine.spec.schema import BUILTIN_BASE, Base, Experiment

_KNOWN_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
"""`model_type` of those whose layers are as `Shape` has them."""
_BUILTIN = Shape(hidden=576, feed_forward=1536, layers=30, keys=192, queries=576, vocabulary=49152, tied=True)
_LLAMA_2 = {
    "7b": Shape(hidden=4096, feed_forward=11008, layers=32, keys=4096, queries=4096, vocabulary=32000, tied=False),
    "13b": Shape(hidden=5120, feed_forward=13824, layers=40, keys=5120, queries=5120, vocabulary=32000, tied=False),
    "70b": Shape(hidden=8192, feed_forward=28672, layers=80, keys=1024, queries=8192, vocabulary=32000, tied=False),
}
"""From their config.json (Touvron et al., 2023, appendix A)."""


def shape_of(experiment: Experiment, settings: Settings, *, trusted: bool = False) -> Shape | None:
    """The shape of `base`: built in, a folder that the spec may read, or a Hub model whose config.json is in the Hub's cache;
    Llama-2's are known. None for any other base, and for architectures that are built otherwise."""
    base = experiment.base
    if base.model == BUILTIN_BASE:
        return _BUILTIN
    folder = (settings.project / base.model).resolve()
    if base.model.startswith((".", "/")) or folder.is_dir():
        roots = base_roots(experiment, settings, trusted=trusted)
        inside = any(folder.is_relative_to(root.resolve()) for root in roots)
        return _read(folder / "config.json") if inside else None
    cached = _in_cache(base)
    if cached is not None:
        return _read(cached)
    named = re.fullmatch(r"meta-llama/llama-2-(7b|13b|70b)(-chat)?(-hf)?", base.model, re.IGNORECASE)
    return _LLAMA_2[named[1].lower()] if named else None


def _in_cache(base: Base) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None  # a control plane without the extra `hf` has no cache of the Hub's either
    hub = importlib.import_module("huggingface_hub")
    try:
        found = hub.try_to_load_from_cache(base.model, "config.json", revision=base.revision)
    except hub.errors.HFValidationError:
        return None  # no Hub id: a run says which forms there are
    return Path(found) if isinstance(found, str) else None


def _read(path: Path) -> Shape | None:
    try:
        return shape_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None  # no model, or a broken one: a run and `doctor` say so


def shape_from(config: Any) -> Shape | None:
    """The shape that a config.json of transformers describes; None for other families, and where a size is missing."""
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    if not isinstance(config, dict) or config.get("model_type") not in _KNOWN_FAMILIES:
        return None
    if config.get("attention_bias") or config.get("mlp_bias"):
        return None
    sizes = [config.get(name) for name in names]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        return None
    hidden, feed_forward, layers, heads, vocabulary = (int(config[name]) for name in names)
    head = int(config.get("head_dim") or hidden // heads)
    queries, keys = heads * head, int(config.get("num_key_value_heads") or heads) * head
    # qwen2's queries, keys and values have biases; qwen3 norms queries and keys head by head.
    extra = {"qwen2": queries + 2 * keys, "qwen3": 2 * head}.get(config["model_type"], 0)
    tied = bool(config.get("tie_word_embeddings", False))
    return Shape(hidden, feed_forward, layers, keys, queries, vocabulary, tied, extra)
