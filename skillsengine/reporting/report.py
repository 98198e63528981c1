"""The report of a version: one HTML file that holds all it needs, made of the figures."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from markupsafe import Markup

from skillsengine import __version__
from skillsengine.pipeline.known_matrix import known_matrix
from skillsengine.pipeline.matrix import Matrix
from skillsengine.reporting import charts
from skillsengine.reporting.charts import Chart, Files
from skillsengine.reporting.facts import facts, training_facts
from skillsengine.reporting.figures.descent import Descent, descent
from skillsengine.reporting.figures.difference import difference
from skillsengine.reporting.figures.errors import Errors, errors, labelled_cell
from skillsengine.reporting.figures.grid import Grid, grid
from skillsengine.reporting.figures.lengths import Lengths, lengths
from skillsengine.reporting.figures.plain import Missing, or_missing
from skillsengine.reporting.figures.scores import SUBJECTS, Scores, scores_of_version
from skillsengine.reporting.figures.spec import Spec, spec_of
from skillsengine.reporting.figures.steps import Steps, steps
from skillsengine.reporting.figures.training import Training, training
from skillsengine.reporting.figures.verdict import Verdict, verdict
from skillsengine.reporting.figures.versions import Versions, versions
from skillsengine.reporting.render import SCRIPTS, STYLES, environment, static
from skillsengine.scoring.comparison import ComparisonError
from skillsengine.settings import Settings
from skillsengine.spec.schema import Drift
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.files import write_durably
from skillsengine.storage.store import Store

MOST_BYTES = 2_000_000
"""A report is mailed and kept: a larger one is made again with less in it."""
_SPEC_CHARACTERS = 60_000


class ReportError(Exception):
    """The report cannot be written; the text says why and how to mend it."""


@dataclass(frozen=True)
class Amount:
    """How much of what may be much a report shows."""

    ads: int = 12
    errors: int = 12
    versions: int = 24
    partitions: int = 60
    moments: int = 400


_LESS = Amount(ads=4, errors=6, versions=8, partitions=24, moments=100)


@dataclass(frozen=True)
class Report:
    """All that a report shows, as plain data."""

    version: VersionRow
    aliases: tuple[str, ...]
    scores: Scores
    against: tuple[str, ...]
    """How it compares with the baselines that the gate has not compared with, in sentences."""
    verdict: Verdict | None
    errors: Errors | Missing
    training: Training | Missing
    lengths: Lengths | Missing
    versions: Versions
    grid: Grid
    grid_note: str
    descent: Descent | Missing
    run: Steps | None
    spec: Spec
    made: datetime


def gather(
    version: VersionRow,
    catalog: Catalog,
    store: Store,
    settings: Settings,
    amount: Amount | None = None,
    now: datetime | None = None,
) -> Report:
    """Read all figures of a ready version. One that cannot be made is Missing, with the reason.

    The data's source is not looked at: a report can be made where it is away. Raises CatalogError and CatalogUnavailable.
    """
    amount = amount or Amount()
    shown, note = _matrix(version, catalog, amount)
    aliases = catalog.aliases(version.model)
    told = verdict(version, catalog)
    return Report(
        version=version,
        aliases=tuple(sorted(alias for alias, number in aliases.items() if number == version.number)),
        scores=scores_of_version(version),
        against=_against(version, store, told.opponent if told else None),
        verdict=told,
        errors=or_missing(lambda: _errors(version, catalog, store, amount)),
        training=or_missing(lambda: training(version, store, catalog, amount.moments)),
        lengths=or_missing(lambda: lengths(version, store)),
        versions=versions(version.model, catalog),
        grid=grid(shown),
        grid_note=note,
        descent=or_missing(lambda: descent(version, store, catalog, settings)),
        run=None if version.run_id is None else steps(version.run_id, catalog),
        spec=_cut(spec_of(version.spec, settings)),
        made=now or datetime.now(UTC),
    )


def _errors(version: VersionRow, catalog: Catalog, store: Store, amount: Amount) -> Errors:
    """On the partition of the version's own run where that has labels, else on the newest one that has them."""
    own = version.metrics.get("adapter", {})
    partition = str(own["partition"]) if own.get("labelled_rows") else None
    cell = labelled_cell(version, catalog, partition)
    return errors(version, cell, store, most_frequent=amount.errors, most_ads=amount.ads)


def _against(version: VersionRow, store: Store, opponent: str | None) -> tuple[str, ...]:
    """Of the baselines that the gate has not compared with."""
    digests = version.lineage.get("evaluate", {})
    cells = {subject: store.get("evaluate", digests[subject]) for subject in SUBJECTS if subject in digests}
    told = []
    for subject in ("base", "lexicon"):
        ours, theirs = cells.get("adapter"), cells.get(subject)
        name = f"the {SUBJECTS[subject]}"
        if ours is None or theirs is None or name == opponent:
            continue
        try:
            found = difference(ours, theirs, "this version", name)
        except ComparisonError as error:
            told.append(f"F1 against {name}: {error}")
            continue
        if found:
            told.append(f"F1 against {name}: {found.text}")
    return tuple(told)


