"""The spec of an experiment: as it was written, and every value that counts with the place that it was written at.

Text and values are read from the code that Airflow keeps of the DAG: they are those of the DAG, not of the file as it is by
now. Only the places come from `experiments/`, and only while the files still say the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skillsengine.airflow.dagfile import Compiled
from skillsengine.masking import mask_line
from skillsengine.settings import Settings, SettingsError
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import load_spec, resolved
from skillsengine.spec.located import located, values_of
from skillsengine.spec.source import dotted
from skillsengine.spec.text import split_lines


@dataclass(frozen=True)
class Value:
    """One value of the resolved spec."""

    field: str
    """`train.epochs`."""
    value: str
    """As JSON."""
    where: str
    """`experiments/_base/llama2.yaml:12:5` or `default`; empty where nobody knows."""
    written: bool
    """Whether somebody wrote it: it is no default."""


@dataclass(frozen=True)
class SpecView:
    """A spec that compiled."""

    source: str
    """The spec's path in the project."""
    text: str
    values: tuple[Value, ...]
    unknown: str
    """Why the places are not told; empty where they are."""
    model: str | None
    """`register.model`; None where that is the experiment's name."""

    @property
    def count_written(self) -> int:
        return sum(value.written for value in self.values)


def spec_view(compiled: Compiled, settings: Settings) -> SpecView:
    """Whatever looks like a secret is hidden."""
    plain = json.loads(compiled.resolved)
    places, unknown = _places(compiled.source, plain, settings)
    values = tuple(
        Value(
            field := dotted(path),
            masked(json.dumps(value, ensure_ascii=False)),
            places.get(field, "default" if places else ""),
            field in places,
        )
        for path, value in values_of(plain, ())
    )
    return SpecView(compiled.source, masked(compiled.text), values, unknown, plain.get("register", {}).get("model"))


def _places(source: str, plain: Mapping[str, Any], settings: Settings) -> tuple[dict[str, str], str]:
    """(field -> place of every value that is no default, why there are none)."""
    folder = settings.experiments.resolve()
    path = (settings.project / source).resolve()
    # The name stands in a DAG file, which anybody who may write DAGs can write.
    if not path.is_relative_to(folder) or path.suffix != ".yaml" or not path.is_file():
        return {}, f"The API server does not see {source}, so it cannot tell where its values were written."
    try:
        loaded = load_spec(path, experiments=settings.experiments, overlay=settings.overlay)
    except (SpecError, SettingsError):
        return {}, f"{source} does not compile by now; the values are those of the last good DAG."
    if resolved(loaded.experiment) != plain:
        return {}, f"{source} has changed since Airflow parsed it; load this page again in a moment."
    return {entry["field"]: _place(entry) for entry in located(loaded) if entry["from"] != "default"}, ""


def _place(entry: Mapping[str, Any]) -> str:
    if entry["from"] == "file":
        return f"{entry['file']}:{entry['line']}:{entry['column']}"
    return str(entry["override"])


def masked(text: str) -> str:
    lines = split_lines(text)
    return "\n".join(mask_line(lines, index) for index in range(len(lines)))
