"""Where a version came from: its artifacts down to the files, each told once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from skillsengine.pipeline.lineage import Lineage, Node, ReadFile, trace
from skillsengine.pipeline.summaries import summary_line
from skillsengine.reporting.figures.plain import Table
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.store import Store


@dataclass(frozen=True)
class File:
    """A file that was read."""

    where: str
    """Below the project; of a file elsewhere its address, of a local one its name alone: reports are handed on."""
    sha256: str
    split: str | None


@dataclass(frozen=True)
class Made:
    """One artifact."""

    name: str
    """`format[2026-03]`."""
    digest: str
    present: bool
    """Whether the store still holds it."""
    created: str | None
    told: str
    """Its main numbers, in a line."""
    files: tuple[File, ...]
    made_of: tuple[Made, ...]
    repeated: bool = False
    """Told further up: what it is made of is not told again."""


@dataclass(frozen=True)
class Descent:
    """From a version to the bytes of its ads."""

    version: str
    experiment: str
    run_id: str | None
    trigger: str | None
    spec_commit: str | None
    overrides: tuple[str, ...]
    root: Made
    environment: Mapping[str, str]
    """Library -> version, of where the adapter was trained."""

    def table(self) -> Table:
        """Every artifact once, and every file."""
        rows: list[tuple[str | None, ...]] = []
        for made in _all(self.root):
            rows.append((made.name, made.digest, made.created, None, None))
            rows += [(made.name, None, None, file.where, file.sha256) for file in made.files]
        return Table(("artifact", "digest", "created", "file", "sha256"), tuple(rows))


def descent(version: VersionRow, store: Store, catalog: Catalog, settings: Settings) -> Descent:
    """Raises CatalogError where the catalog does not answer, StoreError for a manifest that cannot be read."""
    traced = trace(version, store, catalog)
    return Descent(
        version=version.name,
        experiment=version.experiment,
        run_id=traced.run_id,
        trigger=traced.trigger,
        spec_commit=traced.spec_commit,
        overrides=traced.overrides,
        root=_made(traced.root, settings.project, set()),
        environment=_environment(traced),
    )


def _environment(traced: Lineage) -> Mapping[str, str]:
    told = traced.version.lineage.get("environment") or {}
    if told:
        return dict(told)
    return next((dict(n.environment) for n in (traced.root, *traced.root.inputs) if n.environment), {})


def _made(node: Node, project: Path, told: set[str]) -> Made:
    repeated = node.digest in told
    told.add(node.digest)
    return Made(
        name=node.name,
        digest=node.digest,
        present=node.present,
        created=node.created,
        told=summary_line(node.stage, node.summary) if node.present else "",
        files=() if repeated else tuple(_file(file, project) for file in node.files),
        made_of=() if repeated else tuple(_made(inner, project, told) for inner in node.inputs),
        repeated=repeated,
    )


def _file(file: ReadFile, project: Path) -> File:
    where = file.where or file.name
    if Path(where).is_absolute():
        path = Path(where)
        where = str(path.relative_to(project)) if path.is_relative_to(project) else path.name
    return File(where, file.sha256, file.split)


def _all(made: Made) -> Iterator[Made]:
    if not made.repeated:
        yield made
    for inner in made.made_of:
        yield from _all(inner)
