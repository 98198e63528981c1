"""`skillsengine schema`: the JSON Schema of a spec, for editors and for programs that write specs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from skillsengine.cli.console import fail, out
from skillsengine.spec import json_schema


def add_to(app: typer.Typer) -> None:
    app.command()(schema)


def schema(
    out_: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it here, not to stdout.")
    ] = None,
    part: Annotated[
        bool, typer.Option("--part", help="Of a file that specs extend, or an overlay: no field is needed.")
    ] = False,
) -> None:
    """Print the JSON Schema (draft 2020-12) of a spec: every field with its meaning, range and default.

    An editor with a YAML language server completes and checks a spec whose first line names the schema's file:
    `# yaml-language-server: $schema=../schema/spec.schema.json`

    Example: `skillsengine schema -o schema/spec.schema.json`
    """
    text = json_schema.text(json_schema.part_schema() if part else json_schema.spec_schema())
    if out_ is None:
        sys.stdout.write(text)
        return
    try:
        out_.parent.mkdir(parents=True, exist_ok=True)
        out_.write_text(text, encoding="utf-8")
    except OSError as error:
        raise fail(f"{out_} cannot be written: {error.strerror}") from error
    out.print(f"written {out_}", markup=False)
