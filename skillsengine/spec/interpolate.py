"""`${section.key}` refers to the spec itself, resolved by OmegaConf; nothing else resolves.

OmegaConf would also read the environment (`${oc.env:...}`), call registered functions and expand for ten seconds what
238 bytes can double up. So every reference is looked at first: its form, its target, and how much it expands to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from skillsengine.spec.errors import Problem, SpecError
from skillsengine.spec.scalars import shorten
from skillsengine.spec.schema import Data, Experiment
from skillsengine.spec.source import BROKEN, Node, Part, Plain, Scalar, dotted, leaves, plain, put
from skillsengine.spec.suggest import closest

MAX_DEPTH = 16
MAX_REFERENCES = 1000
MAX_CHARACTERS = 200_000
MAX_PROBLEMS = 200

# (?<!\\): a search that began again at each backslash of a long row would take hours.
_OPEN = re.compile(r"(?<!\\)(?P<escape>\\*)\$\{")
_TARGET = re.compile(r"\s*(?P<path>[A-Za-z_]\w*(?:\.\w+)*)\s*\}")
_WHOLE = re.compile(r"\$\{\s*[\w.]+\s*\}")
_MEND = "`${section.key}` refers to a field of this spec, and `\\${` is the text itself"

_Path = tuple[Part, ...]


class _Refused(Exception):
    """A reference cannot be resolved."""

    def __init__(self, message: str, hint: str | None = _MEND) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint
        self.origin: _Path | None = None
        """The value that is at fault; those that only refer to it are not reported."""


@dataclass(frozen=True)
class _Cost:
    """What a value becomes when everything in it is resolved."""

    references: int
    characters: int
    depth: int
    kind: type
    """Type of the resolved value."""


def interpolate(root: Node, problems: list[Problem]) -> Node:
    """`root` with every `${section.key}` resolved; a value that cannot be is reported and marked as broken.

    Raises SpecError with all `problems` where they are too many to go on.
    """
    users = [(path, node) for path, node in leaves(root) if isinstance(node.value, str) and "${" in node.value]
    if not users:
        return root
    data = _with_defaults(plain(root))
    nodes = dict(users)
    bill = _Bill(data, frozenset(nodes))
    good: list[tuple[_Path, Node]] = []
    reported: set[_Path] = set()
    for path, node in users:
        if len(reported) >= MAX_PROBLEMS:
            raise SpecError(problems)
        try:
            bill.charge(path)
            good.append((path, node))
        except _Refused as refused:
            origin = refused.origin or path
            if origin not in reported:
                reported.add(origin)
                problems.append(nodes[origin].at.problem(dotted(origin), refused.message, refused.hint))
            root = put(root, path, Node(BROKEN, node.at, node.key))
            bill.failed[path] = refused
    for path in bill.failed.keys() & nodes.keys():
        _set(data, path, None)
    return _resolve(root, data, good, problems)


def _resolve(root: Node, data: dict[str, Plain], users: list[tuple[_Path, Node]], problems: list[Problem]) -> Node:
    # Imported here: OmegaConf takes a tenth of a second, and most specs interpolate nothing.
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    config = OmegaConf.create(data)
    for path, node in users:
        try:
            value: Any = config
            for part in path:
                value = value[part]
            if OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
            root = put(root, path, _node(value, node))
        except OmegaConfBaseException as error:
            reason = shorten(str(error).splitlines()[0])
            problems.append(node.at.problem(dotted(path), f"cannot be resolved: {reason}", _MEND))
            root = put(root, path, Node(BROKEN, node.at, node.key))
    return root


def _node(value: Any, at: Node) -> Node:
    """A resolved value as a tree in which everything stands where the reference was written."""
    if isinstance(value, dict):
        return Node({str(key): _node(child, at) for key, child in value.items()}, at.at, at.key)
    if isinstance(value, list):
        return Node([_node(child, at) for child in value], at.at, at.key)
    return Node(value, at.at, at.key)


def _with_defaults(written: Plain) -> dict[str, Plain]:
    """What was written over the schema's defaults: `${train.seed}` works without the spec saying `seed`."""
    defaults = Experiment(name="x", data=Data(source="x")).model_dump(mode="json")
    del defaults["name"], defaults["data"]["source"]
    return _over(defaults, written if isinstance(written, dict) else {})


def _over(base: dict[str, Plain], top: dict[str, Plain]) -> dict[str, Plain]:
    merged = dict(base)
    for key, value in top.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _set(data: Plain, path: _Path, value: Scalar) -> None:
    for part in path[:-1]:
        data = data[part]  # type: ignore[index]
    data[path[-1]] = value  # type: ignore[index]


