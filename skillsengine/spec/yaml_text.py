"""YAML text -> a tree of nodes with places.

The tree is built from PyYAML's events rather than from its composed nodes: they show tags, anchors and aliases as they
were written, and reading stops at the first level or value too many, so no text exhausts memory, time or the stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from skillsengine.spec.errors import Problem
from skillsengine.spec.scalars import complaint, resolve
from skillsengine.spec.source import BROKEN, Node, Part, Place, Source, dotted
from skillsengine.spec.yaml_errors import explain

MAX_DEPTH = 40
MAX_VALUES = 10_000
MAX_PROBLEMS = 200
"""So many problems of one text are told; what comes after them is not read."""
_TEXT = 250
"""Characters that count as one value more, or aliases would repeat a long text into gigabytes."""

# The C parser is about ten times faster; PyYAML is built without it where libyaml is missing.
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTE = "a text that begins with `{}` needs quotes"


class _Stop(Exception):
    """The text is not read any further; the problem is already noted."""


@dataclass
class _Frame:
    """A mapping or list that is being read."""

    event: Any
    path: tuple[Part, ...]
    key: Place | None
    node: dict[str, Node] | list[Node]
    pending: tuple[str, Place] | None = None
    """The key whose value comes next."""
    dropped: bool = False
    """Whether that value belongs to a key that is not taken over."""
    broken: bool = False
    size: int = 1
    height: int = 1


@dataclass
class _Builder:
    source: Source
    problems: list[Problem]
    frames: list[_Frame] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int, int] | None] = field(default_factory=dict)
    """Name -> (node, values in it, levels in it); None while the anchored value is still being read."""
    values: int = 0
    reported: int = 0
    root: Node | None = None

    def place(self, event: Any) -> Place:
        """From the start of the event to its end, or to the end of its first line."""
        start, end = event.start_mark, event.end_mark
        same = end.line == start.line
        width = len(self.source.lines[start.line]) if start.line < len(self.source.lines) else 0
        return Place(self.source, start.line, start.column, max(0, (end.column if same else width) - start.column))

    def path(self) -> tuple[Part, ...]:
        """The path of the value that is read next."""
        if not self.frames:
            return ()
        top = self.frames[-1]
        if isinstance(top.node, list):
            return (*top.path, len(top.node))
        return (*top.path, top.pending[0]) if top.pending else top.path

    def report(self, place: Place, message: str, hint: str | None = None) -> None:
        self.problems.append(place.problem(dotted(self.path()), message, hint))
        self.reported += 1
        if self.reported >= MAX_PROBLEMS:
            raise _Stop

    def read(self, events: Iterator[Any]) -> Node | None:
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.report(
                        self.place(event), "a second YAML document begins here", "one spec a file: remove `---`"
                    )
                    raise _Stop
            elif isinstance(event, yaml.CollectionStartEvent):
                self.open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.close(event)
            elif isinstance(event, yaml.AliasEvent):
                self.alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                self.scalar(event)
        return self.root

    def bound(self, event: Any, size: int = 1, height: int = 0) -> None:
        self.values += size
        if len(self.frames) + height > MAX_DEPTH:
            self.report(self.place(event), f"nested too deeply (more than {MAX_DEPTH} levels)")
            raise _Stop
        if self.values > MAX_VALUES:
            hint = f"a text counts as one more for each {_TEXT} characters, an alias as all that it repeats"
            self.report(self.place(event), f"too large: a spec holds at most {MAX_VALUES:,} values", hint)
            raise _Stop

    def refuse_tag(self, event: Any) -> bool:
        if event.tag is None:
            return False
        place = replace(self.place(event), length=1)
        self.report(place, "tags are not part of a spec", f"remove the tag; {_QUOTE.format('!')}")
        return True

    def open(self, event: Any) -> None:
        self.bound(event, height=1)
        broken = self.refuse_tag(event)
        if self.awaits_key():
            self.report(self.place(event), "a key must be a plain text", _QUOTE.format(self.text_at(event)))
            raise _Stop
        if event.anchor:
            self.anchors[event.anchor] = None
        node: dict[str, Node] | list[Node] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.frames.append(_Frame(event, self.path(), self.pending_key(), node, broken=broken))

    def text_at(self, event: Any) -> str:
        mark = event.start_mark
        return self.source.lines[mark.line][mark.column : mark.column + 1] if self.source.lines else "?"

    def close(self, event: Any) -> None:
        frame = self.frames.pop()
        start, end = frame.event.start_mark, event.end_mark
        if not frame.event.flow_style:
            at = frame.key or self.place(frame.event)
        elif start.line == end.line:
            at = Place(self.source, start.line, start.column, end.column - start.column)
        else:
            width = len(self.source.lines[start.line]) if start.line < len(self.source.lines) else 1
            at = Place(self.source, start.line, start.column, width - start.column)
        node = Node(BROKEN if frame.broken else frame.node, at, frame.key)
        if frame.event.anchor:
            self.anchors[frame.event.anchor] = (node, frame.size, frame.height)
        self.take(node, frame.size, frame.height)

    def alias(self, event: Any) -> None:
        place = self.place(event)
        if self.awaits_key():
            self.report(place, "an alias cannot be a key", _QUOTE.format("*"))
            raise _Stop
        target = self.anchors.get(event.anchor)
        if target is None:
            known = event.anchor in self.anchors
            why = "stands inside the value it names" if known else f"has no anchor `&{event.anchor}` before it"
            self.report(place, f"the alias `*{event.anchor}` {why}", _QUOTE.format("*"))
            self.take(Node(BROKEN, place), 1, 0)
            return
        node, size, height = target
        self.bound(event, size, height)
        self.take(replace(node, key=self.pending_key()), size, height)

    def scalar(self, event: Any) -> None:
        place, size = self.place(event), 1 + len(event.value) // _TEXT
        self.bound(event, size)
        broken = self.refuse_tag(event)
        if self.awaits_key():
            self.key(event.value, place)
            return
        value = resolve(event.value) if event.implicit[0] else event.value
        fault = complaint(value)
        if fault:
            self.report(place, *fault)
            broken = True
        key = self.pending_key()
        # An empty value has no width of its own: people look for it at its key.
        at = key if key and place.length == 0 else place
        node = Node(BROKEN if broken else value, at, key)
        if event.anchor:
            self.anchors[event.anchor] = (node, size, 0)
        self.take(node, size, 0)

    def pending_key(self) -> Place | None:
        pending = self.frames[-1].pending if self.frames else None
        return pending[1] if pending else None

    def awaits_key(self) -> bool:
        return bool(self.frames) and isinstance(self.frames[-1].node, dict) and self.frames[-1].pending is None

    def key(self, text: str, place: Place) -> None:
        frame = self.frames[-1]
        first = frame.node.get(text) if isinstance(frame.node, dict) else None
        frame.pending = (text, place)
        if text == "<<":
            self.report(place, "merge keys are not part of a spec", "use `extends` to build on another file")
            frame.dropped = True
        elif first is not None and first.key is not None:
            self.report(
                place, f"duplicate key; it stands on line {first.key.line + 1} already", "remove one of the two"
            )
            frame.dropped = True
        elif complaint(text):
            self.report(place, "a key holds half a character (a lone surrogate)")
            raise _Stop

    def take(self, node: Node, size: int, height: int) -> None:
        """Hand a finished value to the mapping or list around it."""
        if not self.frames:
            self.root = node
            return
        frame = self.frames[-1]
        frame.size += size
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.node, list):
            frame.node.append(node)
        elif frame.pending is not None:
            if not frame.dropped:
                frame.node[frame.pending[0]] = node
            frame.pending, frame.dropped = None, False


def parse(source: Source, text: str, problems: list[Problem]) -> Node | None:
    """The tree of `text`, or None where it has none; what is wrong is appended to `problems`.

    None with no new problem means that the text is empty. A tree may come with problems: duplicate keys, tags and the
    like do not hide the rest of the file.
    """
    builder = _Builder(source, problems)
    try:
        return builder.read(yaml.parse(text, Loader=_PARSER))
    except _Stop:
        return None
    except yaml.YAMLError as error:
        problems.append(explain(error, source))
        return None
