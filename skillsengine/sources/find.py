"""Sources and their partitions: which files a spec's `data.source` means, for which month.

A source is a file or a folder of JSON lines. `{partition}` in it stands for a key, and makes it dated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from skillsengine.storage.files import sha256_of

PLACEHOLDER = "{partition}"
STATIC_KEY = "all"
"""Key of the only partition of a source that is not dated."""
SUFFIX = ".jsonl"
_KEY = r"[0-9]{4}-[0-9]{2}"
_SPLITS = {"train": "train", "validation": "validation", "dev": "validation", "valid": "validation"} | {
    "val": "validation",
    "test": "test",
}


class SourceError(Exception):
    """A source cannot be read as asked; the text says what was looked for, where, and how to mend it."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a source."""

    path: Path
    sha256: str
    """Of the bytes, when the plan was made."""
    split: str | None = None
    """`train`, `validation` or `test` where the file's name says so."""


def parse_key(key: str) -> date:
    """`2026-03` -> the month's first day. Raises SourceError for anything else."""
    if re.fullmatch(_KEY, key):
        year, month = int(key[:4]), int(key[5:])
        if year >= 1 and 1 <= month <= 12:
            return date(year, month, 1)
    raise SourceError(f"`{key}` is no partition: a month is written as YYYY-MM, such as 2026-03.")


def key_of(day: date) -> str:
    """The key of the partition that a day belongs to."""
    return f"{day.year:04d}-{day.month:02d}"


def previous(key: str, n: int) -> list[str]:
    """The `n` keys before `key`, oldest first. Raises SourceError for a bad key, or before the year 1."""
    first = parse_key(key)
    months = first.year * 12 + first.month - 1
    if months - n < 12:
        raise SourceError(f"there are no {n} months before {key}: choose a smaller data.window.")
    return [f"{m // 12:04d}-{m % 12 + 1:02d}" for m in range(months - n, months)]


def is_complete(key: str, now: datetime) -> bool:
    """Whether the period of `key` is over in UTC at the aware time `now`. Raises SourceError for a bad key."""
    if now.tzinfo is None:
        raise ValueError(f"{now}: whether a month is over needs an aware time")
    present = now.astimezone(UTC)
    first = parse_key(key)
    return (present.year, present.month) > (first.year, first.month)


def is_dated(source: str) -> bool:
    """Whether a source has partitions."""
    return PLACEHOLDER in source


def resolve_source(
    source: str,
    project: Path,
    allowed_roots: Iterable[Path],
    *,
    partition: str | None,
    trusted: bool = False,
) -> tuple[SourceFile, ...]:
    """The files of a source, hashed, in the order of their names.

    `partition` is a key for a dated source, None or `all` for a static one. `trusted` sources were named on the command
    line and may lie anywhere. In a folder, files called train, validation (dev, valid, val) and test name their split.

    Raises SourceError: nothing there, no JSON lines, outside of the roots (also through a link), a scheme that is not
    read yet, split files beside others, or a file that cannot be read.
    """
    with _looking(source):
        _refuse_schemes(source)
        _fits(source, partition)
        roots = None if trusted else tuple(root.resolve() for root in allowed_roots)
        path = _place(source, project, partition or STATIC_KEY)
        _inside(path, roots, source)
        if not path.exists():
            raise SourceError(_nothing_at(path, source, project, partition))
        if not path.is_dir():
            if path.suffix != SUFFIX:
                raise SourceError(f"{path} is not read: a source is JSON lines, in a file whose name ends in {SUFFIX}.")
            return (SourceFile(path, sha256_of(path)[0]),)
        files = _in_folder(path)
        for file in files:
            _inside(file, roots, source)
        splits = _splits(path, files)
        return tuple(SourceFile(file, sha256_of(file)[0], splits.get(file)) for file in files)


def available_partitions(source: str, project: Path, allowed_roots: Iterable[Path], trusted: bool = False) -> list[str]:
    """The keys of a dated source whose file, or folder with a file in it, is there; sorted, complete or not.

    Raises SourceError: not dated, outside of the roots, a scheme that is not read yet, or a folder that cannot be read.
    """
    with _looking(source):
        _refuse_schemes(source)
        if not is_dated(source):
            raise SourceError(f"data.source {source} has no partitions: there is no `{PLACEHOLDER}` in it.")
        parts = Path(source).parts
        first = next(i for i, part in enumerate(parts) if PLACEHOLDER in part)
        folder = project.joinpath(*parts[:first])
        _inside(folder, None if trusted else tuple(root.resolve() for root in allowed_roots), source)
        if not folder.is_dir():
            return []
        # The first placeholder of the name is captured; a second one must say the same.
        pattern = re.escape(parts[first]).replace(re.escape(PLACEHOLDER), f"(?P<key>{_KEY})", 1)
        pattern = pattern.replace(re.escape(PLACEHOLDER), "(?P=key)")
        found = (re.fullmatch(pattern, entry.name) for entry in folder.iterdir())
        keys = sorted({match["key"] for match in found if match and _is_key(match["key"])})
        return [key for key in keys if _has_data(_place(source, project, key))]


