"""Every value of a spec with the place that it was written at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skillsengine.spec.load import Loaded, resolved
from skillsengine.spec.source import Part, dotted

DEFAULT = "default"


def located(loaded: Loaded) -> list[dict[str, Any]]:
    """For each value its `field`, `value` and `from` (`file`, `override` or `default`), with `file`, `line`, `column` or
    `override`."""
    found = []
    for path, value in values_of(resolved(loaded.experiment), ()):
        entry: dict[str, Any] = {"field": dotted(path), "value": value}
        place = loaded.sources.place(path)
        if place is None:
            entry["from"] = DEFAULT
        elif place.source.numbered:
            entry |= {"from": "file", "file": place.source.shown, "line": place.line + 1, "column": place.column + 1}
        else:
            entry |= {"from": "override", "override": place.source.shown}
        found.append(entry)
    return found


def values_of(value: Any, path: tuple[Part, ...]) -> Iterator[tuple[tuple[Part, ...], Any]]:
    """(path, value) of each field. Lists are whole, as they are written and replaced, but for those of mappings."""
    if isinstance(value, dict) and value:
        for key, child in value.items():
            yield from values_of(child, (*path, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from values_of(item, (*path, index))
    else:
        yield path, value
