"""Commands before the first run: doctor looks whether it can work, pull fetches the base ahead of it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from skillsengine.cli.console import fail, out, seconds_text, settings_for
from skillsengine.cli.specs import Sets, SpecPath, load
from skillsengine.doctor.finding import Finding
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.settings import Settings
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded, check_specs, load_spec

_COLORS = {"ok": "green", "unknown": "cyan", "warning": "yellow", "problem": "bold red"}
_INDENT = 11
"""Columns that the marks take."""
_MOST_WELL = 20
"""Lines of a group about what is well."""


def add_to(app: typer.Typer) -> None:
    for command in (doctor, pull):
        app.command()(command)


def doctor(
    specs: Annotated[list[Path] | None, typer.Argument(metavar="SPEC...")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list of the findings.")] = False,
) -> None:
    """Look whether this environment can run the specs: machine, Airflow, data and bases. Nothing is changed.

    Each finding that is not well says how to mend it; `unknown` is what could not be looked at from here. Without SPEC all
    of `experiments/` is looked at, also for DAGs and versions whose spec is gone. Exit code 1 if there is a problem,
    0 if there are only warnings.

    Example: `skillsengine doctor experiments/job-skills-llama2-13b.yaml`
    """
    examine = import_heavy("skillsengine.doctor.examine").examine
    settings = settings_for(specs[0] if specs else None)
    findings = examine(_checked(specs, settings), settings, whole=not specs)
    found = list(findings if as_json else _told(findings))
    if as_json:
        sys.stdout.write(json.dumps([finding.as_json() for finding in found], indent=1, ensure_ascii=False) + "\n")
    else:
        _conclude(found)
    if any(finding.level == "problem" for finding in found):
        raise typer.Exit(1)


def _checked(specs: list[Path] | None, settings: Settings) -> dict[Path, Loaded | SpecError]:
    overlay = settings.overlay
    if not specs:
        return dict(check_specs(settings.experiments, overlay=overlay))
    checked: dict[Path, Loaded | SpecError] = {}
    for path in specs:
        try:
            checked[path] = load_spec(path, experiments=settings.experiments, overlay=overlay)
        except SpecError as error:
            checked[path] = error
    return checked


def _told(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print them as they come; of what is well only so many lines that the rest still stands out."""
    for group, members in groupby(findings, lambda finding: finding.group):
        out.print(Text(group, style="bold underline"))
        well = 0
        for finding in members:
            well += finding.level == "ok"
            if finding.level != "ok" or well <= _MOST_WELL:
                _show(finding)
            yield finding
        if well > _MOST_WELL:
            more = f"and {well - _MOST_WELL} more that are well (--json names them)"
            out.print(Text.assemble(("  ok       ", _COLORS["ok"]), more))


def _show(finding: Finding) -> None:
    color = _COLORS[finding.level]
    text = Text.assemble((finding.subject, "bold"), "  ", finding.text)
    if finding.level == "problem":
        text.stylize("red", 0, len(finding.subject))
    marked = [(Text(f"  {finding.level:<9}", style=color), text)]
    if finding.mend:
        marked.append((Text(" " * (_INDENT - 3)), Text(f"-> {finding.mend}")))
    for mark, body in marked:
        # In a terminal lines break below their own beginning; elsewhere they stay whole.
        lines = body.wrap(out, max(out.width - _INDENT, 20)) if out.is_terminal else body.split("\n")
        for number, line in enumerate(lines):
            whole = Text.assemble(mark if number == 0 else " " * _INDENT, line)
            whole.rstrip()
            out.print(whole)


def _conclude(found: list[Finding]) -> None:
    """What was found in all, and what to do first."""
    counts = Counter(finding.level for finding in found)
    told = [f"{counts[level]} {level}{'s' * (counts[level] != 1)}" for level in ("problem", "warning")]
    if counts["unknown"]:
        told.append(f"{counts['unknown']} could not be looked at")
    out.print(f"{len(found)} looked at: {', '.join(told)}")
    for level in ("problem", "warning"):
        for finding in found:
            if finding.level == level:
                first = finding.mend or finding.text.strip().partition("\n")[0]
                out.print(Text(f"first: {finding.subject}: {first}", style="bold"))
                return


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
