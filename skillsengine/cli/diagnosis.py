"""Commands before the first run: doctor looks whether it can work, pull fetches the base ahead of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from skillsengine.cli.console import fail, out, seconds_text, settings_for
from skillsengine.cli.specs import Sets, SpecPath, load
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded, check_specs, load_spec

_MARKS = {"ok": ("ok      ", "green"), "warning": ("warning ", "yellow"), "problem": ("problem ", "bold red")}


def add_to(app: typer.Typer) -> None:
    for command in (doctor, pull):
        app.command()(command)


def doctor(
    specs: Annotated[list[Path] | None, typer.Argument(metavar="SPEC...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the findings.")] = False,
) -> None:
    """Look whether this environment can run the specs: store, device, data, bases and their access. Nothing is changed.

    Each finding that is not well says how to mend it. Exit code 1 if there is a problem, 0 if there are only warnings.
    Without SPEC all of `experiments/` is looked at.

    Example: `skillsengine doctor experiments/job-skills-llama2-13b.yaml`
    """
    examine = import_heavy("skillsengine.doctor.examine").examine
    settings = settings_for(specs[0] if specs else None)
    overlay = settings.overlay
    checked: dict[Path, Loaded | SpecError] = {}
    if specs:
        for path in specs:
            try:
                checked[path] = load_spec(path, experiments=settings.experiments, overlay=overlay)
            except SpecError as error:
                checked[path] = error
    else:
        checked = dict(check_specs(settings.experiments, overlay=overlay))
    found = []
    for finding in examine(checked, settings):
        found.append(finding)
        if not as_json:
            mark, color = _MARKS[finding.level]
            out.print(Text.assemble((mark, color), (finding.subject, "bold"), "  ", finding.text))
            if finding.mend:
                out.print(Text(f"         -> {finding.mend}", style="dim"))
    problems = sum(finding.level == "problem" for finding in found)
    if as_json:
        sys.stdout.write(json.dumps([finding.as_json() for finding in found], indent=1, ensure_ascii=False) + "\n")
    else:
        warnings = sum(finding.level == "warning" for finding in found)
        out.print(f"{len(found)} looked at, {warnings} warnings, {problems} problems")
    if problems:
        raise typer.Exit(1)


def pull(spec: SpecPath, set_: Sets = None) -> None:
    """Fetch the base of a spec ahead of the first run: from the Hub into its cache, or convert the built-in one.

    Interrupt it when you like: the same command goes on where it stopped. What is there already is not fetched again.
    For a machine without network, run it elsewhere with HF_HOME on a disk that both see, and set HF_HUB_OFFLINE=1 there.

    Example: `skillsengine pull experiments/job-skills-llama2-13b.yaml`
    """
    loaded, settings = load(spec, set_)
    fetched = import_heavy("skillsengine.doctor.fetch").fetch(
        loaded.experiment, settings, trusted=loaded.trusted, tell=lambda text: out.print(text, markup=False)
    )
    if fetched.problem is not None:
        raise fail(fetched.problem)
    out.print(f"{loaded.experiment.base.model} is in {fetched.folder} ({seconds_text(fetched.seconds)})", markup=False)
    if fetched.pin is not None:
        out.print(f"pin it, so that every run takes these weights:\n  base:\n    revision: {fetched.pin}", markup=False)
