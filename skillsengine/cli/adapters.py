"""Commands about adapters: list registered versions, extract skills with one."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from skillsengine.cli.console import fail, out, settings_for
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store

_SUBJECTS = {"adapter": "adapter", "base": "4-shot base", "lexicon": "lexicon"}


def add_to(app: typer.Typer) -> None:
    for command in (versions, extract):
        app.command()(command)


def versions(model: Annotated[str | None, typer.Argument(help="Only versions of this model.")] = None) -> None:
    """List registered adapters with their scores, aliases and folders.

    Example: `skillsengine versions job-skills-demo`
    """
    catalog = Catalog.open(settings_for().catalog_url)
    rows = [row for row in catalog.versions(model) if row.state == "ready"]
    if not rows:
        out.print("no versions yet" + (f" of {model}" if model else "") + ": a finished run registers one")
        return
    aliases = {name: catalog.aliases(name) for name in {row.model for row in rows}}
    for row in rows:
        scores = {name: row.metrics.get(subject, {}).get("f1") for subject, name in _SUBJECTS.items()}
        told = ", ".join(f"{name} {score:.3f}" for name, score in scores.items() if score is not None)
        held = ", ".join(sorted(alias for alias, number in aliases[row.model].items() if number == row.number))
        out.print(Text.assemble((row.name, "bold"), f"  {row.partition or ''}  F1: {told}  ", (held, "green")))
        out.print(Text(f"  {row.path}", style="dim"))


def extract(
    reference: Annotated[
        str, typer.Argument(metavar="MODEL@REF", help="REF is a number or an alias: champion, latest.")
    ],
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="A text file with one ad, or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of one skill a line.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Default: what the adapter was trained on.")] = None,
) -> None:
    """List the skills that an ad asks for, with a registered adapter.

    Example: `skillsengine extract job-skills-demo@champion ad.txt`
    """
    settings = settings_for()
    model, _, ref = reference.partition("@")
    catalog = Catalog.open(settings.catalog_url)
    version = catalog.resolve(model, ref or "champion")
    if version.path is None:
        raise fail(f"{model}@{version.number} is not published yet: its run is still registering it, or died doing so.")
    if source == "-":
        text = sys.stdin.read()
    else:
        path = Path(source)
        if not path.is_file():
            raise fail(f"{source}: no such file. Name a text file with one ad, or `-` to read standard input.")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise fail(f"{source}: not UTF-8 text ({error}). Convert it first, for example with iconv.") from error
    if not text.strip():
        raise fail(f"{'standard input' if source == '-' else source}: empty; there is no ad to read.")
    # By name: only this command of the module loads a model.
    extractor = importlib.import_module("skillsengine.serving.extract").Extractor.load(
        Path(version.path), bases=Store(settings.store_root).bases, allowed_roots=settings.allowed_roots, device=device
    )
    found = extractor.extract([text])[0]
    if as_json:
        answer = {"version": f"{version.model}@{version.number}", "skills": list(found.skills), "parsed": found.parsed}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(f"{skill}\n" for skill in found.skills))
