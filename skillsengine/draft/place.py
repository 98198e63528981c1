"""What `--data` means: a file, a folder, a glob or a path with `{partition}`; and which files and partitions that are."""

from __future__ import annotations

import difflib
import glob
import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from skillsengine.draft.errors import DraftError
from skillsengine.sources.errors import SourceError
from skillsengine.sources.keys import KEY_PATTERN, parse_key
from skillsengine.sources.names import is_read, listed, one_format, refusal, splits, unread
from skillsengine.sources.patterns import PLACEHOLDER, Pattern
from skillsengine.sources.reading.formats import format_of
from skillsengine.spec.schema import Period

_WILD = re.compile(r"[*?\[\]]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# The longest keys first: `2026-03` stands in `2026-03-09` too.
_PERIODS: tuple[Period, ...] = ("day", "week", "quarter", "month")
_SHOWN = 5


@dataclass(frozen=True)
class DataFile:
    """One file with ads."""

    path: Path
    key: str | None = None
    """Its partition, where its path says so."""
    split: str | None = None
    """`train`, `validation` or `test`, where its name says so."""


@dataclass(frozen=True)
class Place:
    """Where the data is: `root / rest` is what a spec's `data.source` has to mean."""

    root: Path
    """An existing folder, absolute."""
    rest: str
    """Below `root`, with `/` between its parts: `ads.csv`, `{partition}.csv`, `*.csv`; empty for the folder itself."""
    files: tuple[DataFile, ...]
    """At least one, sorted by path."""
    period: Period | None = None
    """With `{partition}` in `rest`."""
    notes: tuple[str, ...] = ()
    """What somebody may have meant otherwise."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.path.stat().st_size for file in self.files)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sorted({file.key for file in self.files if file.key}))


def find_place(data: str, folder: Path) -> Place:
    """What `data`, as typed in `folder`, means.

    Raises DraftError or SourceError: nothing there, nothing that is read, files that cannot be one source.
    """
    if _SCHEME.match(data):
        raise DraftError(
            f"--data {data}: `new` looks at files of this machine. Download one file of it, draft with that, and set "
            f"`source: {data}` in the spec afterwards; it stays the same otherwise."
        )
    path = Path(data).expanduser()
    path = path if path.is_absolute() else folder / path
    try:
        if PLACEHOLDER in data:
            return _dated(data, path)
        if path.is_file():
            return _file(path)
        if path.is_dir():
            return _folder(path.resolve())
        if _WILD.search(data):
            return _glob(data, path)
    except PermissionError as error:
        raise DraftError(
            f"--data {data}: {error.filename} cannot be read: permission denied. Mend its permissions (chmod)."
        ) from error
    raise DraftError(_nothing(data, path))


def _file(path: Path) -> Place:
    path = path.parent.resolve() / path.name
    if format_of(path.name) is None:
        raise DraftError(f"--data: {refusal(str(path))}")
    if _WILD.search(path.name) or PLACEHOLDER in path.name:
        raise DraftError(
            f"--data: the name {path.name} holds one of `*?[]`, which stand for other letters in a source. Rename the file."
        )
    notes = []
    beside = [p.name for p in path.parent.iterdir() if p != path and is_read(p.name) and format_of(p.name)]
    if found := _by_key([path.name, *beside]):
        notes.append(
            f"beside it are files of other {found[2]}s ({', '.join(sorted(beside)[:3])}): `--data {path.parent}` takes all of "
            "them, dated by their names"
        )
    elif (said := splits(str(path.parent), [path.name])[0]) and any(
        splits(str(path.parent), [name])[0] for name in beside
    ):
        notes.append(
            f"its name says {said}, and it is taken alone: `--data {path.parent}` takes the files beside it too"
        )
    return Place(path.parent, path.name, (DataFile(path),), notes=tuple(notes))


def _folder(folder: Path) -> Place:
    names = sorted(entry.name for entry in folder.iterdir())
    files = [name for name in names if is_read(name) and (folder / name).is_file()]
    strange = [told for name in names if (folder / name).is_file() and (told := unread(name))]
    if not files:
        return _of_folders(folder, [name for name in names if (folder / name).is_dir()], strange)
    if strange:
        raise DraftError(
            f"--data: {folder} holds {', '.join(strange[:_SHOWN])} beside {files[0]}. Move away what is no data, or name the "
            f"data with a glob (--data '{folder}/*{Path(files[0]).suffix}')."
        )
    if (found := _by_key(files)) and len(found[1]) * 2 > len(files):
        pattern, keys, period = found
        others = [name for name in files if name not in keys]
        note = f"{shown_names(others)} left out: {len(keys)} of {len(files)} names hold a {period}, a source has one pattern"
        one_format(str(folder), list(keys))
        dated = tuple(DataFile(folder / name, key) for name, key in keys.items())
        return Place(folder, pattern, dated, period, (note,) if others else ())
    return Place(folder, "", _static(folder, files))


def _static(folder: Path, names: list[str]) -> tuple[DataFile, ...]:
    one_format(str(folder), names)
    said = splits(str(folder), names)
    return tuple(DataFile(folder / name, split=split) for name, split in zip(names, said, strict=True))


def _of_folders(folder: Path, inner: list[str], strange: list[str]) -> Place:
    """A folder of folders: one a partition, or one a split."""
    full = [name for name in inner if any(is_read(entry.name) for entry in (folder / name).iterdir())]
    if found := _by_key(full):
        return _dated(str(folder / found[0]), folder / found[0])
    if full:
        below = [f"{name}/{entry.name}" for name in full for entry in sorted((folder / name).iterdir())]
        below = [name for name in below if is_read(Path(name).name)]
        said = splits(str(folder), below)
        if all(said):
            one_format(str(folder), below)
            files = tuple(DataFile(folder / name, split=split) for name, split in zip(below, said, strict=True))
            return Place(folder, "*/", files)
        raise DraftError(
            f"--data: {folder} holds no data itself, only folders with data: {', '.join(full[:_SHOWN])}. Name one of them, "
            f"or all of them with --data '{folder}/*/'."
        )
    held = strange or sorted(entry.name for entry in folder.iterdir())
    there = f"It holds {shown_names(held)}" if held else "It is empty"
    raise DraftError(f"--data: no data in {folder}: {listed()}. {there}.")


def _by_key(names: list[str]) -> tuple[str, dict[str, str], Period] | None:
    """(name with `{partition}`, name -> key, period) where at least two names differ in their keys alone."""
    for period in _PERIODS:
        key = re.compile(rf"(?<![0-9]){KEY_PATTERN[period].strip('^$')}(?![0-9])")
        found: dict[str, dict[str, str]] = {}
        for name in names:
            if (match := key.search(name)) and _is_key(match[0], period):
                pattern = name[: match.start()] + PLACEHOLDER + name[match.end() :]
                found.setdefault(pattern, {})[name] = match[0]
        best = max(found, key=lambda pattern: len(found[pattern]), default="")
        if best and len(found[best]) > 1 and not _WILD.search(best):
            return best, found[best], period
    return None


def _is_key(text: str, period: Period) -> bool:
    try:
        parse_key(text, period)
    except SourceError:
        return False
    return True


def _dated(data: str, path: Path) -> Place:
    """A path with `{partition}` in it, typed as `data`."""
    parts = path.parts
    first = next(i for i, part in enumerate(parts) if PLACEHOLDER in part or _WILD.search(part))
    root = Path(*parts[:first]).resolve()
    rest = "/".join(parts[first:])
    paths = _matching(root, rest.replace(PLACEHOLDER, "*"))
    for period in get_args(Period):
        pattern = Pattern(rest, period)
        files = []
        for found in paths:
            match = pattern.match(found.relative_to(root).as_posix())
            if match and match.key:
                files.append(DataFile(found, match.key))
        if files:
            one_format(str(root / rest), [file.path.name for file in files])
            return Place(root, rest, tuple(files), period)
    there = ", ".join(found.name for found in paths[:_SHOWN]) or "nothing"
    raise DraftError(
        f"--data {data}: no file has a day (2026-03-09), week (2026-W10), month (2026-03) or quarter (2026-Q1) in the place of "
        f"`{PLACEHOLDER}`. There is {there}."
    )


def _glob(data: str, path: Path) -> Place:
    parts = path.parts
    first = next(i for i, part in enumerate(parts) if _WILD.search(part))
    root = Path(*parts[:first]).resolve()
    rest = "/".join(parts[first:])
    Pattern(rest)  # refuses `**`
    found = _matching(root, rest)
    if not found:
        matched = sorted(match.name for match in root.glob(rest))
        there = f"It matches {shown_names(matched)}, which are not read" if matched else "It matches nothing"
        raise DraftError(f"--data {data}: no data. {there}: {listed()}.")
    names = [file.relative_to(root).as_posix() for file in found]
    return Place(root, rest, _static(root, names))


def _matching(root: Path, pattern: str) -> list[Path]:
    """The files with data that a pattern means, or that are in a folder that it means; sorted."""
    found = sorted(Path(text) for text in glob.glob(str(Path(glob.escape(str(root))) / pattern)))  # noqa: PTH207
    files = [path for path in found if path.is_file()]
    for folder in found:
        if folder.is_dir():
            files += sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in files if is_read(path.name)]


def shown_names(names: list[str]) -> str:
    """`a.csv, b.csv and 3 more`."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _nothing(data: str, path: Path) -> str:
    if not path.parent.is_dir():
        folder = next(parent for parent in path.parents if parent.is_dir())
        return f"--data {data}: no such file or folder. There is no {path.parent}; {folder} is there."
    names = sorted(entry.name for entry in path.parent.iterdir() if not entry.name.startswith("."))
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.75)
    there = [name for name in names if is_read(name)][:_SHOWN]
    if near:
        return f"--data {data}: no such file or folder. Did you mean {' or '.join(f'`{name}`' for name in near)}?"
    return f"--data {data}: no such file or folder. {path.parent} holds {', '.join(there) or 'no data'}."
