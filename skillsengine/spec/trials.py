"""The trials of a spec with a `sweep`: for each the values that it tries, and the plain spec that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.spec.compare import shown
from skillsengine.spec.schema import Experiment

_LONG = 60


@dataclass(frozen=True)
class Trial:
    """One training of a sweep."""

    label: str
    """`r=8, learning_rate=0.0001`: its values, and what tells it from the others."""
    places: Mapping[str, int]
    """Dotted path of each swept field -> the index of its value in the sweep's list."""
    values: Mapping[str, Any]
    """Dotted path -> the value."""
    spec: Experiment
    """The spec with these values in the place of its own, and without a sweep."""


def trials(experiment: Experiment) -> tuple[Trial, ...]:
    """The trials in the order in which they are trained; none of a spec without a sweep."""
    sweep = experiment.sweep
    if sweep is None:
        return ()
    lists = sweep.values
    found = []
    for chosen in sweep.chosen(experiment.train.seed):
        places = dict(zip(lists, chosen, strict=True))
        values = {path: lists[path][index] for path, index in places.items()}
        told = (f"{path.rpartition('.')[2]}={_told(values[path], index)}" for path, index in places.items())
        found.append(Trial(", ".join(told), places, values, with_values(experiment, values)))
    return tuple(found)


def with_values(experiment: Experiment, values: Mapping[str, Any]) -> Experiment:
    """`experiment` without its sweep, and with `values` of one of its trials (they were checked with the sweep)."""
    sections: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        section, _, name = path.partition(".")
        sections.setdefault(section, {})[name] = value
    changed = {name: getattr(experiment, name).model_copy(update=fields) for name, fields in sections.items()}
    return experiment.model_copy(update={**changed, "sweep": None})


def _told(value: Any, index: int) -> str:
    """A value in a label. A list by its items, and by its place in the sweep where these would take too much room."""
    if not isinstance(value, tuple):
        return shown(value)
    items = "+".join(map(str, value))
    return items if len(items) <= _LONG else f"#{index + 1}"