def references(text: str) -> Iterator[str]:
    """The dotted path of every `${...}` in `text`. Raises _Refused at one that is anything else."""
    for match in _OPEN.finditer(text):
        if len(match["escape"]) % 2:
            continue
        target = _TARGET.match(text, match.end())
        if target:
            yield target["path"]
            continue
        end = text.find("}", match.end())
        if end < 0:
            raise _Refused("`${` without its `}`")
        inner = shorten(text[match.end() : end + 1])
        if ":" in inner:
            raise _Refused(f"`${{{inner}` is refused: a spec reads no environment and calls no functions")
        raise _Refused(f"`${{{inner}` is not a reference")


@dataclass
class _Bill:
    """Adds up what a spec's references expand to, without expanding them."""

    data: dict[str, Plain]
    users: frozenset[_Path]
    """The values that hold references."""
    failed: dict[_Path, _Refused] = field(default_factory=dict)
    known: dict[_Path, _Cost] = field(default_factory=dict)
    visiting: list[_Path] = field(default_factory=list)
    references: int = 0
    characters: int = 0

    def charge(self, path: _Path) -> None:
        """Raises _Refused if the value at `path` cannot be resolved, or if all values together grow too large."""
        cost = self.cost(path)
        self.references += cost.references
        self.characters += cost.characters
        if self.references > MAX_REFERENCES or self.characters > MAX_CHARACTERS:
            raise _Refused(_too_large(), None)

    def cost(self, path: _Path) -> _Cost:
        if path in self.known:
            return self.known[path]
        if path in self.failed:
            raise self.failed[path]
        if path in self.visiting:
            circle = [*self.visiting[self.visiting.index(path) :], path]
            raise _Refused("refers to itself: " + " -> ".join(dotted(step) for step in circle))
        if len(self.visiting) > 4 * MAX_DEPTH:
            raise _Refused(f"refers onward more than {MAX_DEPTH} times", None)
        self.visiting.append(path)
        try:
            cost = self.known[path] = self._bounded(self._of(self._value(path), path))
        except _Refused as refused:
            self.failed[path] = refused
            if refused.origin is None and path in self.users:
                refused.origin = path
            raise
        finally:
            self.visiting.pop()
        return cost

    def _bounded(self, cost: _Cost) -> _Cost:
        if cost.depth > MAX_DEPTH:
            raise _Refused(f"refers onward more than {MAX_DEPTH} times", None)
        if cost.references > MAX_REFERENCES or cost.characters > MAX_CHARACTERS:
            raise _Refused(_too_large(), None)
        return cost

    def _of(self, value: Plain, path: _Path) -> _Cost:
        if isinstance(value, (dict, list)):
            steps: list[Part] = list(value) if isinstance(value, dict) else list(range(len(value)))
            parts = [self.cost((*path, step)) for step in steps]
            return _total(parts, 0, 0, type(value))
        if not isinstance(value, str):
            return _Cost(0, 8, 0, type(value))
        targets = list(references(value))
        parts = [self.cost(self._target(target)) for target in targets]
        whole = _WHOLE.fullmatch(value) is not None
        for target, part in zip(targets, parts, strict=True):
            if not whole and part.kind not in (str, int, float):
                raise _Refused(f"`${{{target}}}` inside a longer text must be a text or a number", None)
        return _total(parts, len(targets), len(value), parts[0].kind if whole else str)

    def _value(self, path: _Path) -> Plain:
        value: Plain = self.data
        for part in path:
            value = value[part]  # type: ignore[index]
        return value

    def _target(self, text: str) -> _Path:
        """The path that a reference names. Raises _Refused where the spec has nothing there."""
        path: list[Part] = []
        value: Plain = self.data
        for word in text.split("."):
            if isinstance(value, dict) and word in value:
                path.append(word)
                value = value[word]
            elif isinstance(value, list) and word.isdecimal() and int(word) < len(value):
                path.append(int(word))
                value = value[int(word)]
            else:
                near = closest(word, value) if isinstance(value, dict) else None
                hint = f"did you mean `${{{dotted((*path, near))}}}`?" if near else _MEND
                raise _Refused(f"`${{{shorten(text)}}}` refers to nothing in this spec", hint)
        if value == "???":  # OmegaConf's mark of a value that is still to come
            raise _Refused(
                f"`${{{shorten(text)}}}` refers to `???`, which stands for no value yet", "write the value there"
            )
        return tuple(path)


def _total(parts: list[_Cost], references: int, characters: int, kind: type) -> _Cost:
    return _Cost(
        references + sum(part.references for part in parts),
        characters + sum(part.characters for part in parts),
        max((part.depth for part in parts), default=0) + (1 if references else 0),
        kind,
    )


def _too_large() -> str:
    return f"refers to more than a spec may expand to ({MAX_REFERENCES:,} references, {MAX_CHARACTERS:,} characters)"
