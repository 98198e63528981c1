"""`skillsengine resolve`: a spec with everything that it leaves unsaid, and where each of its values was written."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from skillsengine.cli.console import out
from skillsengine.cli.specs import Sets, SpecPath, load
from skillsengine.draft.yaml_lines import scalar
from skillsengine.spec.load import Loaded, resolved
from skillsengine.spec.located import DEFAULT, located
from skillsengine.spec.source import Part, Sources

WIDTH = 80
_FAR = 46
"""A longer place (an override with a path in it) does not move the column of all the others."""
_NARROWEST = 30


def add_to(app: typer.Typer) -> None:
    app.command()(resolve)


def resolve(
    spec: SpecPath,
    set_: Sets = None,
    where: Annotated[bool, typer.Option("--where", help="Say for each value where it was written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: the spec, or a list with --where.")] = False,
) -> None:
    """Print the whole spec as YAML: what it extends, its references, overrides and every default worked in.

    With `--where` each value is followed by its file, line and column, by the `--set` it came from, or by `default`. What a
    reference (`${train.seed}`) made stands where the reference does. What is printed is itself a spec, equal to this one.

    Example: `skillsengine resolve experiments/job-skills-demo.yaml --where`
    """
    loaded, _settings = load(spec, set_)
    if as_json:
        told = located(loaded) if where else resolved(loaded.experiment)
        sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
        return
    for body, comment in lines(loaded, where=where):
        out.print(Text.assemble(body, (comment, "dim")))


@dataclass(frozen=True)
class _Row:
    """A line that a value begins on, and the lines below it that go on with the value."""

    indent: int
    body: str
    path: tuple[Part, ...] | None = None
    """The value's path; None for a line that holds no value of its own."""
    more: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return " " * self.indent + self.body


def lines(loaded: Loaded, *, where: bool = False) -> list[tuple[str, str]]:
    """(YAML, comment) of each line. Comments stand in one column, and above a line that leaves no room for them."""
    rows = list(_mapping(resolved(loaded.experiment), (), 0))
    if not where:
        return [(text, "") for row in rows for text in (row.text, *row.more)]
    places = [f"# {_shown(loaded.sources, row.path)}" if row.path else "" for row in rows]
    most = max((len(place) for place in places if len(place) <= _FAR), default=0)
    room = max(_NARROWEST, WIDTH - most - 2)
    column = 2 + max((len(row.text) for row in rows if len(row.text) <= room), default=0)
    told: list[tuple[str, str]] = []
    for row, place in zip(rows, places, strict=True):
        if not place:
            told.append((row.text, ""))
        elif len(row.text) + 2 <= column and column + len(place) <= WIDTH:
            told.append((f"{row.text:<{column}}", place))
        else:
            told += [(" " * row.indent, place), (row.text, "")]
        told += [(text, "") for text in row.more]
    return told


def _shown(sources: Sources, path: tuple[Part, ...]) -> str:
    place = sources.place(path)
    # A line break would end the comment, and what follows it would be YAML.
    return DEFAULT if place is None else "".join(char if char.isprintable() else " " for char in str(place))


def _mapping(data: dict[str, Any], path: tuple[Part, ...], indent: int) -> Iterator[_Row]:
    for key, value in data.items():
        here = (*path, key)
        if isinstance(value, dict) and value:
            yield _Row(indent, f"{key}:")
            yield from _mapping(value, here, indent + 2)
        elif isinstance(value, list):
            yield from _list(key, value, here, indent)
        elif isinstance(value, str) and (block := _block(value)):
            mark, text = block
            yield _Row(indent, f"{key}: {mark}", here, tuple(f"{' ' * indent}  {line}".rstrip(" ") for line in text))
        else:
            yield _Row(indent, f"{key}: {_scalar(value)}", here)


def _list(key: str, values: list[Any], path: tuple[Part, ...], indent: int) -> Iterator[_Row]:
    if any(isinstance(item, dict) for item in values):
        yield _Row(indent, f"{key}:")
        for index, item in enumerate(values):
            first, *rest = _mapping(item, (*path, index), indent + 4)
            yield _Row(indent + 2, f"- {first.body}", first.path, first.more)
            yield from rest
        return
    flow = f"{key}: [{', '.join(_in_flow(item) for item in values)}]"
    if indent + len(flow) <= WIDTH:
        yield _Row(indent, flow, path)
    else:
        yield _Row(indent, f"{key}:", path, tuple(f"{' ' * indent}  - {_scalar(item)}" for item in values))


def _scalar(value: Any) -> str:
    return scalar(value) if isinstance(value, str) else json.dumps(value)


def _in_flow(value: Any) -> str:
    text = _scalar(value)
    return json.dumps(text) if text[:1] != '"' and re.search(r"[{}\[\],]", text) else text


def _block(text: str) -> tuple[str, list[str]] | None:
    """(mark, lines) of a text of several lines that reads as it stands; None for what only quotes can hold."""
    body = text.removesuffix("\n")
    rows = body.split("\n")
    if len(rows) == 1 and body == text:
        return None
    odd = any(not row.isprintable() or row != row.rstrip() for row in rows)
    if odd or not rows[0] or rows[0][0] == " " or not rows[-1] or "${" in text:
        return None
    return ("|" if body != text else "|-"), rows
