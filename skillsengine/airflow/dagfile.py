"""The text of a compiled DAG file: the spec as people wrote it, the resolved spec as data, and one call.

Parsing such a file reads no YAML. It says `airflow` and `dag`, so that Airflow's scan for DAG files finds it.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment
from skillsengine.spec.text import printable

MARKER = "# Made by skillsengine from "
"""How every file of ours begins; only files that begin so are ever overwritten or deleted."""

_GOOD = """\
{marker}{source}: an Airflow DAG file. Edit the spec, not this file.
SPEC = {spec}

# The spec with everything it extends filled in: what the DAGs are built from.
RESOLVED = {resolved}

from skillsengine.airflow.dag import build  # noqa: E402
from skillsengine.airflow.trying import build_try  # noqa: E402

retrain, evaluations = build(RESOLVED, source={source!r}, digest={digest!r}, project={project!r})
attempts = build_try(RESOLVED, project={project!r})
"""

_BROKEN = """\
{marker}{source}: an Airflow DAG file that only tells what is wrong with the spec.
MESSAGE = {message}


class spec(Exception):  # noqa: N801 - Airflow prints the name in front of the message
    __module__ = "builtins"  # or the name would be preceded by this file's mangled module name


raise spec({headline!r}) from spec(MESSAGE)
"""


def spec_digest(text: str, values: Mapping[str, Any]) -> str:
    """sha256 in hex over the spec's own text and what it resolves to: every edit of either gives another."""
    return hashlib.sha256(f"{text}\0{json.dumps(values, sort_keys=True)}".encode()).hexdigest()


def good_file(*, source: str, text: str, experiment: Experiment, project: str) -> str:
    """The DAG file of a spec that compiles.

    `source` is the spec's path relative to the project, `project` the folder that holds `experiments/`.
    """
    return _GOOD.format(
        marker=MARKER,
        source=source,
        spec=literal(text),
        resolved=literal(experiment.model_dump_json(indent=1)),
        digest=spec_digest(text, resolved(experiment)),
        project=project,
    )


def broken_file(*, source: str, name: str, message: str, has_good: bool) -> str:
    """The DAG file that turns what is wrong with a spec into an import error of Airflow's, message first."""
    stays = "the last good DAG stays" if has_good else "it has no DAG yet"
    headline = f"{name} does not compile; {stays}"
    # A file's name may hold anything, a line break and a line of Python too.
    source = printable(source)
    return _BROKEN.format(marker=MARKER, source=source, message=literal(message), headline=headline)


@dataclass(frozen=True)
class Compiled:
    """What the DAG file of a spec that compiles was made of."""

    source: str
    """The spec's path relative to the project."""
    text: str
    """The spec as it was written."""
    resolved: str
    """As JSON."""


def read_back(code: str) -> Compiled | None:
    """What `good_file` was given, without running what it wrote; None for any other file."""
    head, told, _ = code.partition("\n")[0].partition(": an Airflow DAG file.")
    if not head.startswith(MARKER) or not told:
        return None
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError):
        return None
    texts = {
        target.id: _text(node.value)
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    text, values = texts.get("SPEC"), texts.get("RESOLVED")
    return None if text is None or values is None else Compiled(head.removeprefix(MARKER), text, values)


def _text(node: ast.expr) -> str | None:
    """The text of a `literal`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    inner = _text(node.value) if isinstance(node, ast.Subscript) else None
    return None if inner is None else inner[1:]


def literal(text: str) -> str:
    """A Python literal equal to `text`, as readable as its content allows: raw and over many lines wherever that is
    safe."""
    plain = text.replace("\n", "").replace("\t", "").isprintable() and "\ufeff" not in text
    for quote in ('"""', "'''"):
        if plain and quote not in text and not text.endswith(("\\", quote[0])):
            # The line break after the quotes is swallowed by the slice, so that the first line stands at the margin.
            return f"r{quote}\n{text}{quote}[1:]"
    lines = "\n".join(f"    {line!r}" for line in text.splitlines(keepends=True)) or "    ''"
    return f"(\n{lines}\n)"
