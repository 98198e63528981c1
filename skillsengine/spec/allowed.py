"""What a field allows, in words derived from the schema: type, range, default, meaning."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from skillsengine.spec.scalars import shorten
from skillsengine.spec.schema import Experiment, format_duration
from skillsengine.spec.source import Part, parts_of

Schema = dict[str, Any]
"""A piece of JSON schema."""

_DURATIONS: TypeAdapter[timedelta] = TypeAdapter(timedelta)


@cache
def root_schema() -> Schema:
    """The JSON schema of a spec."""
    return Experiment.model_json_schema()


def deref(schema: Schema) -> Schema:
    """`schema` with a reference followed; what stands beside the reference (default, description) wins."""
    name = schema.get("$ref")
    if name is None:
        return schema
    target: Schema = root_schema()["$defs"][name.rsplit("/", 1)[-1]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def options(schema: Schema) -> list[Schema]:
    """The alternatives of a union, or the schema alone."""
    schema = deref(schema)
    return [deref(option) for option in schema.get("anyOf", [schema])]


def keys(schema: Schema) -> dict[str, Schema]:
    """The keys that a mapping of this schema may hold -> what they allow."""
    known: dict[str, Schema] = {}
    for option in options(schema):
        known |= option.get("properties", {})
        names = option.get("propertyNames")
        if names is not None:
            known |= {name: option["additionalProperties"] for name in deref(names).get("enum", [])}
    return known


def values(schema: Schema) -> Schema | None:
    """What the values of a mapping whose keys are free allow; None of a section."""
    found = [option for option in options(schema) if option.get("type") == "object" and "propertyNames" not in option]
    return next((option["additionalProperties"] for option in found if option.get("additionalProperties")), None)


def step(schema: Schema, part: Part) -> Schema | None:
    """What the child `part` of a value of this schema allows; None where it has no such child."""
    if isinstance(part, str):
        return keys(schema).get(part) or values(schema)
    return next((option["items"] for option in options(schema) if "items" in option), None)


def is_field(path: str) -> bool:
    """Whether a dotted path leads to a section or a field that a spec may have."""
    schema: Schema | None = root_schema()
    for part in parts_of(path):
        schema = step(schema, part) if schema is not None else None
    return schema is not None


def describe(schema: Schema) -> str:
    """What is allowed, without an article: `float > 0 and <= 1`, `one of nf4, int8, none`."""
    parts = [_one(option) for option in options(schema)]
    return " or ".join(dict.fromkeys(parts))


def expected(schema: Schema) -> str:
    """The same inside a sentence: `a float > 0 and <= 1`."""
    parts = [_one(option) for option in options(schema)]
    return " or ".join(dict.fromkeys(_article(part) for part in parts))


def hint(schema: Schema, *, meaning: bool = True) -> str:
    """A field's meaning, what it allows and its default, on one line."""
    schema = deref(schema)
    about = f"{meaning_of(schema)} " if meaning else ""
    return f"{about}({', '.join(part for part in (describe(schema), default_of(schema)) if part)})"


def meaning_of(schema: Schema) -> str:
    """The field's docstring on one line."""
    return " ".join(str(schema.get("description", "")).split())


def default_of(schema: Schema) -> str:
    """`default 3.0` or `required`; nothing for a list's item and for a section, whose keys have their own."""
    schema = deref(schema)
    if schema.get("type") == "object" or "description" not in schema:
        return ""
    return f"default {_default(schema)}" if "default" in schema else "required"


def _one(schema: Schema) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return ("int" if kind == "integer" else "float") + _range(schema)
    if kind == "string":
        return _text(schema)
    if kind == "array":
        least = schema.get("minItems")
        return f"list of {_plural(schema['items'])}" + (f", at least {least}" if least else "")
    if kind == "object" and (inner := values(schema)) is not None:
        return f"mapping of names to {_plural(inner)}"
    if kind == "object":
        return f"section with the keys {', '.join(keys(schema))}"
    return {"boolean": "true or false", "null": "null"}.get(str(kind), "value")


def _text(schema: Schema) -> str:
    if schema.get("format") == "date":
        return "date such as 2026-01-31"
    if schema.get("format") == "duration":
        return "duration such as 90s, 15m, 6h or 3d"
    if "examples" in schema:
        return f"text such as {schema['examples'][0]}"
    if "pattern" in schema:
        return f"text like {schema['pattern']}"
    return "text that is not empty" if schema.get("minLength") else "text"


def _plural(schema: Schema) -> str:
    schema = deref(schema)
    if "enum" in schema:
        return ", ".join(str(value) for value in schema["enum"])
    names = {"string": "texts", "integer": "ints", "number": "floats", "object": "mappings"}
    return names.get(schema.get("type", ""), "values")


def _range(schema: Schema) -> str:
    signs = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}
    limits = [f"{sign} {_number(schema[key])}" for key, sign in signs.items() if key in schema]
    return " " + " and ".join(limits) if limits else ""


def _number(value: float) -> str:
    """`0.9`, `1`, `4294967296`: no `.0` and no exponent for whole numbers."""
    return str(int(value)) if value == int(value) else str(value)


def _default(schema: Schema) -> str:
    value = schema["default"]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if schema.get("format") == "duration":
        return format_duration(_DURATIONS.validate_python(value))
    if isinstance(value, list):
        simple = all(isinstance(item, str) for item in value)
        return shorten("[" + ", ".join(value) + "]") if simple else f"a list of {len(value)}"
    return shorten(str(value)) if value != "" else "empty"


def _article(text: str) -> str:
    first = text.split()[0].rstrip(",")
    return {
        "int": "an ",
        "float": "a ",
        "list": "a ",
        "section": "a ",
        "mapping": "a ",
        "date": "a ",
        "duration": "a ",
    }.get(first, "") + text
