"""The spec that made a version: the text as it was written where it can still be found, and every value that counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from skillsengine.masking import mask_line
from skillsengine.pipeline.provenance import spec_file
from skillsengine.settings import Settings, SettingsError
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import load_spec, resolved
from skillsengine.spec.text import split_lines


@dataclass(frozen=True)
class Spec:
    """One spec."""

    experiment: str
    written: str | None
    """The text of the file, while it still means what the run was pinned to; None once it is changed or gone."""
    file: str | None
    """Its name below the project."""
    why: str
    """Why there is no text; empty where there is one."""
    resolved: str
    """Every value, defaults included, as YAML."""


def spec_of(pinned: Mapping[str, Any], settings: Settings) -> Spec:
    """Of the resolved spec that a run or a version was pinned to. Whatever looks like a secret is hidden."""
    name = str(pinned["name"])
    written, file, why = _written(name, pinned, settings)
    text = yaml.safe_dump(dict(pinned), sort_keys=False, allow_unicode=True, width=100)
    return Spec(name, _masked(written) if written is not None else None, file, why, _masked(text))


def _written(name: str, pinned: Mapping[str, Any], settings: Settings) -> tuple[str | None, str | None, str]:
    path = spec_file(settings, name)
    if path is None:
        return None, None, f"there is no spec {name}.yaml any more"
    file = str(path.relative_to(settings.project))
    try:
        loaded = load_spec(path, overlay=settings.overlay)
    except (SpecError, SettingsError):
        return None, file, f"{file} does not compile now"
    if resolved(loaded.experiment) != dict(pinned):
        return None, file, f"{file} was changed since, or the run had values of its own"
    return loaded.text, file, ""


def _masked(text: str) -> str:
    lines = split_lines(text)
    return "\n".join(mask_line(lines, index) for index in range(len(lines)))
