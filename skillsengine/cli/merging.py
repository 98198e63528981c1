"""`skillsengine merge`: base and adapter as one model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from skillsengine.cli.console import fail, out, settings_for
from skillsengine.cli.registry import find_version, require_path
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.settings import Settings
from skillsengine.spec.shots import DEFAULT_SHOTS
from skillsengine.stages.rows import read_rows
from skillsengine.storage.catalog import VersionRow
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import Store
from skillsengine.tracking.merged_card import merged_card

PROMPTS = 4
_VERSION, _BASE, _PROMPT = "version.json", "base.json", "prompt.json"
_DEFAULT_ANSWER = 96
"""Longest answer in tokens where an artifact does not say."""


@dataclass(frozen=True)
class _Source:
    """An adapter and what was recorded with it."""

    name: str
    adapter: Path
    record: dict[str, Any]
    template: str
    max_new_tokens: int
    lineage: dict[str, Any]
    card: str = ""


def add_to(app: typer.Typer) -> None:
    app.command()(merge)


def merge(
    reference: Annotated[
        str, typer.Argument(metavar="MODEL@REF", help="A version, or the folder of one or of a `finetune` artifact.")
    ],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="A folder that is empty or not there.")],
    dtype: Annotated[
        Literal["float32", "bfloat16"] | None,
        typer.Option(help="Number format of the merged model. Default: float32 on a CPU, bfloat16 on CUDA."),
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where it is merged and checked.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Merge an adapter into its base: one model that transformers and vLLM load by its folder.

    The base is loaded unquantized, for a quantized one cannot take an update exactly. A few ads of the version's own
    test are answered before and after; unless the answers agree, nothing is written.

    Example: `skillsengine merge job-skills-demo@champion merged-model`
    """
    settings = settings_for()
    store = open_store(settings)
    source, texts = _find(reference, settings, store)
    tell: Callable[[str], None] = (lambda text: None) if as_json else (lambda text: out.print(text, markup=False))
    chosen = dtype or ("float32" if device == "cpu" else "bfloat16")
    merging = import_heavy("skillsengine.modeling.merge")
    done = merging.merge(
        source.adapter,
        source.record,
        target,
        [source.template.replace("{text}", text) for text in texts],
        max_new_tokens=source.max_new_tokens,
        card=lambda merged: _card(source, merged),
        dtype=chosen,
        device=device,
        bases=store.bases,
        allowed_roots=settings.allowed_roots,
        tell=tell,
    )
    if as_json:
        facts = {"version": source.name, "folder": str(target), "parameters": done.parameters, "dtype": done.dtype}
        quantized = None if done.quantized is None else vars(done.quantized)
        facts |= {"agreement": vars(done.agreement), "quantized": quantized}
        sys.stdout.write(json.dumps(facts) + "\n")
        return
    for line in _checked(source, done):
        out.print(line, markup=False)
    out.print(f"written {target}", markup=False)


def _find(reference: str, settings: Settings, store: Store) -> tuple[_Source, list[str]]:
    """The adapter, and texts to try it on."""
    built_in = [shot["text"] for shot in DEFAULT_SHOTS][:PROMPTS]
    folder = Path(reference)
    if (folder / _VERSION).is_file():
        return _version_in(folder), built_in
    if (folder / _BASE).is_file():
        return _artifact_in(folder), built_in
    if folder.is_dir():
        raise fail(
            f"{reference} is neither a version's folder (it holds no {_VERSION}) nor a finetune artifact (no {_BASE}). "
            "`skillsengine versions` lists the versions."
        )
    version, _ = find_version(reference, settings)
    kept = store.version_folder(require_path(version), version.artifact_digest)
    return _version_in(kept), list(_tested(version, store)) or built_in


def _tested(version: VersionRow, store: Store) -> Iterable[str]:
    """The first ads that the version was scored on, where the store still has them."""
    cell = store.get("evaluate", digest) if (digest := version.lineage.get("evaluate", {}).get("adapter")) else None
    rows = store.get("format", cell.manifest.inputs["format"]) if cell and "format" in cell.manifest.inputs else None
    return (row.text for row in islice(read_rows(rows), PROMPTS)) if rows else ()


def _version_in(folder: Path) -> _Source:
    told = _read(folder / _VERSION)
    card = folder / "README.md"
    return _Source(
        f"{told['model']}@{told['number']}",
        folder,
        told["base"],
        told["prompt"]["template"],
        told["max_new_tokens"],
        told["lineage"],
        card.read_text(encoding="utf-8") if card.is_file() else "",
    )


def _artifact_in(folder: Path) -> _Source:
    template = _read(folder / _PROMPT)["template"]
    return _Source(
        folder.name, folder / "adapter", _read(folder / _BASE), template, _DEFAULT_ANSWER, {"finetune": folder.name}
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise fail(f"{path} cannot be read ({error}). Register or train the adapter again.") from error
    return read


def _card(source: _Source, done: Any) -> str:
    return merged_card(
        version=source.name,
        record=source.record,
        template=source.template,
        max_new_tokens=source.max_new_tokens,
        lineage=source.lineage,
        adapter_card=source.card,
        dtype=done.dtype,
        checked="\n".join(_checked(source, done)),
    )


def _checked(source: _Source, done: Any) -> list[str]:
    same = done.agreement
    told = "the same answers"
    if same.same_answers < same.prompts:
        told = (
            f"{same.same_answers} of {same.prompts} answers are the same (rounding to {done.dtype} decides near ties)"
        )
    lines = [
        f"Checked on {same.prompts} prompts against base and adapter apart: {told}, and logits that differ by at most "
        f"{same.difference:.2g} (the largest is {same.largest:.3g})."
    ]
    if (other := done.quantized) is not None:
        lines.append(
            f"The adapter was trained on the base in {source.record['quantization']}: there {other.same_answers} of "
            f"{other.prompts} answers are the same, and logits differ by up to {other.difference:.2g}."
        )
    return lines
