"""`skillsengine plan`: what a run would do, what it would take, and when it runs next."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from skillsengine.airflow.broker import timeout_problem
from skillsengine.cli.console import err, fail, out, settings_for
from skillsengine.cli.plan_view import show_all, show_outlook
from skillsengine.cli.specs import Partition, Sets, load
from skillsengine.pipeline.outlook import Outlook, look_ahead
from skillsengine.pipeline.plan import PlanError, RunOptions, find_sources, make_plan
from skillsengine.pipeline.source_rows import SourceRows
from skillsengine.settings import Settings
from skillsengine.sources.errors import SourceError, SourceUnavailable
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded, check_specs
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import StoreError

_OF_ONE_SPEC = (SpecError, PlanError, SourceError, SourceUnavailable, StoreError)
"""What is wrong with one spec or its data, and no reason to leave the others out."""


def add_to(app: typer.Typer) -> None:
    app.command()(plan)


def plan(
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC", help="A YAML file of `experiments/`.")] = None,
    partition: Partition = None,
    set_: Sets = None,
    all_: Annotated[bool, typer.Option("--all", help="All specs of `experiments/`, a line each.")] = False,
    read: Annotated[bool, typer.Option("--read", help="Read remote data that was never read; it may be much.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: an object, or with --all a list of one a spec.")
    ] = False,
) -> None:
    """Show what a run would do: which artifacts exist, which would be made and why, what it takes, when it runs next.

    Data of an object store or of the Hub is looked at, not downloaded: what was never read is unknown, unless `--read`.
    Numbers are exact where artifacts say them, `about` where earlier runs do, and left out where there is nothing to go by.
    With `--all` a spec that cannot be planned is told as its error, the others go on, and the exit code is 1.

    Example: `skillsengine plan experiments/job-skills-demo.yaml --set train.epochs=3`
    """
    if all_:
        if spec or partition or set_:
            raise fail("--all plans every spec as it stands: leave SPEC, --partition and --set out.")
        _plan_all(read=read, as_json=as_json)
        return
    if spec is None:
        raise fail("say which SPEC (a YAML file of experiments/), or --all.")
    loaded, settings = load(spec, set_)
    found = _Ahead(settings, read=read).look(loaded, partition)
    if as_json:
        _print_json(_entry(spec, settings, found))
    else:
        show_outlook(found)


class _Ahead:
    """Looks ahead for the specs of one project, over one catalog and one store."""

    def __init__(self, settings: Settings, *, read: bool) -> None:
        self._settings, self._read = settings, read
        self._catalog, self._store = Catalog.open(settings.catalog_url), open_store(settings)
        self._rows, self._now = SourceRows(), datetime.now(UTC)

    def look(self, loaded: Loaded, partition: str | None = None) -> Outlook:
        experiment, settings, trusted = loaded.experiment, self._settings, loaded.trusted
        sources = find_sources(
            experiment, partition, settings, trusted=trusted, memory=self._catalog, read=self._read, now=self._now
        )
        whole = make_plan(experiment, sources, settings, RunOptions(trusted=trusted))
        found = look_ahead(
            whole, sources, settings, self._store, self._catalog, self._now, trusted=trusted, rows=self._rows
        )
        problem = timeout_problem(experiment)
        return found if problem is None else found.warned(problem)


def _plan_all(*, read: bool, as_json: bool) -> None:
    settings = settings_for()
    found = list(_each(settings, read=read))
    errors = [(path, result) for path, result in found if not isinstance(result, Outlook)]
    if as_json:
        _print_json([_entry(path, settings, result) for path, result in found])
    elif not found:
        out.print(f"no specs in {settings.experiments}", markup=False)
    else:
        show_all([result for _, result in found if isinstance(result, Outlook)])
    for path, error in errors:
        text = str(error)
        # A spec's own errors begin with its file; those about its data do not.
        err.print(Text(text if isinstance(error, SpecError) else f"{_shown(path, settings)}: {text}"))
    if errors:
        err.print(f"{len(errors)} of {len(found)} specs cannot be planned")
        raise typer.Exit(1)


def _each(settings: Settings, *, read: bool) -> Iterator[tuple[Path, Outlook | Exception]]:
    ahead = _Ahead(settings, read=read)
    for path, loaded in sorted(check_specs(settings.experiments, overlay=settings.overlay).items()):
        if isinstance(loaded, SpecError):
            yield path, loaded
            continue
        try:
            yield path, ahead.look(loaded)
        except _OF_ONE_SPEC as error:
            yield path, error


def _entry(path: Path, settings: Settings, result: Outlook | Exception) -> dict[str, Any]:
    """`spec`, `error` (null where there is none), and the plan."""
    head: dict[str, Any] = {"spec": _shown(path, settings), "error": None}
    return head | (result.as_json() if isinstance(result, Outlook) else {"error": str(result)})


def _shown(path: Path, settings: Settings) -> str:
    path = path.resolve()
    return path.relative_to(settings.project).as_posix() if path.is_relative_to(settings.project) else str(path)


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
