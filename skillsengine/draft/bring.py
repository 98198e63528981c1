"""Data from elsewhere on the machine: a spec reads inside of its project, so it is copied there, or left in a data root."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from skillsengine.draft.errors import DraftError
from skillsengine.draft.place import Place
from skillsengine.settings import Settings
from skillsengine.storage.files import free_space, sha256_of
from skillsengine.storage.machine_faults import disk_full

OWN = Path("data") / "own"
"""Below the project; git ignores it."""
LARGE = 1_000_000_000
"""Bytes that are not copied unasked."""


@dataclass(frozen=True)
class Source:
    """How the spec will name the data, and what has to be copied first."""

    text: str
    """`data.source`: relative to the project, or absolute in a data root."""
    copies: tuple[tuple[Path, Path], ...] = ()
    """(from, to) of each file; empty where the data stays."""
    folder: Path | None = None
    """What the copies are put into."""


def source_for(place: Place, name: str, settings: Settings, copy: bool | None) -> Source:
    """Where the spec `name` will find the data. `copy`: what --copy and --no-copy say; None copies what lies outside.

    Raises DraftError: data outside of all roots that is not to be copied, or too much to be copied unasked.
    """
    inside = next((root for root in settings.allowed_roots if _within(place, root)), None)
    if inside is not None and not copy:
        if inside == settings.project:
            return Source(_joined(place.root.relative_to(settings.project).as_posix(), place.rest))
        return Source(_joined(place.root.as_posix(), place.rest))
    folder = settings.project / OWN / name
    if copy is False:
        raise DraftError(
            f"--no-copy: {place.root} lies outside of the folders that a spec may read "
            f"({', '.join(map(str, settings.allowed_roots))}). Leave --no-copy out, and the data is copied to "
            f"{OWN / name}; or set SKILLSENGINE_DATA_ROOTS={place.root}, here and where Airflow runs."
        )
    if copy is None and place.size > LARGE:
        raise DraftError(
            f"--data: {place.root / place.rest} lies outside of the project and has {place.size / 1e9:.1f} GB. Add --copy to "
            f"copy it to {OWN / name} ({free_space(settings.project)}), or leave it where it is with "
            f"SKILLSENGINE_DATA_ROOTS={place.root}, here and where Airflow runs."
        )
    if inside == settings.project and place.root.is_relative_to(folder):
        return Source(_joined(place.root.relative_to(settings.project).as_posix(), place.rest))
    copies = tuple((file.path, folder / file.path.relative_to(place.root)) for file in place.files)
    return Source(_joined((OWN / name).as_posix(), place.rest), copies, folder)


@contextmanager
def brought(source: Source, *, force: bool, tell: Callable[[str], None]) -> Iterator[None]:
    """Copy what has to be copied, whole or not at all, and keep it if what is done meanwhile (writing the spec) succeeds.
    Otherwise everything stands there as before.

    Raises DraftError if other data stands there (`force` replaces it), or it cannot be copied.
    """
    if source.folder is None:
        yield
        return
    if source.folder.exists() and not force:
        if not _same(source):
            raise DraftError(
                f"{source.folder} is there already, with other data. Choose another name, move it away, or replace it with "
                "--force."
            )
        yield
        return
    building = source.folder.parent / f".{source.folder.name}.{uuid4().hex[:8]}"
    before = building.with_name(f"{building.name}.old")
    placed = False
    try:
        _copy(source, source.folder, building, tell)
        if source.folder.exists():
            source.folder.rename(before)
        building.rename(source.folder)
        placed = True
        yield
    except BaseException:
        if placed:
            shutil.rmtree(source.folder, ignore_errors=True)
        if before.exists():
            before.rename(source.folder)
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(before, ignore_errors=True)


def _copy(source: Source, folder: Path, building: Path, tell: Callable[[str], None]) -> None:
    size = sum(path.stat().st_size for path, _ in source.copies)
    tell(f"copying {size / 1e6:.1f} MB to {folder}: a spec reads inside of its project (git ignores this folder)")
    try:
        for path, target in source.copies:
            inside = building / target.relative_to(folder)
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, inside)
    except OSError as error:
        if disk_full(error):
            raise DraftError(
                f"the disk is full: {free_space(folder)}. Make room, or leave the data where it is with "
                "SKILLSENGINE_DATA_ROOTS."
            ) from error
        raise DraftError(f"the data cannot be copied to {folder}: {error}. Mend the permissions there.") from error


def _within(place: Place, root: Path) -> bool:
    """Links are followed: what counts is where the bytes are."""
    real = root.resolve()
    return place.root.is_relative_to(real) and all(file.path.resolve().is_relative_to(real) for file in place.files)


def _joined(folder: str, rest: str) -> str:
    return "/".join(part for part in ("" if folder == "." else folder, rest) if part) or "."


def _same(source: Source) -> bool:
    folder = source.folder
    if folder is None:
        return True
    there = {path for path in folder.rglob("*") if path.is_file()}
    return there == {target for _, target in source.copies} and all(
        path.stat().st_size == target.stat().st_size and sha256_of(path) == sha256_of(target)
        for path, target in source.copies
    )
