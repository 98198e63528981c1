"""The reference of all fields, derived from the schema: `python -m skillsengine.spec.reference > docs/spec.md`."""

from __future__ import annotations

import sys
import types
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from skillsengine.spec.schema import Experiment, Section, format_duration
from skillsengine.spec.shots import DEFAULT_SHOTS

_SIMPLE = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "date (2026-01-31)",
    timedelta: "duration (90s, 15m, 6h, 3d)",
    type(None): "null",
}
_BOUNDS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def type_text(annotation: Any) -> str:
    """A type in words: `nf4, int8 or none`; `list of text`; `whole number or null`."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(args[0]) + bounds_text(args[1:])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (Union, types.UnionType):
        return " or ".join(type_text(arg) for arg in args)
    if origin is tuple:
        return f"list of {type_text(args[0])}"
    if origin is dict:
        return f"mapping of {type_text(args[0])} to {type_text(args[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"section `{annotation.__name__}`"
    return _SIMPLE.get(annotation, str(annotation))


def bounds_text(metadata: tuple[Any, ...] | list[Any]) -> str:
    """` ≥ 1, ≤ 1024` from a field's constraints, or nothing."""
    found: list[str] = []
    for item in metadata:
        inner = getattr(item, "metadata", None)
        if inner:
            return bounds_text(inner)
        found += [f"{sign} {getattr(item, name)}" for name, sign in _BOUNDS if getattr(item, name, None) is not None]
        if pattern := getattr(item, "pattern", None):
            found.append(f"matching `{pattern}`")
    return (" " + ", ".join(found)) if found else ""


def default_text(field: FieldInfo) -> str:
    """The default as it would be written in YAML."""
    if field.is_required():
        return "**needed**"
    value = field.get_default()
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, Section):
        return ""
    if isinstance(value, tuple):
        if len(value) == len(DEFAULT_SHOTS) and all(isinstance(item, Section) for item in value):
            return "four built-in ones"
        return f"`[{', '.join(str(item) for item in value)}]`"
    if value is None or isinstance(value, bool):
        return f"`{str(value).lower().replace('none', 'null')}`"
    return f"`{value!r}`".replace("'", "") if value != "" else '`""`'


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field is, also one that may be null; None for a field of another kind."""
    found = [arm for arm in (annotation, *get_args(annotation)) if isinstance(arm, type) and issubclass(arm, Section)]
    return found[0] if found and get_origin(annotation) not in (tuple, dict) else None


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            rows += _rows(annotation, f"{prefix}{name}.")
            continue
        kind = (type_text(annotation) + bounds_text(field.metadata)).replace("|", "\\|")
        rows.append(
            f"| `{prefix}{name}` | {kind} | {default_text(field)} | {' '.join((field.description or '').split())} |"
        )
    return rows


def reference() -> str:
    """docs/spec.md as a whole."""
    head = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
    text = [
        "# Every field of a spec",
        "",
        "Made from the schema by `python -m skillsengine.spec.reference > docs/spec.md`. A spec also takes `extends`: one",
        "file or a list of files, relative to itself and inside `experiments/`, whose values it overrides; mappings merge,",
        "lists replace. `${section.key}` refers to another value of the same spec; nothing else is resolved.",
        "",
        "Each of these wins over those before it: the defaults below, what the spec extends, the spec itself, the overlay",
        "`experiments/_env/<name>.yaml` that the environment variable `SKILLSENGINE_ENV` names, `--set section.key=value` of a",
        "command. An overlay holds any of these fields but `name`, and is laid over every spec that is read where the variable",
        "is set. `skillsengine resolve SPEC --where` tells for each value where it came from.",
        "",
        "Editors complete and check these fields by [the JSON Schema](../schema/spec.schema.json), which the first line of a",
        "spec names: `# yaml-language-server: $schema=../schema/spec.schema.json`. Files of `_base/` and `_env/` name",
        "`../../schema/part.schema.json`.",
        "",
        "## The experiment",
        "",
        *head,
    ]
    sections = []
    for name, field in Experiment.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            about = (section.__doc__ or "").strip()
            sections += ["", f"## `{name}`", "", about, "", *head, *_rows(section, f"{name}.")]
            if name == "resources":
                nested = get_args(section.model_fields["stages"].annotation)[1]
                sections += ["", "Each stage under `resources.stages` takes:", "", *head, *_rows(nested, "")]
            if name == "evaluate":
                nested = get_args(section.model_fields["shots"].annotation)[0]
                sections += ["", "Each of `evaluate.shots` takes:", "", *head, *_rows(nested, "")]
        else:
            kind = (type_text(field.annotation) + bounds_text(field.metadata)).replace("|", "\\|")
            text.append(
                f"| `{name}` | {kind} | {default_text(field)} | {' '.join((field.description or '').split())} |"
            )
    return "\n".join([*text, *sections, ""])


if __name__ == "__main__":
    sys.stdout.write(reference())
