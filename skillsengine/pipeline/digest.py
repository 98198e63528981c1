"""Canonical form and hashes: two artifacts with the same digest were determined by the same things."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SAMPLE_BYTES = 1 << 20


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises ValueError for NaN and infinities, which equal nothing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(stage: str, version: int, key: str | None, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """sha256 in hex of everything that determines an artifact."""
    whole = {"stage": stage, "version": version, "key": key, "config": dict(config), "inputs": dict(inputs)}
    return hashlib.sha256(canonical(whole).encode()).hexdigest()


def folder_fingerprint(folder: Path) -> str:
    """sha256 over the names, sizes and first and last MiB of a folder's files: tells two local base models apart
    without reading tens of gigabytes at every plan."""
    whole = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        size = path.stat().st_size
        whole.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        with path.open("rb") as file:
            whole.update(file.read(_SAMPLE_BYTES))
            if size > _SAMPLE_BYTES:
                file.seek(max(_SAMPLE_BYTES, size - _SAMPLE_BYTES))
                whole.update(file.read())
    return whole.hexdigest()
