"""Collecting garbage: which artifacts go and why the others stay (`decide`, which touches nothing), and the deed (`collect`).

What is held, and by whom, is for `pipeline.holds` to say: only the pipeline knows what a version is made of.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from skillsengine.storage.catalog import Catalog, LeaseHeld
from skillsengine.storage.listing import Listed
from skillsengine.storage.store import Store

OLDER_THAN = timedelta(days=30)
"""An artifact that nobody holds stays so long after it was made or found last."""
QUIET = timedelta(days=30)
"""A run that never ended is believed to be going on until nothing was heard of it for so long, whatever `--older-than` says."""
_MOST_SECONDS = 60.0
"""Half of a removal's lease: one that was held up for longer (a machine that slept) is given up."""


@dataclass(frozen=True)
class Fate:
    """What becomes of one artifact."""

    artifact: Listed
    used: datetime
    """When it was made or found last."""
    goes: bool
    why: str
    """For people: `job-skills@7 (champion)`, `used 3 days ago`, `nobody needs it, not used for 45 days`."""


@dataclass(frozen=True)
class Collected:
    """What a collection has done."""

    gone: tuple[Fate, ...]
    spared: tuple[Fate, ...]
    """What was to go, and was needed again, or worked on, when its turn came."""

    @property
    def bytes(self) -> int:
        return sum(fate.artifact.bytes for fate in self.gone)


def decide(
    artifacts: Iterable[Listed],
    held: Mapping[str, str],
    uses: Mapping[str, datetime],
    now: datetime,
    older_than: timedelta = OLDER_THAN,
) -> list[Fate]:
    """The fate of each artifact: what is `held` (digest -> by whom) stays, and so does what was used within `older_than`.

    `uses`: digest -> its last use, as the catalog knows it. Pure.
    """
    return [_fate(artifact, held.get(artifact.digest), uses, now, older_than) for artifact in artifacts]


def _fate(
    artifact: Listed, held: str | None, uses: Mapping[str, datetime], now: datetime, older_than: timedelta
) -> Fate:
    made = datetime.fromtimestamp(artifact.made, UTC)
    used = max(made, uses.get(artifact.digest, made))
    if held is not None:
        return Fate(artifact, used, False, held)
    if artifact.damaged is not None:
        return Fate(artifact, used, False, f"damaged: {artifact.damaged}")
    if now - used < older_than:
        return Fate(artifact, used, False, f"used {_ago(now - used)} ago")
    return Fate(artifact, used, True, f"nobody needs it, not used for {_ago(now - used)}")


def _ago(age: timedelta) -> str:
    if age < timedelta(hours=1):
        return "a moment"
    hours = int(age.total_seconds() // 3600)
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"


def collect(
    fates: Iterable[Fate],
    store: Store,
    catalog: Catalog,
    now: datetime,
    told: Callable[[Fate, bool], None] | None = None,
) -> Collected:
    """Remove what is to go, one after the other; safe beside running stages, and after a crash simply called again.

    Whatever a step has used since the decision, or a run that is going on needs, or an attempt works on, is spared. The catalog
    forgets an artifact before it goes, so that no page shows what is not there. `told` hears of each whether it is gone.
    Raises OSError or StoreError if the store cannot be written.
    """
    gone: list[Fate] = []
    spared: list[Fate] = []
    for fate in fates:
        if not fate.goes:
            continue
        done = _remove(fate, store, catalog, now)
        (gone if done else spared).append(fate)
        if told:
            told(fate, done)
    return Collected(tuple(gone), tuple(spared))


def _remove(fate: Fate, store: Store, catalog: Catalog, now: datetime) -> bool:
    try:
        lease = catalog.acquire_removal(fate.artifact.digest)
    except LeaseHeld:
        return False
    began = time.monotonic()
    try:
        if not catalog.forget_artifact(fate.artifact.digest, fate.used, now - QUIET):
            return False
        if time.monotonic() - began > _MOST_SECONDS:
            return False
        store.take_out(fate.artifact.stage, fate.artifact.digest)
        return True
    finally:
        catalog.release(lease)
