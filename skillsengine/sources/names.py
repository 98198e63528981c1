"""What the names of a source's files say: whether they are read, and which split they are."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from skillsengine.sources.errors import SourceError
from skillsengine.sources.reading.formats import SUFFIXES, format_of

_SPLITS = {"train": "train", "validation": "validation", "dev": "validation", "valid": "validation"} | {
    "val": "validation",
    "test": "test",
}
# The Hub's name of one part of a split: train-00000-of-00002, with a hash behind it in older data sets.
_SHARD = re.compile(r"(?P<stem>.+?)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(-[0-9a-f]{16})?")
# What holds data, and is not read: ending -> how to mend it. A source never passes over one of these in silence.
_MENDS = {
    **dict.fromkeys((".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar"), "unpack it"),
    **dict.fromkeys((".bz2", ".xz", ".zst", ".lz4"), "unpack it, or pack it with gzip"),
    ".parquet.gz": "unpack it: Parquet is packed in itself",
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), "save the sheet as CSV"),
    **dict.fromkeys((".arrow", ".feather", ".avro", ".orc", ".sqlite", ".db", ".duckdb"), "write it as Parquet"),
    **dict.fromkeys(
        (".pkl", ".pickle", ".npy", ".npz", ".pt"), "write it as Parquet: it may hold code, and is never read"
    ),
    **dict.fromkeys((".xml", ".txt", ".html", ".pdf", ".docx", ".yaml", ".yml"), "write it as JSON lines or CSV"),
}
# What the Hub's own tools write beside the data.
_ABOUT_DATA = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
_DOCUMENTS = frozenset({".txt", ".html", ".pdf", ".xml", ".yaml", ".yml", ".docx"})
"""Beside data these are no data; named alone they are told how to become it."""


def is_read(name: str) -> bool:
    """Whether a file of this name, found in a folder, is read."""
    return not name.startswith(".") and name not in _ABOUT_DATA and format_of(name) is not None


def is_split(name: str) -> bool:
    """Whether a folder of this name is one split."""
    return name in _SPLITS


def unread(name: str) -> str | None:
    """`ads.zip (unpack it)` for what looks like data and is not read; None for all else."""
    ending, mend = _mend(name)
    return None if mend is None or ending in _DOCUMENTS or name.startswith(".") else f"{name} ({mend})"


def refusal(uri: str) -> str:
    """Why a file that a source names is not read, with what is read and the mend."""
    mend = _mend(uri)[1]
    return f"{uri} is not read: {listed()}.{f' {mend[0].upper()}{mend[1:]}.' if mend else ' Call it by what is in it.'}"


def listed() -> str:
    """What is read, for error texts."""
    plain = [suffix for suffix in SUFFIXES if not suffix.endswith(".gz")]
    return f"a source is a file whose name ends in {', '.join(plain)} (all but Parquet also with .gz behind it)"


def _mend(name: str) -> tuple[str, str | None]:
    lowered = name.lower()
    ending = max((ending for ending in _MENDS if lowered.endswith(ending)), key=len, default="")
    return ending, _MENDS.get(ending)


def one_format(place: str, names: Sequence[str]) -> None:
    """Raises SourceError if files that a source takes together are not of one format."""
    first: dict[str, str] = {}
    for name in names:
        if kind := format_of(name):
            first.setdefault(kind.name, name)
    if len(first) > 1:
        told = " and ".join(f"{kind} ({name})" for kind, name in first.items())
        suffix = "".join(PurePosixPath(names[0]).suffixes[-1:])
        raise SourceError(
            f"{place} holds {told}: the files of a source are of one format. Name those that are meant with a glob, such as "
            f"*{suffix}, or move the others away."
        )


def splits(place: str, names: Sequence[str]) -> list[str | None]:
    """The split of each file, for all of them or for none. A name is the file's path below what the source names.

    A split is told by the file's name, alone (`train.csv`) or as one of its parts (`train-00000-of-00002.parquet`), or by
    the folder it is in. Raises SourceError where others stand beside them, where two files are the same split without
    being parts of it, and where a part is missing.
    """
    found = [_split(name) for name in names]
    others = [name for name, split in zip(names, found, strict=True) if split is None]
    if others and len(others) < len(names):
        named = ", ".join(name for name in names if name not in others)
        raise SourceError(
            f"{place}: {named} name their split, and beside them {', '.join(others)} does not. "
            "Call every file train, validation (dev, valid, val) or test, or none of them."
        )
    if not others:
        _check_parts(place, names)
    return found


def _stem(name: str) -> str:
    base = PurePosixPath(name).name
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if base.lower().endswith(suffix)), "")
    return base[: len(base) - len(suffix)]


def _split(name: str) -> str | None:
    shard = _SHARD.fullmatch(_stem(name))
    stem = shard["stem"] if shard else _stem(name)
    return _SPLITS.get(stem) or _SPLITS.get(PurePosixPath(name).parent.name)


def _check_parts(place: str, names: Sequence[str]) -> None:
    parts: dict[tuple[str, str, int], dict[int, str]] = defaultdict(dict)
    whole: dict[str, str] = {}
    for name in names:
        shard = _SHARD.fullmatch(_stem(name))
        folder = str(PurePosixPath(name).parent)
        if shard:
            parts[folder, shard["stem"], int(shard["count"])][int(shard["number"])] = name
        elif _stem(name) in _SPLITS:
            split = _SPLITS[_stem(name)]
            if split in whole:
                raise SourceError(f"{place}: {whole[split]} and {name} are both the {split} split. Keep one of them.")
            whole[split] = name
    for (folder, stem, count), numbers in parts.items():
        missing = [number for number in range(count) if number not in numbers]
        if missing:
            first = str(PurePosixPath(folder) / f"{stem}-{missing[0]:05d}-of-{count:05d}")
            raise SourceError(
                f"{place}: {len(missing)} of the {count} parts of `{stem}` are missing, the first is {first}. Copy or "
                "download the data again, whole."
            )
