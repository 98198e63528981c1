"""A base as an artifact recorded it (`base.json`), found again and checked, with the artifact's adapter on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.lora import load_adapter
from skillsengine.spec.schema import BUILTIN_BASE, Base


def load_recorded(
    record: Mapping[str, Any],
    adapter: Path,
    device: str,
    *,
    bases: Path,
    allowed_roots: Sequence[Path],
    dtype: str | None = None,
) -> LoadedBase:
    """The base that `record` ({"model", "revision", "quantization", "weights_sha256"}) tells, with the adapter of the
    folder `adapter` on it, for inference on `device`. A local base is looked for in all of `allowed_roots`. `dtype` as in
    `load_base`.

    Raises ModelError where the base cannot be found or loaded, where its weights are no longer those that the adapter
    was trained on, and where the adapter does not fit.
    """
    expected = record.get("weights_sha256")
    loaded = load_base(base_of(record, allowed_roots), device, bases=bases, allowed_roots=allowed_roots, dtype=dtype)
    if expected and loaded.weights_sha256 != expected:
        raise ModelError(
            f"base.model: `{record['model']}` has changed since the adapter was trained on it: the sha256 of its weights is "
            f"{loaded.weights_sha256}, it was {expected}. Put the old weights back, or train again on the new ones."
        )
    return load_adapter(loaded, adapter)


def base_of(record: Mapping[str, Any], allowed_roots: Sequence[Path]) -> Base:
    """The base that `record` tells, by the name that it is loaded by here. Raises ModelError where its folder is gone."""
    return Base(
        model=_find(str(record["model"]), bool(record.get("weights_sha256")), allowed_roots),
        revision=record.get("revision"),
        quantization=record["quantization"],
    )


def _find(model: str, is_folder: bool, allowed_roots: Sequence[Path]) -> str:
    """The name to load `model` by: of a local folder its path, wherever below the roots it is."""
    if model == BUILTIN_BASE or not is_folder or Path(model).is_absolute():
        return model
    for root in allowed_roots:
        if (root / model).is_dir():
            return str((root / model).resolve())
        # A root may be the base's own folder: one named on the command line.
        if root.name == Path(model).name and root.is_dir():
            return str(root.resolve())
    places = ", ".join(str(root) for root in allowed_roots)
    raise ModelError(
        f"base.model: the adapter was trained on the local folder `{model}`, which is in none of {places}. Move or copy it "
        "there, or add the folder that holds it to SKILLSENGINE_DATA_ROOTS."
    )
