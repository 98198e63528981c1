"""Where every value of a spec was written: file, line and column, through `extends` and overrides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from skillsengine.masking import mask_line
from skillsengine.spec.errors import Problem

# A longer line is not shown: looking for secrets in a line of a megabyte takes too long, and nobody reads it.
_MAX_LINE = 2000
_OF_PATHS = "sweep"
"""The section whose keys are paths."""

Scalar = str | int | float | bool | None
Part = str | int
"""A step of a path: the key of a mapping or the index of a list."""


@dataclass(frozen=True)
class Source:
    """One text that values are written in: a file, or an override of the command line."""

    shown: str
    """What people call it."""
    lines: tuple[str, ...] = ()
    numbered: bool = True
    """False for an override: its text stands in `shown`, so it has no line and no excerpt."""


@dataclass(frozen=True)
class Place:
    """A stretch of one line; line and column count from 0 here and from 1 for people."""

    source: Source
    line: int = 0
    column: int = 0
    length: int = 0

    def __str__(self) -> str:
        return f"{self.source.shown}:{self.line + 1}:{self.column + 1}" if self.source.numbered else self.source.shown

    def problem(self, path: str, message: str, hint: str | None = None, *, excerpt: bool = True) -> Problem:
        """A problem at this place. `excerpt=False` leaves the line out, for what is missing from a whole file."""
        if not self.source.numbered:
            return Problem(self.source.shown, None, None, path, message, hint)
        shown = None
        if excerpt and self.line < len(self.source.lines) and len(self.source.lines[self.line]) <= _MAX_LINE:
            shown = mask_line(self.source.lines, self.line)
        return Problem(self.source.shown, self.line + 1, self.column + 1, path, message, hint, shown, self.length)


class Broken:
    """Stands for a value that was reported already, so that nothing else is said about it."""


BROKEN = Broken()


@dataclass(frozen=True)
class Node:
    """One value of a spec with its place. Trees never change: merging makes new ones and shares the rest."""

    value: Scalar | Broken | dict[str, Node] | list[Node]
    at: Place
    """Where the value was written; the key's place for a block of lines and for an empty value."""
    key: Place | None = None
    """Where its key was written."""

    @property
    def mapping(self) -> dict[str, Node]:
        """The children of a mapping; empty for everything else."""
        return self.value if isinstance(self.value, dict) else {}


Plain = Scalar | dict[str, "Plain"] | list["Plain"]


def plain(node: Node) -> Plain:
    """The tree as plain data. What is broken is left out of mappings, and is None in lists, which keep their order."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items() if not isinstance(child.value, Broken)}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return None if isinstance(node.value, Broken) else node.value


def leaves(node: Node, path: tuple[Part, ...] = ()) -> Iterator[tuple[tuple[Part, ...], Node]]:
    """(path, node) of everything in the tree that is neither a mapping nor a list."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from leaves(child, (*path, key))
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield from leaves(child, (*path, index))
    else:
        yield path, node


def merge(base: Node, top: Node) -> Node:
    """`top` laid over `base`: mappings merge key by key, everything else (lists too) replaces."""
    if not (isinstance(base.value, dict) and isinstance(top.value, dict)):
        return top
    merged = dict(base.value)
    for key, child in top.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child
    return Node(merged, top.at, top.key)


def put(root: Node, path: tuple[Part, ...], node: Node) -> Node:
    """`root` with `node` at `path`; mappings on the way are made where there are none."""
    if not path:
        return replace(node, key=node.key or root.key)
    head, rest = path[0], path[1:]
    if isinstance(root.value, list) and isinstance(head, int):
        items = list(root.value)
        items[head] = put(items[head], rest, node)
        return replace(root, value=items)
    children = dict(root.mapping)
    child = children.get(str(head)) or Node({}, node.at, node.at)
    children[str(head)] = put(child, rest, node)
    return replace(root, value=children) if isinstance(root.value, dict) else Node(children, node.at, node.at)


def find(root: Node, path: tuple[Part, ...]) -> Node | None:
    """The node at `path`, or None where nothing was written there."""
    node: Node | None = root
    for part in path:
        if node is None:
            return None
        if isinstance(node.value, list):
            node = node.value[part] if isinstance(part, int) and part < len(node.value) else None
        else:
            node = node.mapping.get(str(part))
    return node


def parts_of(path: str) -> tuple[str, ...]:
    """`train.epochs` -> `("train", "epochs")`. A key of `sweep` is itself a path: `sweep.lora.r` -> `("sweep", "lora.r")`."""
    head, dot, rest = path.partition(".")
    return (head, rest) if dot and head == _OF_PATHS else tuple(path.split("."))


def dotted(path: tuple[Part, ...]) -> str:
    """`("evaluate", "shots", 0, "text")` -> `evaluate.shots[0].text`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


class Sources:
    """Answers where a field of a loaded spec was written."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def place(self, path: str | tuple[Part, ...]) -> Place | None:
        """The place of the value at a path (`data.source`, or its parts); None where the default applies."""
        node = find(self._root, parts_of(path) if isinstance(path, str) else path)
        return node.at if node else None

    def problem(self, path: str, message: str, hint: str | None = None) -> Problem:
        """A problem of the field at a dotted path, at its value or at the nearest thing around it that was written."""
        parts = parts_of(path)
        for end in range(len(parts), 0, -1):
            node = find(self._root, parts[:end])
            if node:
                return (node.at if end == len(parts) else node.key or node.at).problem(path, message, hint)
        return self._root.at.problem(path, message, hint, excerpt=False)

    def written(self) -> Mapping[str, Place]:
        """Every written value: dotted path -> place, in the order of the merged spec."""
        return {dotted(path): node.at for path, node in leaves(self._root)}
