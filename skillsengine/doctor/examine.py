"""Everything that doctor looks at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from skillsengine.doctor.bases import examine_base
from skillsengine.doctor.finding import Finding, ok, problem
from skillsengine.doctor.machine import examine_machine
from skillsengine.pipeline.plan import PlanError, find_sources
from skillsengine.settings import Settings
from skillsengine.sources.errors import SourceError, SourceUnavailable, SourceUnread
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded
from skillsengine.storage.catalog import Catalog


def examine(specs: Mapping[Path, Loaded | SpecError], settings: Settings) -> Iterator[Finding]:
    """Findings about the machine, then about each spec: does it compile, is its data there, is its base."""
    loaded = {path: spec for path, spec in specs.items() if isinstance(spec, Loaded)}
    yield from examine_machine(settings, [spec.experiment for spec in loaded.values()])
    for path, spec in sorted(specs.items()):
        if isinstance(spec, SpecError):
            yield problem(f"spec {path.name}", str(spec))
        else:
            yield ok(f"spec {path.name}", "compiles")
            yield from _data(spec, settings)
    seen: set[tuple[str, str | None, str, str]] = set()
    for spec in loaded.values():
        experiment = spec.experiment
        same = (
            experiment.base.model,
            experiment.base.revision,
            experiment.base.quantization,
            experiment.resources.device,
        )
        if same not in seen:
            seen.add(same)
            yield from examine_base(experiment, settings, trusted=spec.trusted)


def _data(spec: Loaded, settings: Settings) -> Iterator[Finding]:
    experiment = spec.experiment
    subject = f"data of {experiment.name}"
    try:
        memory = Catalog.open(settings.catalog_url)
        sources = find_sources(experiment, None, settings, trusted=spec.trusted, memory=memory, read=False)
    except SourceUnread as error:
        yield ok(subject, f"is there; {error}")
        return
    except (PlanError, SourceError, SourceUnavailable) as error:
        yield problem(subject, str(error))
        return
    files = sum(len(found) for found in sources.files.values())
    told = f"{experiment.data.source}: partition {sources.partition}, {files} file{'s' * (files != 1)}"
    notes = f" ({'; '.join(sources.notes)})" if sources.notes else ""
    yield ok(subject, told + notes)
