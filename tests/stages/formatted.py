"""Rows, and `format` artifacts made of them without running the stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from skillsengine.stages.near_copies import SignedTexts
from skillsengine.stages.row_writer import INDEX, ROW_INDEX, SIGNATURES, write_rows
from skillsengine.stages.rows import ROWS, Row, normalized_key
from skillsengine.stages.signatures import PERMUTATIONS, Signatures, signatures_of
from skillsengine.storage.artifact import Artifact
from tests.stages.support import as_artifact


def ad_text(number: int, edits: int = 0, length: int = 100) -> str:
    """An ad of `length` words; ads of another number share nothing with it. Each edit changes one more word, from
    the beginning on: few leave a near copy."""
    random = Random(number)
    words = [f"{random.choice(('brave', 'calm', 'deft', 'keen'))}{random.randrange(10**6)}" for _ in range(length)]
    for edit in range(edits):
        words[edit] = f"edited{edit}"
    return " ".join(words)


def row(text: str, skills: Sequence[str] | None = (), *, id: str | None = None, split: str | None = None) -> Row:
    """A row as `format` makes it."""
    return Row(
        id=text[:20] if id is None else id,
        text=text,
        skills=None if skills is None else tuple(skills),
        key=normalized_key(text),
        split=split,
    )


def formatted(folder: Path, rows: Sequence[Row], key: str = "all") -> Artifact:
    """The `format` artifact of these rows."""
    folder.mkdir(parents=True)
    write_rows(folder, rows)
    splits = sorted({row.split for row in rows if row.split})
    artifact = as_artifact(folder, "format", {"rows": len(rows), "splits": splits})
    return Artifact(folder, replace(artifact.manifest, key=key))


def index_only(folder: Path, keys: NDArray[np.uint64], signatures: Signatures) -> Artifact:
    """An artifact of which only the index is there: labelled rows of these keys, in the order of `keys`; one signature for each
    distinct key, in the order of first occurrence."""
    folder.mkdir(parents=True)
    index = np.zeros(len(keys), ROW_INDEX)
    index["key"], index["labelled"] = keys, True
    np.save(folder / INDEX, index)
    np.save(folder / SIGNATURES, signatures.astype("<u4"))
    (folder / ROWS).touch()
    return as_artifact(folder, "format", {"rows": len(keys), "splits": []})


def signed(folder: Path, texts: Sequence[str], name: str) -> SignedTexts:
    """Distinct texts with their signatures on disk."""
    np.save(folder / f"{name}.npy", signatures_of(list(texts)).reshape(len(texts), PERMUTATIONS).astype("<u4"))
    keys = np.array([int(normalized_key(text), 16) for text in texts], np.uint64)
    return SignedTexts(keys, folder / f"{name}.npy")