def _matrix(version: VersionRow, catalog: Catalog, amount: Amount) -> tuple[Matrix, str]:
    """The newest versions and partitions, with this version among them; and how many are left out, in words."""
    ready = [row for row in catalog.versions(version.model) if row.state == "ready"]
    kept = [row for row in ready[-amount.versions :] if row.number != version.number]
    champion = catalog.alias(version.model, "champion")
    wanted = {version.number, champion, *(row.number for row in kept)}
    rows = [row for row in ready if row.number in wanted]
    # Of a spec of before the fields that it lacks are today's.
    drift = Drift.model_validate(version.spec.get("drift") or {})
    found = known_matrix(version.experiment, version.model, catalog, drift=drift, versions=rows)
    keys = list(found.partitions)[-amount.partitions :]
    own = version.metrics.get("adapter", {}).get("partition")
    shown = {key: state for key, state in found.partitions.items() if key in keys or key == own}
    told = []
    if len(rows) < len(ready):
        told.append(f"{len(rows)} of {len(ready)} versions")
    if len(shown) < len(found.partitions):
        told.append(f"the newest {len(shown)} of {len(found.partitions)} partitions")
    note = f"Shown are {' and '.join(told)}; `skillsengine matrix {version.experiment}` has all." if told else ""
    return replace(found, partitions=shown), note


def _cut(spec: Spec) -> Spec:
    """A spec may hold up to 1 MB of worked examples."""

    def cut(text: str) -> str:
        return (
            text if len(text) <= _SPEC_CHARACTERS else f"{text[:_SPEC_CHARACTERS]}\n… (cut: it is {len(text):,} long)"
        )

    written = None if spec.written is None else cut(spec.written)
    return replace(spec, written=written, resolved=cut(spec.resolved))


def render(report: Report) -> str:
    """The HTML."""
    env = environment()
    scripts = [Markup(static(name)) for name in SCRIPTS]
    styles = [Markup(static(name)) for name in STYLES]
    found = report.scores
    own = next((subject for subject in found.subjects if subject.name == "adapter"), None)
    return env.get_template("report.html").render(
        vars(report),
        partition=report.version.partition if report.version.partition != "all" else None,
        description=" ".join(str(report.version.spec.get("description") or "").split()),
        own=own,
        headline=own.f1 if own else None,
        label_free=report.version.metrics.get("adapter", {}),
        charts=_charts(report),
        facts=facts(report.version, report.run),
        training_facts=training_facts(report.training.facts) if isinstance(report.training, Training) else (),
        score_files=Files(found.table()),
        error_files=Files(report.errors.table()) if isinstance(report.errors, Errors) else None,
        grid_files=Files(report.grid.table()),
        descent_files=Files(report.descent.table()) if isinstance(report.descent, Descent) else None,
        policy=_policy([*map(str, scripts)], [*map(str, styles)]),
        package_version=__version__,
        scripts=scripts,
        styles=styles,
    )


def _charts(report: Report) -> Mapping[str, Chart | None]:
    made: dict[str, Chart | None] = {
        "subjects": charts.subjects(report.scores),
        "slices": charts.slices(report.scores),
        "versions": charts.versions(report.versions, report.version.number),
        "loss": None,
        "rate": None,
        "throughput": None,
        "lengths": None,
    }
    if isinstance(report.training, Training):
        made |= {
            "loss": charts.loss(report.training),
            "rate": charts.learning_rate(report.training),
            "throughput": charts.throughput(report.training),
        }
    if isinstance(report.lengths, Lengths):
        made["lengths"] = charts.token_lengths(report.lengths)
    return made


def _policy(scripts: list[str], styles: list[str]) -> str:
    """A Content-Security-Policy that lets nothing be loaded, and nothing run but the report's own scripts."""

    def hashes(texts: list[str]) -> str:
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return f"default-src 'none'; script-src {hashes(scripts)}; style-src {hashes(styles)}; base-uri 'none'; form-action 'none'"


def make_report(version: VersionRow, catalog: Catalog, store: Store, settings: Settings) -> str:
    """The HTML of a version's report, at most `MOST_BYTES` long.

    Raises CatalogError and CatalogUnavailable, ReportError where even a short one is longer.
    """
    for amount in (Amount(), _LESS):
        text = render(gather(version, catalog, store, settings, amount))
        if (size := len(text.encode())) <= MOST_BYTES:
            return text
    raise ReportError(
        f"the report of {version.name} would be {size:,} bytes, and {MOST_BYTES:,} are the most. Its figures can be had one by "
        f"one: `skillsengine show`, `errors`, `matrix` and `lineage` print them with --json."
    )


def report_name(version: VersionRow) -> str:
    """The name under which runs leave the report of a version in the store: `Store.read_named`."""
    return f"reports/{version.model}/{version.number}.html"


def keep_report(store: Store, version: VersionRow, text: str) -> str:
    """Leave it in the store, whole; returns its place. Raises ReportError where a folder cannot be written, StoreError."""
    name = report_name(version)
    try:
        return store.write_named(name, text)
    except OSError as error:
        raise ReportError(f"{store.place}/{name}: cannot be written: {error.strerror or error}.") from error


def write_report(path: Path, text: str) -> None:
    """Write it whole or not at all. Raises ReportError where the place cannot be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write_durably(beside, text)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ReportError(
            f"{path}: cannot be written: {error.strerror or error}. Name a file in a folder that exists."
        ) from error
