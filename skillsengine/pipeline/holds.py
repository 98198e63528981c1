"""Which artifacts are held, and by whom: versions and what they are made of, cells of the matrix, runs that are going on, and
what the specs need now. `storage.gc` leaves all of it alone, however old it is.

Where it cannot be known what a spec needs (it is broken, its source does not answer), all that its runs ever used is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from skillsengine.pipeline.lineage import went_in
from skillsengine.pipeline.plan import PlanError, find_sources, make_plan
from skillsengine.pipeline.run import pinned_plan
from skillsengine.settings import Settings
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.sources.errors import SourceError, SourceUnavailable
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import check_specs
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow
from skillsengine.storage.gc import QUIET
from skillsengine.storage.listing import Listed

_CALLED = {"adapter": "", "base": "the untuned base of ", "lexicon": "the lexicon of "}
_Held = Iterator[tuple[str, str]]
"""(digest, by whom)."""


@dataclass(frozen=True)
class Holds:
    """What is held."""

    by: Mapping[str, str]
    """Digest -> by whom, for people; of several the first in the order of the module's first sentence."""
    notes: tuple[str, ...]
    """What could not be known, and is held altogether for that."""


def find_holds(
    artifacts: Sequence[Listed],
    catalog: Catalog,
    settings: Settings,
    now: datetime,
    connect: Connect = environment_connect,
) -> Holds:
    """Ask the catalog, the specs and their sources. Raises CatalogUnavailable, SettingsError.

    Call it after the store was listed: what is published since is not among the artifacts, and so not in danger.
    """
    there = {artifact.digest: artifact for artifact in artifacts}
    notes: list[str] = []
    versions = catalog.versions()
    held: dict[str, str] = {}
    for digest, why in (
        *_of_versions(versions, catalog),
        *_of_cells(catalog.cells(), versions, there),
        *_of_runs(catalog, settings, now),
        *_of_specs(catalog, settings, now, connect, notes),
    ):
        held.setdefault(digest, why)
    return Holds(_with_inputs(held, there), tuple(notes))


def _of_versions(versions: Iterable[VersionRow], catalog: Catalog) -> _Held:
    aliases: dict[str, Mapping[str, int]] = {}
    for version in versions:
        named = aliases.setdefault(version.model, catalog.aliases(version.model))
        called = ", ".join(sorted(alias for alias, number in named.items() if number == version.number))
        why = f"{version.name} ({called})" if called else version.name
        lineage = version.lineage
        yield version.adapter_digest, why
        if version.artifact_digest:
            yield version.artifact_digest, why
        for found in (lineage.get("profile"), lineage.get("finetune")):
            if found:
                yield str(found), why
        for several in (lineage.get("format", {}), lineage.get("evaluate", {})):
            yield from ((str(digest), why) for digest in several.values())


def _of_cells(cells: Iterable[CellRow], versions: Sequence[VersionRow], there: Mapping[str, Listed]) -> _Held:
    """The cells of versions, and those of baselines beside them: `errors`, `compare` and the gate read their artifacts."""
    names = {version.adapter_digest: version.name for version in reversed(versions)}
    experiments = {version.experiment for version in versions}
    for cell in cells:
        scored = cell.adapter_digest
        if cell.kind == "lexicon" and cell.artifact_digest in there:  # it is that of one adapter's training labels
            scored = there[cell.artifact_digest].inputs.get("finetune")
        name = names.get(scored or "")
        if cell.kind == "base" and cell.experiment in experiments:
            name = cell.experiment
        if name is not None:
            why = f"cell of {_CALLED[cell.kind]}{name} on {cell.partition}"
            yield cell.artifact_digest, why
            yield cell.data_digest, why


def _of_runs(catalog: Catalog, settings: Settings, now: datetime) -> _Held:
    """What runs that are going on have made or found, and what they are still to find."""
    for run in catalog.going_on(now - QUIET):
        why = f"run {run.run_id} of {run.dag_id} is going on"
        yield from ((step.digest, why) for step in catalog.steps_of(run.id))
        if run.kind == "retrain":
            try:
                plan = pinned_plan(run, settings)
            except (ValidationError, PlanError, KeyError):  # pinned by another version of this package
                continue
            yield from ((step.digest, why) for step in plan.steps)


def _of_specs(catalog: Catalog, settings: Settings, now: datetime, connect: Connect, notes: list[str]) -> _Held:
    """What the next run of each spec would find in the cache."""
    for path, loaded in check_specs(settings.experiments, overlay=settings.overlay).items():
        name = path.stem
        if isinstance(loaded, SpecError):
            notes.append(
                f"{name}: the spec does not compile, so all that its runs used stays (`skillsengine validate`)"
            )
            yield from ((digest, f"{name}, whose spec does not compile") for digest in catalog.digests_of(name))
            continue
        yield from _newest(loaded.experiment, catalog)
        try:
            yield from _planned(loaded.experiment, catalog, settings, now, connect)
        except (PlanError, SourceError, SourceUnavailable) as error:
            notes.append(f"{name}: what it needs now cannot be known, so all that its runs used stays: {error}")
            yield from ((digest, f"{name}, whose needs are not known") for digest in catalog.digests_of(name))


def _newest(experiment: Experiment, catalog: Catalog) -> _Held:
    for kind in ("retrain", "evaluations"):
        for run in catalog.list_runs(experiment.name, limit=1, kind=kind):
            yield from ((step.digest, f"the newest run of {run.dag_id}") for step in catalog.steps_of(run.id))


def _planned(
    experiment: Experiment, catalog: Catalog, settings: Settings, now: datetime, connect: Connect
) -> list[tuple[str, str]]:
    """Of the newest complete partition: the next one's window lies in it, but for that partition itself."""
    sources = find_sources(experiment, None, settings, connect=connect, memory=catalog, read=False, now=now)
    plan = make_plan(experiment, sources, settings)
    unknown = plan.unknown
    return [(step.digest, f"{experiment.name} needs it now") for step in plan.steps if step.id not in unknown]


def _with_inputs(held: Mapping[str, str], there: Mapping[str, Listed]) -> dict[str, str]:
    """What is held, and all that it was made of. Of a sweep's choice that is the trial that won."""
    found = dict(held)
    left = list(held)
    while left:
        digest = left.pop()
        artifact = there.get(digest)
        if artifact is None:
            continue
        for name, made_of in artifact.inputs.items():
            if made_of not in found and went_in(artifact.stage, name, artifact.trial):
                found[made_of] = found[digest]
                left.append(made_of)
    return found
