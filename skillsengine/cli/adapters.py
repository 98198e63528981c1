"""The command that uses an adapter: extract the skills of an ad."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from skillsengine.cli.console import fail, settings_for
from skillsengine.cli.registry import Reference, find_version, require_path
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.storage.store import Store


def add_to(app: typer.Typer) -> None:
    app.command()(extract)


def extract(
    reference: Reference,
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="A text file with one ad, or - for standard input.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of one skill a line.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Default: what the adapter was trained on.")] = None,
) -> None:
    """List the skills that an ad asks for, with a registered adapter.

    Example: `skillsengine extract job-skills-demo@champion ad.txt`
    """
    settings = settings_for()
    version, _ = find_version(reference, settings)
    folder = Path(require_path(version))
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
    extractor = import_heavy("skillsengine.serving.extract").Extractor.load(
        folder, bases=Store(settings.store_root).bases, allowed_roots=settings.allowed_roots, device=device
    )
    found = extractor.extract([text])[0]
    if as_json:
        answer = {"version": f"{version.model}@{version.number}", "skills": list(found.skills), "parsed": found.parsed}
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(f"{skill}\n" for skill in found.skills))
