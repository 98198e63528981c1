"""The partitions of an experiment as far as its catalog knows them, without a look at the source: those that its newest run has
found data for, and those that anything was scored on or trained on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from skillsengine.pipeline.cells import trained_partitions
from skillsengine.pipeline.matrix import Presence
from skillsengine.sources.errors import SourceError
from skillsengine.sources.keys import STATIC_KEY, is_complete, key_of, parse_key, previous
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog, RunRow, VersionRow

MOST = 4000
"""Partitions that are told of, the newest ones: eleven years of days."""
_RUNS = 10
"""How many runs are looked through for one that looked at the source as the spec has it now."""


def known_partitions(
    experiment: Experiment, versions: Collection[VersionRow], catalog: Catalog, now: datetime
) -> dict[str, Presence]:
    """From the first one that is known, but not before the experiment's `start_date`, up to the one that is under way at `now`;
    in their order. Of a source that is not dated, `all`.

    `data`: the newest run has found some, or something was scored on it or trained on it. `no data`: that run has found none.
    `unknown`: it is over since then, and no run has looked. Raises CatalogUnavailable.
    """
    data = experiment.data
    if not data.dated:
        return {STATIC_KEY: "data"}
    used = _used(experiment, versions, catalog)
    run = _newest(experiment, catalog.list_runs(experiment.name, limit=_RUNS))
    seen = [(str(low), str(high)) for low, high in run.options["there"]] if run else []
    current = key_of(now.date(), data.period)
    begins = min((*used, *(low for low, _ in seen)), default=current)
    if experiment.start_date is not None:
        begins = max(begins, key_of(experiment.start_date, data.period))
    found: dict[str, Presence] = {}
    for key in _until(max((current, *used)), begins, experiment):
        if key in used or (any(low <= key <= high for low, high in seen) and is_complete(key, now, data.period)):
            found[key] = "data"
        elif not is_complete(key, now, data.period):
            found[key] = "unfinished"
        else:
            looked = run is not None and is_complete(key, run.started, data.period)
            found[key] = "no data" if looked else "unknown"
    return found


def _used(experiment: Experiment, versions: Collection[VersionRow], catalog: Catalog) -> set[str]:
    own = [key for row in versions if row.experiment == experiment.name for key in trained_partitions(row)]
    return {key for key in (*catalog.scored_partitions(experiment.name), *own) if _is_key(key, experiment)}


def _is_key(key: str, experiment: Experiment) -> bool:
    """Keys of another period, or `all`, are from when the source was another one."""
    try:
        parse_key(key, experiment.data.period)
    except SourceError:
        return False
    return True


def _newest(experiment: Experiment, runs: Sequence[RunRow]) -> RunRow | None:
    """The newest run that looked at the source as the spec has it now; runs of before kept nothing of what they saw."""
    source = experiment.data.model_dump(mode="json")
    for run in runs:
        told = run.spec.get("data", {})
        if all(told.get(name) == source[name] for name in ("source", "period")) and run.options.get("there"):
            return run
    return None


def _until(last: str, first: str, experiment: Experiment) -> list[str]:
    """The keys from `first` to `last`, at most MOST."""
    keys = [last]
    while keys[-1] > first and len(keys) < MOST:
        keys += previous(keys[-1], 1, experiment.data.period)
    return keys[::-1]
