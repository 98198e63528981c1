"""All that piles up in an installation and that nobody needs: what it is (`look`), and its removal (`Garbage.remove`).

Artifacts (`storage.gc`), half-written folders and checkpoints of dead attempts (`storage.housekeeping`), reports of versions
that no alias names, folders of W&B runs that were sent. Labels, bases and runs in the catalog always stay.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from skillsengine.pipeline.execute import held
from skillsengine.pipeline.holds import find_holds
from skillsengine.settings import Settings
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.storage import gc
from skillsengine.storage.catalog import Catalog, CatalogError, LeaseHeld
from skillsengine.storage.files import tree
from skillsengine.storage.gc import OLDER_THAN, Fate
from skillsengine.storage.housekeeping import leftovers, remove_leftovers
from skillsengine.storage.listing import listing
from skillsengine.storage.store import Store
from skillsengine.tracking.kept import sent_runs

REPORT_AGE = timedelta(days=180)
"""Of a version that no alias names; `skillsengine report` makes it anew."""


_ALONE = "gc"
"""In the place of a digest: the lease of who removes, or must not have anything removed."""


class Busy(CatalogError):
    """Another process collects garbage or makes a backup."""


@dataclass(frozen=True)
class Other:
    """Something that goes and is no artifact."""

    kind: str
    """`leftover`, `report`, `wandb run`."""
    path: Path
    bytes: int
    why: str


@dataclass(frozen=True)
class Removed:
    """What was removed."""

    names: tuple[str, ...]
    bytes: int
    spared: tuple[str, ...]
    """Artifacts that were needed again when their turn came."""


@dataclass(frozen=True)
class Garbage:
    """One look at an installation."""

    fates: tuple[Fate, ...]
    """Of all artifacts."""
    others: tuple[Other, ...]
    notes: tuple[str, ...]
    """What could not be known, and is held altogether for that."""
    looked: datetime

    @property
    def going(self) -> tuple[Fate, ...]:
        return tuple(fate for fate in self.fates if fate.goes)

    @property
    def bytes(self) -> int:
        """Of all that is to go."""
        return sum(fate.artifact.bytes for fate in self.going) + sum(other.bytes for other in self.others)

    def remove(self, store: Store, catalog: Catalog, told: Callable[[str, bool], None] | None = None) -> Removed:
        """Do it; `told` hears of each thing whether it is gone. Within `alone`. Raises OSError, CatalogUnavailable."""

        def hear(fate: Fate, done: bool) -> None:
            if told:
                told(fate.artifact.name, done)

        collected = gc.collect(self.fates, store, catalog, self.looked, hear)
        names = [fate.artifact.name for fate in collected.gone]
        left = remove_leftovers(store, catalog, now=self.looked.timestamp())
        names += left.names
        size = collected.bytes + left.bytes
        for other in self.others:
            if other.kind != "leftover" and _delete(other.path):
                names.append(f"{other.kind} {other.path.name}")
                size += other.bytes
        if told:
            for name in names[len(collected.gone) :]:
                told(name, True)
        return Removed(tuple(names), size, tuple(fate.artifact.name for fate in collected.spared))


def alone(catalog: Catalog) -> AbstractContextManager[Callable[[], None] | None]:
    """Nobody else collects garbage or makes a backup meanwhile, on any machine. Raises Busy where somebody does."""

    def busy(other: LeaseHeld) -> bool:
        raise Busy(
            f"another `skillsengine gc` or `backup`, or the housekeeping DAG, is at work ({other.owner}, host:pid:start). "
            "Two at once would take from each other: try again when it is done."
        ) from other

    return held(catalog, _ALONE, busy)


def look(
    settings: Settings,
    store: Store,
    catalog: Catalog,
    now: datetime,
    older_than: timedelta = OLDER_THAN,
    connect: Connect = environment_connect,
) -> Garbage:
    """What would go, and why the rest stays; changes nothing. Raises CatalogUnavailable, SettingsError, OSError."""
    artifacts = list(listing(store))  # first: what is published from now on is not among them
    holds = find_holds(artifacts, catalog, settings, now, connect)
    fates = gc.decide(artifacts, holds.by, catalog.last_uses(), now, older_than)
    others = [
        Other("leftover", Path(left.name), left.bytes, "left by an attempt that was killed")
        for left in leftovers(store, now=now.timestamp())
    ]
    others += _reports(store, catalog, now, older_than)
    others += _sent(settings.home, now, older_than)
    return Garbage(tuple(fates), tuple(others), holds.notes, now)


def _reports(store: Store, catalog: Catalog, now: datetime, older_than: timedelta) -> list[Other]:
    known = {(version.model, str(version.number)) for version in catalog.versions()}
    models = {model for model, _ in known}
    named = {(model, str(number)) for model in models for number in catalog.aliases(model).values()}
    found = []
    for path in sorted((store.root / "reports").glob("*/*.html")):
        version, stat = (path.parent.name, path.stem), path.stat()
        age = now - datetime.fromtimestamp(stat.st_mtime, UTC)
        if version not in known and age >= older_than:
            found.append(Other("report", path, stat.st_size, "of a version that the catalog does not know"))
        elif version in known - named and age >= max(older_than, REPORT_AGE):
            why = f"of a version without an alias, {age.days} days old; `skillsengine report` makes it anew"
            found.append(Other("report", path, stat.st_size, why))
    return found


def _sent(home: Path, now: datetime, older_than: timedelta) -> list[Other]:
    found = []
    for folder in sent_runs(home):
        stats = [path.lstat() for _, path in tree(folder)]
        age = now.timestamp() - max(stat.st_mtime for stat in stats)
        if age >= older_than.total_seconds():
            why = f"W&B has all of it, {age / 86400:.0f} days old"
            found.append(Other("wandb run", folder, sum(stat.st_size for stat in stats), why))
    return found


def _delete(path: Path) -> bool:
    """False if it was gone."""
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    except FileNotFoundError:
        return False
    return True
