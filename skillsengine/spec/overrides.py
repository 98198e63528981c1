"""`--set a.b=c`: values from the command line, laid over a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from skillsengine.masking import mask
from skillsengine.spec.errors import Problem
from skillsengine.spec.scalars import complaint, resolve
from skillsengine.spec.source import BROKEN, Node, Place, Source, parts_of, put
from skillsengine.spec.text import split_lines
from skillsengine.spec.yaml_text import MAX_DEPTH, parse

MAX_LENGTH = 20_000
_PATH = re.compile(r"[^\s.=]+(?:\.[^\s.=]+)*")
_EXAMPLE = "an override is a dotted path, `=` and a value: --set train.epochs=1"
_TRUSTED = (("data", "source"), ("base", "model"))


def apply(root: Node, overrides: Iterable[str], problems: list[Problem]) -> tuple[Node, bool]:
    """(`root` with the overrides on it, whether one of them names the source or the base). Later ones win."""
    trusted = False
    for text in overrides:
        parsed = parse_override(text, problems)
        if parsed is not None:
            path, node = parsed
            root = put(root, path, node)
            trusted = trusted or path in _TRUSTED
    return root, trusted


def parse_override(text: str, problems: list[Problem]) -> tuple[tuple[str, ...], Node] | None:
    """(path, value) of one override, or None with the reason appended to `problems`.

    The value is a scalar as a spec would read it, or a list `[a, b]`. Anything else is taken as it stands, so that
    `data.source={partition}.jsonl` and `schedule=*/5 * * * *` need no quotes inside the shell's.
    """
    place = Place(Source(f"--set {_short(mask(text[:2000]))}", numbered=False))
    name, equals, value = text.partition("=")
    name, value = name.strip(), value.strip()
    if len(text) > MAX_LENGTH:
        problems.append(place.problem("", f"longer than {MAX_LENGTH:,} characters", _EXAMPLE))
        return None
    if not equals or not _PATH.fullmatch(name) or complaint(name) or name.count(".") >= MAX_DEPTH:
        problems.append(place.problem("", "not of the form a.b=value", _EXAMPLE))
        return None
    path = parts_of(name)
    if path[0] == "extends":
        problems.append(place.problem("extends", "cannot be overridden", "set the fields themselves"))
        return None
    # Half a character, from an argument that is no UTF-8, cannot even be handed to the parser.
    if value[:1] not in ("[", '"', "'") or complaint(value):
        scalar = resolve(value)
        fault = complaint(scalar)
        if fault:
            problems.append(place.problem(name, *fault))
        return path, Node(BROKEN if fault else scalar, place, place)
    source = replace(place.source, lines=split_lines(value))
    found: list[Problem] = []
    node = parse(source, value, found)
    problems.extend(replace(problem, path=name) for problem in found)
    if node is None:
        node = Node(BROKEN, place)
    return path, replace(node, key=place)


def _short(text: str) -> str:
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= 100 else text[:99] + "…"
