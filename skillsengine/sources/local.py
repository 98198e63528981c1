"""Files, folders and globs on this machine's disks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skillsengine.sources.address import Address
from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import Found
from skillsengine.sources.names import is_read, listed, refusal, unread
from skillsengine.sources.patterns import Pattern
from skillsengine.sources.reading.formats import format_of


class LocalPlace:
    """A local path. It stays inside `roots`, also through links; with None (named on the command line) it may lie
    anywhere."""

    def __init__(self, address: Address, pattern: Pattern, project: Path, roots: Iterable[Path] | None) -> None:
        self._source, self._pattern, self._project = address.source, pattern, project
        self._roots = None if roots is None else tuple(root.resolve() for root in roots)
        self.left_out: list[str] = []

    def keys(self) -> set[str]:
        """The partitions that have a file. Raises SourceError."""
        with looking(self._source):
            base = self._base(self._pattern)
            folder = base.joinpath(*self._pattern.parts[: self._pattern.fixed])
            self._check_inside(folder)
            if not folder.is_dir():
                return set()
            return {key for path, key in _walk(self._pattern, base) if key and self._has_data(path)}

    def find(self, key: str | None) -> list[Found]:
        """The files of one partition, or of a static source, in the order of their names.

        Raises SourceError: nothing there, nothing that is read, outside of the roots.
        """
        with looking(self._source):
            pattern = Pattern(self._pattern.at(key), self._pattern.period) if key else self._pattern
            path = self._project / pattern.path
            if not pattern.wild or path.exists():
                return self._at(path, key)
            base = self._base(pattern)
            folder = base.joinpath(*pattern.parts[: pattern.fixed])
            self._check_inside(folder)
            found = [(path, path.relative_to(folder).as_posix()) for path in self._matching(pattern, base)]
            if not found:
                raise SourceError(self._nothing(path, key))
            return [self._found(path, name, key) for path, name in sorted(found, key=lambda pair: pair[1])]

    def _at(self, path: Path, key: str | None) -> list[Found]:
        """The file at `path`, or the files in the folder there."""
        self._check_inside(path)
        if not path.exists():
            raise SourceError(self._nothing(path, key))
        if path.is_dir():
            return [self._found(file, file.name, key) for file in self._in_folder(path)]
        if format_of(path.name) is None:
            raise SourceError(refusal(str(path)))
        _check_file(path)
        return [self._found(path, "", key)]

    def _found(self, path: Path, name: str, key: str | None) -> Found:
        self._check_inside(path)
        return Found(path, name, key, path.stat().st_size)

    def _matching(self, pattern: Pattern, base: Path) -> Iterator[Path]:
        others = []
        for path, _ in _walk(pattern, base):
            if not path.is_dir():
                if is_read(path.name):
                    _check_file(path)
                    yield path
                else:
                    others.append(path)
            elif pattern.means_folder:
                yield from self._in_folder(path, may_be_empty=True)
        self._leave_out(path.name for path in others)

    def _in_folder(self, folder: Path, *, may_be_empty: bool = False) -> list[Path]:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - its names are all that is wanted
        files = [folder / name for name in names if is_read(name)]
        if not files and not may_be_empty:
            holds = f"it holds {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else "it is empty"
            mends = [told for name in names if (told := unread(name))]
            mend = f" Not read: {', '.join(mends[:3])}." if mends else " Put the data there, or mend data.source."
            raise SourceError(f"no data in {folder} ({holds}): {listed()}.{mend}")
        for file in files:
            _check_file(file)
        self._leave_out(names)
        return files

    def _leave_out(self, names: Iterable[str]) -> None:
        self.left_out += [told for name in names if (told := unread(name))]

    def _has_data(self, path: Path) -> bool:
        if path.is_dir():
            return self._pattern.means_folder and any(is_read(entry.name) for entry in path.iterdir())
        return path.is_file() and not self._pattern.path.endswith("/")

    def _base(self, pattern: Pattern) -> Path:
        return Path("/") if pattern.path.startswith("/") else self._project

    def _check_inside(self, path: Path) -> None:
        """Links are followed first: what counts is where the bytes are."""
        if self._roots is None:
            return
        real = path.resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()  # from Python 3.13 on, resolve() no longer says that links lead in a circle
        if not any(real.is_relative_to(root) for root in self._roots):
            allowed = ", ".join(str(root) for root in self._roots)
            raise SourceError(
                f"data.source {self._source} leads to {real}, outside of the folders that a spec may read ({allowed}). "
                "Move the data there, add its folder to SKILLSENGINE_DATA_ROOTS, or name it on the command line "
                "with --set data.source=..."
            )

    def _nothing(self, path: Path, key: str | None) -> str:
        if self._pattern.dated:
            return nothing_for(key, str(path), sorted(self.keys()), self._pattern.period)
        what = "no name fits the glob" if self._pattern.wild else "data.source names a file or folder that is not there"
        return f"no data at {path}: {what}. Put the data there, or mend it."


def _check_file(path: Path) -> None:
    """Raises SourceError for a folder, a pipe, a socket or a device: reading one of these may never end."""
    if not path.is_file():
        raise SourceError(
            f"{path} is no file, though it is called like one. Move it out of the source, or mend data.source."
        )


def nothing_for(key: str | None, place: str, keys: list[str], period: str) -> str:
    """That a partition has no data, and which ones have."""
    there = f"there is {keys[0]} to {keys[-1]} ({len(keys)} in all)" if keys else f"no {period} of it is there"
    return f"no data for {key} at {place}: {there}. Wait for it, put it there, or choose another partition."


@contextmanager
def looking(source: str) -> Iterator[None]:
    """What the system says about a path (no permission, a circle of links, a name too long) becomes a SourceError."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(
            f"data.source {source!r} cannot be read: {error}. Mend the path or its permissions."
        ) from error


def _walk(pattern: Pattern, base: Path) -> Iterator[tuple[Path, str | None]]:
    """(path, key) of what is there and fits `pattern`, in order. Folders that cannot be listed are errors."""

    def below(folder: Path, index: int, key: str | None) -> Iterator[tuple[Path, str | None]]:
        last = index == len(pattern.parts) - 1
        for name, said in names(folder, index, key):
            path = folder / name
            if last:
                yield path, said
            elif path.is_dir():
                yield from below(path, index + 1, said)

    def names(folder: Path, index: int, key: str | None) -> Iterator[tuple[str, str | None]]:
        if pattern.is_plain(index):
            if (folder / pattern.parts[index]).exists():
                yield pattern.parts[index], key
            return
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - its names are all that is wanted
            fits, said = pattern.name(index, name, key)
            if fits:
                yield name, said

    yield from below(base, 0, None)