@contextmanager
def _looking(source: str) -> Iterator[None]:
    """What the system says about a path (no permission, a circle of links, a name too long) becomes a SourceError."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(
            f"data.source {source!r} cannot be read: {error}. Mend the path or its permissions."
        ) from error


def _fits(source: str, partition: str | None) -> None:
    if not is_dated(source):
        if partition not in (None, STATIC_KEY):
            raise SourceError(
                f"data.source {source} has no partition {partition}: without `{PLACEHOLDER}` in it, it is one set. "
                f"Run it without a partition, or put `{PLACEHOLDER}` in the place of the month."
            )
    elif partition is None:
        raise SourceError(f"data.source {source} is dated: say which partition, such as 2026-03.")
    else:
        parse_key(partition)


def _is_key(text: str) -> bool:
    try:
        parse_key(text)
    except SourceError:
        return False
    return True


def _refuse_schemes(source: str) -> None:
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", source)
    if scheme is None:
        return
    if scheme[1].lower() in ("s3", "gs", "hf"):
        raise SourceError(
            f"data.source {source}: {scheme[1]}:// is not read yet. Copy the data into a folder and name that folder."
        )
    raise SourceError(f"data.source {source}: {scheme[1]}:// is no source. Name a file or a folder of JSON lines.")


def _place(source: str, project: Path, key: str) -> Path:
    return project / source.replace(PLACEHOLDER, key)


def _inside(path: Path, roots: tuple[Path, ...] | None, source: str) -> None:
    """Links are followed first: what counts is where the bytes are."""
    if roots is None:
        return
    real = path.resolve()
    if not any(real.is_relative_to(root) for root in roots):
        allowed = ", ".join(str(root) for root in roots)
        raise SourceError(
            f"data.source {source} leads to {real}, outside of the folders that a spec may read ({allowed}). "
            "Move the data there, add its folder to SKILLSENGINE_DATA_ROOTS, or name it on the command line "
            "with --set data.source=..."
        )


def _in_folder(folder: Path) -> list[Path]:
    names = sorted(entry.name for entry in folder.iterdir())
    files = [folder / name for name in names if name.endswith(SUFFIX) and not name.startswith(".")]
    if not files:
        holds = f"it holds {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else "it is empty"
        raise SourceError(f"no data in {folder}: there is no file ending in {SUFFIX} ({holds}).")
    for file in files:
        if not file.is_file():
            raise SourceError(f"{file} is no file, though it is called like one. Move it out of the source.")
    return files


def _splits(folder: Path, files: list[Path]) -> dict[Path, str]:
    """File -> split, for all of them or for none."""
    named = {file: _SPLITS[file.stem] for file in files if file.stem in _SPLITS}
    others = [file.name for file in files if file not in named]
    if named and others:
        raise SourceError(
            f"{folder}: {', '.join(file.name for file in named)} name their split, and beside them "
            f"{', '.join(others)} does not. "
            "Call every file train, validation (dev, valid, val) or test, or none of them."
        )
    for split in set(named.values()):
        same = [file.name for file in named if named[file] == split]
        if len(same) > 1:
            raise SourceError(f"{folder}: {' and '.join(same)} are both the {split} split. Keep one of them.")
    return named


def _has_data(path: Path) -> bool:
    if path.is_dir():
        return any(entry.suffix == SUFFIX and not entry.name.startswith(".") for entry in path.iterdir())
    return path.is_file()


def _nothing_at(path: Path, source: str, project: Path, partition: str | None) -> str:
    if not is_dated(source):
        return (
            f"no data at {path}: data.source names a file or folder that is not there. Put the data there, or mend it."
        )
    keys = available_partitions(source, project, (), trusted=True)
    there = f"there is {keys[0]} to {keys[-1]} ({len(keys)} in all)" if keys else "no month of it is there"
    return f"no data for {partition} at {path}: {there}. Wait for it, put it there, or choose another partition."
