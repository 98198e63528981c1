"""Everything that doctor looks at, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from skillsengine.airflow.client import AirflowClient, AirflowError
from skillsengine.doctor.airflow_side import AirflowState, examine_pools, look_at_airflow
from skillsengine.doctor.bases import examine_base
from skillsengine.doctor.finding import Finding, of_group, ok, problem, unknown
from skillsengine.doctor.machine import examine_machine
from skillsengine.doctor.patience import NoAnswer, NotBegun, Patience
from skillsengine.doctor.platform_settings import examine_settings
from skillsengine.doctor.queues import examine_queues
from skillsengine.doctor.registry import examine_versions, look_at_catalog
from skillsengine.doctor.shown import examine_orphans, examine_shown
from skillsengine.doctor.try_server import examine_try_server
from skillsengine.pipeline.plan import PlanError, find_sources
from skillsengine.settings import Settings
from skillsengine.sources.errors import SourceError, SourceUnavailable, SourceUnread
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded
from skillsengine.storage.catalog import Catalog, CatalogUnavailable

Checked = Mapping[Path, Loaded | SpecError]

_AIRFLOW, _CATALOG, _DATA, _BASES = (20.0, 40.0), (20.0, 40.0), (30.0, 90.0), (30.0, 90.0)
"""Seconds for one look, and for all of its kind."""


def examine(specs: Checked, settings: Settings, *, whole: bool = True) -> Iterator[Finding]:
    """Findings about the settings, the machine and Airflow, then about each spec: does it compile, is its data there, its base.

    `whole`: `specs` are all that the project has, so that what belongs to none of them can be told. Nothing is changed, and
    the end comes in bounded time whatever does not answer.
    """
    loaded = {path: spec for path, spec in sorted(specs.items()) if isinstance(spec, Loaded)}
    experiments = [spec.experiment for spec in loaded.values()]
    yield from of_group("settings", examine_settings(settings))
    patience = Patience(*_CATALOG)
    said, catalog = look_at_catalog(settings, patience)
    yield said
    yield from examine_machine(settings, experiments)
    yield from of_group("Airflow", _airflow(specs, loaded, settings, whole))
    yield from of_group("Airflow", examine_try_server(settings))
    yield from of_group("specs", _specs(specs, settings, catalog))
    yield from of_group("specs", _bases(loaded, settings))
    if whole and catalog is not None:
        yield from of_group("specs", _versions(specs, catalog, patience))


def _airflow(specs: Checked, loaded: Mapping[Path, Loaded], settings: Settings, whole: bool) -> Iterator[Finding]:
    experiments = [spec.experiment for spec in loaded.values()]
    patience = Patience(*_AIRFLOW)
    findings, state, address = look_at_airflow(settings, patience)
    yield from findings
    if state is None or address is None:
        return
    yield from examine_pools(state, experiments)
    yield from examine_queues(state, experiments)
    try:
        yield from patience.ask(lambda: _shown(state, address, loaded, settings))
    except (AirflowError, NoAnswer) as error:
        yield unknown("DAGs", str(error), "try again when Airflow has less to do")
    if whole:
        yield from examine_orphans(state, _names(specs), settings.home / "bundle")


def _shown(state: AirflowState, address: str, loaded: Mapping[Path, Loaded], settings: Settings) -> list[Finding]:
    with AirflowClient(address) as client:
        return list(examine_shown(state, loaded, settings.experiments, client.dag_doc))


def _names(specs: Checked) -> set[str]:
    return {spec.experiment.name if isinstance(spec, Loaded) else path.stem for path, spec in specs.items()}


def _specs(specs: Checked, settings: Settings, catalog: Catalog | None) -> Iterator[Finding]:
    patience = Patience(*_DATA)
    for path, spec in sorted(specs.items()):
        if isinstance(spec, SpecError):
            yield problem(f"spec {path.name}", str(spec))
        else:
            yield ok(f"spec {path.name}", "compiles")
            yield _data(spec, settings, catalog, patience)


def _data(spec: Loaded, settings: Settings, catalog: Catalog | None, patience: Patience) -> Finding:
    experiment = spec.experiment
    subject = f"data of {experiment.name}"
    try:
        sources = patience.ask(
            lambda: find_sources(experiment, None, settings, trusted=spec.trusted, memory=catalog, read=False)
        )
    except SourceUnread as error:
        return ok(subject, f"is there; {error}")
    except (PlanError, SourceError, SourceUnavailable) as error:
        return problem(subject, str(error))
    except NoAnswer as error:
        return _silent(subject, f"{experiment.data.source}: ", error)
    files = sum(not file.labels for found in sources.files.values() for file in found)
    told = f"{experiment.data.source}: partition {sources.partition}, {files} file{'s' * (files != 1)}"
    notes = f" ({'; '.join(sources.notes)})" if sources.notes else ""
    return ok(subject, told + notes)


def _bases(loaded: Mapping[Path, Loaded], settings: Settings) -> Iterator[Finding]:
    patience = Patience(*_BASES)
    seen: set[tuple[str, str | None, str, str]] = set()
    told: set[Finding] = set()
    for spec in loaded.values():
        base, device = spec.experiment.base, spec.experiment.resources.device
        same = (base.model, base.revision, base.quantization, device)
        if same in seen:
            continue
        seen.add(same)
        try:
            found = patience.ask(_look_at_base(spec, settings))
        except NoAnswer as error:
            found = [_silent(f"base {base.model}", "", error)]
        yield from (finding for finding in found if finding not in told)
        told.update(found)


def _look_at_base(spec: Loaded, settings: Settings) -> Callable[[], list[Finding]]:
    return lambda: list(examine_base(spec.experiment, settings, trusted=spec.trusted))


def _versions(specs: Checked, catalog: Catalog, patience: Patience) -> Iterator[Finding]:
    models = {spec.experiment.model_name for spec in specs.values() if isinstance(spec, Loaded)}
    broken = {path.stem for path, spec in specs.items() if isinstance(spec, SpecError)}
    try:
        yield from patience.ask(lambda: list(examine_versions(catalog, models, broken)))
    except (CatalogUnavailable, NoAnswer) as error:
        yield unknown("versions", str(error), "try again when the catalog answers")


def _silent(subject: str, what: str, error: NoAnswer) -> Finding:
    mend = "see that the server behind it can be reached from here (network, proxy), and try again"
    return (unknown if isinstance(error, NotBegun) else problem)(subject, f"{what}{error}", mend)
