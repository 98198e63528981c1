"""Commands about specs: validate, preview, compile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from skillsengine.cli.console import err, out, settings_for
from skillsengine.cli.rendered import show_rows
from skillsengine.pipeline.plan import find_sources
from skillsengine.pipeline.preview import preview as render
from skillsengine.settings import Settings
from skillsengine.spec.errors import SpecError, told_together
from skillsengine.spec.load import Loaded, check_specs, load_spec
from skillsengine.storage.catalog import Catalog

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="A YAML file of `experiments/`.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=c", help="Set one field for this call, e.g. --set train.epochs=1. Repeatable."),
]
Partition = Annotated[
    str | None,
    typer.Option(metavar="KEY", help="Partition such as 2026-06. Default: the newest complete one with data."),
]


def add_to(app: typer.Typer) -> None:
    for command in (validate, preview, compile_):
        app.command(command.__name__.rstrip("_"))(command)


def load(spec: Path, overrides: list[str] | None) -> tuple[Loaded, Settings]:
    """A spec with its overrides, and the settings of its project. Raises SpecError and SettingsError."""
    settings = settings_for(spec)
    overlay = settings.overlay
    loaded = load_spec(spec, overrides=tuple(overrides or ()), experiments=settings.experiments, overlay=overlay)
    return loaded, settings


def validate(specs: Annotated[list[Path] | None, typer.Argument(metavar="SPEC...")] = None) -> None:
    """Check specs: every problem at once, with file, line and column. Exit code 1 if there is any.

    Without SPEC all of `experiments/` is checked. No data and no model need to be there.

    Example: `skillsengine validate experiments/job-skills-demo.yaml`
    """
    settings = settings_for(specs[0] if specs else None)
    overlay = settings.overlay
    found = check_specs(settings.experiments, overlay=overlay)
    wanted = {path.resolve() for path in specs} if specs else None
    checked: dict[Path, Loaded | SpecError] = {
        path: result for path, result in found.items() if wanted is None or path.resolve() in wanted
    }
    for path in wanted or ():
        if path not in {p.resolve() for p in checked}:
            try:
                checked[path] = load_spec(path, experiments=settings.experiments, overlay=overlay)
            except SpecError as error:
                checked[path] = error
    broken = []
    for path, result in sorted(checked.items()):
        if isinstance(result, SpecError):
            broken.append(result)
        else:
            out.print(
                f"[green]ok[/] {path.name}: {result.experiment.name}, schedule {result.experiment.effective_schedule}"
            )
    _print_errors(broken)
    if overlay is not None:
        out.print(f"with the values of {overlay.relative_to(settings.project)} (SKILLSENGINE_ENV)", markup=False)
    if not checked:
        out.print(f"no specs in {settings.experiments}")
    if broken:
        err.print(f"{len(broken)} of {len(checked)} specs do not compile")
        raise typer.Exit(1)


def _print_errors(errors: Sequence[SpecError]) -> None:
    for text in told_together(errors):
        err.print(Text(text))


def preview(spec: SpecPath, partition: Partition = None, set_: Sets = None) -> None:
    """Show three rendered training rows with the supervised tokens marked.

    Only the marked tokens are learned from: the answer and the end-of-text token.

    Example: `skillsengine preview experiments/job-skills-demo.yaml`
    """
    loaded, settings = load(spec, set_)
    memory = Catalog.open(settings.catalog_url)
    sources = find_sources(loaded.experiment, partition, settings, trusted=loaded.trusted, memory=memory)
    show_rows(render(loaded.experiment, sources, settings, trusted=loaded.trusted))


def compile_(
    out_: Annotated[Path, typer.Option("--out", metavar="DIR", help="The dags folder to write into.")],
    project: Annotated[Path | None, typer.Option(help="The folder that holds `experiments/`.")] = None,
) -> None:
    """Write one DAG file per spec into a plain dags folder, for an Airflow whose bundles cannot be configured.

    Specs that are gone lose their file; a broken one keeps its last good file and gets a second one with the error.

    Example: `skillsengine compile --out ~/airflow/dags`
    """
    from skillsengine.airflow.compile import compile_experiments

    settings = settings_for(project / "experiments" / "any" if project else None)
    report = compile_experiments(settings.experiments, out_, project=settings.named, overlay=settings.overlay)
    for name in report.written:
        out.print(f"[green]written[/] {name}")
    for name in report.removed:
        out.print(f"removed {name}")
    _print_errors(report.errors)
    out.print(f"{len(report.written)} written, {len(report.unchanged)} unchanged, {len(report.removed)} removed")
    if report.errors:
        raise typer.Exit(1)
