"""What differs between the specs that made two versions: field by field, and what each field is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

from skillsengine.masking import mask
from skillsengine.pipeline.consequences import consequences
from skillsengine.pipeline.stored import StoredSpec, departures, made_then, stored_spec
from skillsengine.reporting.figures.plain import FigureMissing, Table
from skillsengine.settings import Settings
from skillsengine.spec.compare import Change, compare
from skillsengine.spec.load import resolved
from skillsengine.spec.text import printable, split_lines
from skillsengine.storage.catalog import CatalogError, VersionRow
from skillsengine.storage.store import Store

_LONG = 60
"""A longer text, or one of several lines, is compared line by line."""
_MOST_CHARACTERS = 400
_MOST_LINES = 200


@dataclass(frozen=True)
class Field:
    """One field with two values. Whatever looks like a secret is hidden."""

    path: str
    before: str
    """As JSON; `null` also where the field was not there."""
    after: str
    lines: tuple[str, ...]
    """Of a long text, what `diff` shows: each line begins with `+`, `-` or a blank. Empty of other values."""
    added: tuple[str, ...]
    """Of a list, the items that only the later one has."""
    removed: tuple[str, ...]
    about: str
    """The steps that the field makes others: `finetune, evaluate[base]`; or what it is for where it touches none."""


@dataclass(frozen=True)
class Changes:
    """From one version to another."""

    before: str
    after: str
    notes: tuple[str, ...]
    """What of then cannot be compared field by field."""
    fields: tuple[Field, ...]
    made_otherwise: tuple[tuple[str, str], ...]
    """(step, how it was made in another way, whatever the specs say)."""

    def table(self) -> Table:
        rows = tuple((field.path, field.before, field.after, field.about) for field in self.fields)
        return Table(("field", self.before, self.after, "touches"), rows)


def changes(before: VersionRow, after: VersionRow, store: Store, settings: Settings) -> Changes:
    """Of the specs that the versions' runs were pinned to, read by today's schema.

    Raises FigureMissing where a value of then is not allowed today.
    """
    old, new = _spec(before), _spec(after)
    found = compare(resolved(old.experiment), resolved(new.experiment))
    same_base = old.experiment.base.model == new.experiment.base.model
    reasons = departures(made_then(before, store), made_then(after, store), same_base=same_base)
    follows = consequences(old.experiment, new.experiment, found, settings, reasons)
    about = {change.path: words for change, words in follows.elsewhere}
    for change in found:
        steps = [outcome.step for outcome in follows.outcomes if change in outcome.changes]
        if steps:
            about[change.path] = ", ".join(steps)
    return Changes(
        before=before.name,
        after=after.name,
        notes=tuple(note for row, spec in ((before, old), (after, new)) for note in _notes(row, spec)),
        fields=tuple(_field(change, about.get(change.path, "")) for change in found),
        made_otherwise=tuple(sorted(reasons.items())),
    )


def _spec(version: VersionRow) -> StoredSpec:
    try:
        return stored_spec(version)
    except CatalogError as error:
        raise FigureMissing(str(error)) from error


def _notes(version: VersionRow, spec: StoredSpec) -> list[str]:
    notes = []
    if spec.missing:
        notes.append(
            f"{version.name} was made before there was {', '.join(spec.missing)}: today's defaults stand in for them."
        )
    if spec.unknown:
        notes.append(f"The spec of {version.name} has what is no longer known: {', '.join(spec.unknown)}.")
    return notes


def _field(change: Change, about: str) -> Field:
    return Field(
        path=change.path,
        before=_value(change.before),
        after=_value(change.after),
        lines=_lines(change),
        added=tuple(map(_value, change.added)),
        removed=tuple(map(_value, change.removed)),
        about=about,
    )


def _value(value: Any) -> str:
    text = mask(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def _lines(change: Change) -> tuple[str, ...]:
    texts = [value for value in (change.before, change.after) if isinstance(value, str)]
    if len(texts) < 2 or not any("\n" in text or len(text) > _LONG for text in texts):
        return ()
    was, now = (_masked(text) for text in texts)
    _, _, *lines = [*unified_diff(was, now, n=1, lineterm=""), "", ""][: _MOST_LINES + 2]
    return tuple(line for line in lines if line and not line.startswith("@@"))


def _masked(text: str) -> Sequence[str]:
    return [mask(printable(line)) for line in split_lines(text)]
