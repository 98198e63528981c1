"""What differs in meaning between two resolved specs: field by field, whatever their texts look like."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.spec.scalars import resolve, shorten
from skillsengine.spec.source import Part, dotted


@dataclass(frozen=True)
class Change:
    """One field with two values, as plain JSON data. None stands for a field that one side does not have, too."""

    parts: tuple[Part, ...]
    """The field's path: `("train", "epochs")`, `("evaluate", "shots", 0, "text")`."""
    before: Any
    after: Any

    @property
    def path(self) -> str:
        """`train.epochs`, `evaluate.shots[0].text`."""
        return dotted(self.parts)

    @property
    def removed(self) -> tuple[Any, ...]:
        """Items of the list that `after` lacks, in their order; nothing where the values are no lists."""
        return _without(self.before, self.after)

    @property
    def added(self) -> tuple[Any, ...]:
        """Items of the list that `before` lacks."""
        return _without(self.after, self.before)

    @property
    def reordered(self) -> bool:
        """Whether both are lists of the same items."""
        return self._lists and not self.removed and not self.added

    @property
    def difference(self) -> str:
        """The change of the value on one line: `1.0 -> 3.0`, `+lm_head -q_proj`."""
        if self.reordered:
            return f"the same in another order: {shown(self.after)}"
        if self._lists:
            gone = [f"-{shown(item)}" for item in self.removed]
            return " ".join([*(f"+{shown(item)}" for item in self.added), *gone])
        was, now = shown(self.before), shown(self.after)
        return f"{was} -> {now}" if was != now else f"{now} -> changed further on"

    def __str__(self) -> str:
        return f"{self.path}: {self.difference}"

    @property
    def _lists(self) -> bool:
        return isinstance(self.before, list) and isinstance(self.after, list)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """The fields that differ between two specs as `spec.load.resolved` gives them, in the order of the schema.

    Mappings are compared key by key. Lists are one value, but for those of mappings that are equally long, such as
    `evaluate.shots`: these are compared item by item.
    """
    return tuple(_changes((), dict(before), dict(after)))


def _changes(parts: tuple[Part, ...], before: Any, after: Any) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, dict) or isinstance(after, dict):
        # Where one side has no such section, each of its fields is new (or gone), and an empty one says nothing.
        if all(isinstance(side, dict) or side is None for side in (before, after)):
            left, right = before or {}, after or {}
            for key in dict.fromkeys((*left, *right)):
                yield from _changes((*parts, key), left.get(key), right.get(key))
            return
    elif _of_mappings(before) and _of_mappings(after) and len(before) == len(after):
        for index, (left, right) in enumerate(zip(before, after, strict=True)):
            yield from _changes((*parts, index), left, right)
        return
    yield Change(parts, before, after)


def _of_mappings(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _without(items: Any, others: Any) -> tuple[Any, ...]:
    if not (isinstance(items, list) and isinstance(others, list)):
        return ()
    left = Counter(_canonical(item) for item in others)
    found = []
    for item in items:
        if left[_canonical(item)]:
            left[_canonical(item)] -= 1
        else:
            found.append(item)
    return tuple(found)


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def shown(value: Any) -> str:
    """A value on one short line, as YAML writes it; secrets are masked."""
    return shorten(_text(value))


def _text(value: Any) -> str:
    if isinstance(value, str):
        plain = value.isprintable() and value == value.strip() and resolve(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value)
