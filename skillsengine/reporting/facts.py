"""What a version is, and what its training was, in a few words each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skillsengine.pipeline.cells import trained_partitions
from skillsengine.reporting.figures.steps import Steps
from skillsengine.reporting.render import count, fixed, share, took
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.spec.schema import Lora
from skillsengine.storage.catalog import VersionRow

Facts = list[tuple[str, str]]


def facts(version: VersionRow, run: Steps | None) -> Facts:
    """(name, words) of what made the version."""
    return list(_facts(version, run))


def _facts(version: VersionRow, run: Steps | None) -> Iterator[tuple[str, str]]:
    spec = version.spec
    base, data = spec.get("base", {}), spec.get("data", {})
    if base:
        revision = f" at {str(base['revision'])[:12]}" if base.get("revision") else ""
        yield "base", f"{base['model']}{revision}"
        yield "quantization", str(base["quantization"])
    if "lora" in spec:
        yield "adapter", f"LoRA {Lora.model_validate(spec['lora']).in_words}"
    trained = [key for key in trained_partitions(version) if key != STATIC_KEY]
    if trained:
        yield "trained on", trained[0] if len(trained) == 1 else f"{trained[0]} to {trained[-1]} ({len(trained)})"
    if data:
        yield "data", str(data["source"])
    if spec.get("owner"):
        yield "owner", str(spec["owner"])
    if run is not None:
        yield "work of its run", took(run.seconds)


def training_facts(summary: Mapping[str, Any]) -> Facts:
    """(name, words) of a summary of `finetune`; what was not measured is left out."""
    told = (
        ("optimizer steps", count, "steps"),
        ("epochs", lambda value: f"{value:g}", "epochs"),
        ("training loss", fixed, "train_loss"),
        ("validation loss", fixed, "validation_loss"),
        ("validation F1", fixed, "validation_f1"),
        ("training texts", count, "train_rows"),
        ("validation texts", count, "validation_rows"),
        ("tokens trained on", count, "tokens"),
        ("tokens a second", count, "tokens_per_second"),
        ("time of its steps", took, "seconds"),
        ("padding", share, "padding_share"),
        ("model FLOP utilization", share, "model_flop_utilization"),
        ("peak memory", lambda value: f"{value:.1f} GB", "peak_memory_gb"),
        ("trained parameters", count, "trainable_parameters"),
        ("trial chosen", str, "trial"),
    )
    return [(name, words(summary[key])) for name, words, key in told if summary.get(key) is not None]
