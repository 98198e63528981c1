"""The JSON Schema of a spec, for editors that complete and check while one types.

Made from the pydantic schema: `skillsengine schema -o schema/spec.schema.json`. It refuses nothing that the loader takes;
what only the loader knows (rules that join fields, what a reference becomes, other files, `1.0` where `1` is wanted) passes.
"""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from skillsengine.settings import Settings
from skillsengine.spec.allowed import Schema, deref, root_schema
from skillsengine.spec.schema import format_duration
from skillsengine.spec.sections.scoring import SLICE_PATTERN

SPEC_FILE = "schema/spec.schema.json"
PART_FILE = "schema/part.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DURATION = r"^[0-9]{1,9}[smhd]$"
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_CRON = r"^\s*\S+(\s+\S+){4}\s*$"
_DEFINED: dict[str, Schema] = {
    "reference": {
        "description": "`${section.key}`: the value of another field of this spec.",
        "type": "string",
        "pattern": r"^\$\{\s*[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*\s*\}$",
    },
    "text_with_reference": {
        "description": "A text with `${section.key}` in it: the value of another field of this spec.",
        "type": "string",
        "pattern": r"\$\{",
    },
}
# What stands in the code of the schema's validators, said once more for editors.
_REFERENCE = "^([a-z][a-z0-9_-]{0,99}|[0-9]{1,9})$"
_RULES: dict[tuple[str, str], Schema] = {
    ("Experiment", "schedule"): {
        "anyOf": [{"enum": ["partition", "none"]}, {"type": "string", "pattern": _CRON}, {"type": "null"}]
    },
    ("Evaluations", "versions"): {"items": {"type": "string", "pattern": _REFERENCE}},
    ("Gate", "min_slice_scores"): {"propertyNames": {"pattern": SLICE_PATTERN}},
    ("Prompt", "template"): {"pattern": r"\{text\}"},
    ("Base", "model"): {"examples": ["smollm2-135m-instruct", "meta-llama/Llama-2-13b-hf"]},
}
_ISO: TypeAdapter[timedelta] = TypeAdapter(timedelta)
_LIMITS = ("pattern", "format", "enum", "const")


def spec_schema() -> Schema:
    """The schema of a spec. `data.source` may be missing where the spec extends something."""
    return {
        "$schema": _DIALECT,
        "title": "A spec of skillsengine",
        **_body(),
        "required": ["name"],
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": ["data"], "properties": {"data": {"required": ["source"]}}},
    }


def part_schema() -> Schema:
    """The schema of what specs extend and of overlays: the same fields, none of them needed."""
    return {"$schema": _DIALECT, "title": "A part that specs of skillsengine extend", **_body()}


def text(schema: Schema) -> str:
    """As the committed files hold it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def modeline(settings: Settings) -> str:
    """The first line of a spec right below `experiments/`, by which editors find the schema; empty if it is not there."""
    if not (settings.project / SPEC_FILE).is_file():
        return ""
    return f"# yaml-language-server: $schema={Path('..') / SPEC_FILE}\n"


def _body() -> Schema:
    whole = copy.deepcopy(root_schema())
    sections = {name: _section(name, part) for name, part in whole.pop("$defs").items()}
    sections["Data"].pop("required", None)  # its source may stand in what the spec extends
    root = _section("Experiment", whole)
    root["properties"] = {"extends": _extends(), **root["properties"]}
    root.pop("required", None)
    return {**root, "$defs": {**_DEFINED, **sections}}


def _extends() -> Schema:
    path = {"type": "string", "minLength": 1, "maxLength": 1000, "pattern": "^[^/]"}
    return {
        "description": "A file, or a list of files, whose values this one overrides: relative to this file and inside "
        "`experiments/`. Mappings merge, lists replace; of several, the later wins.",
        "anyOf": [path, {"type": "array", "items": path}],
        "examples": ["_base/llama2.yaml"],
    }


def _section(name: str, schema: Schema) -> Schema:
    """A closed object; its fields take references too."""
    if "properties" not in schema:
        return schema
    fields = {key: _field(part | _RULES.get((name, key), {})) for key, part in schema["properties"].items()}
    needed = {"required": schema["required"]} if "required" in schema else {}
    return {
        "description": _line(schema.get("description", "")),
        "type": "object",
        "properties": fields,
        **needed,
        "additionalProperties": False,
    }


def _field(schema: Schema) -> Schema:
    about: Schema = {"description": _line(schema["description"])} if "description" in schema else {}
    if "default" in schema and not _is_section(schema):
        default = schema["default"]
        about["default"] = _duration(default) if _has_duration(schema) else default
    if "examples" in schema:
        about["examples"] = schema["examples"]
    bare = {key: value for key, value in schema.items() if key not in ("title", "description", "default", "examples")}
    if _is_section(schema) and "propertyNames" not in schema:
        return {**bare, **about}
    return {**about, **_with_references(bare)}


def _with_references(bare: Schema) -> Schema:
    """`bare`, or a reference where `bare` does not take every text already."""
    arms = [_arm(arm) for arm in bare.get("anyOf", [bare])]
    texts = [arm for arm in arms if arm.get("type") == "string" or "enum" in arm or "const" in arm]
    if any(not set(_LIMITS) & set(arm) for arm in texts):
        return {"anyOf": arms} if len(arms) > 1 else arms[0]
    reference = "text_with_reference" if texts else "reference"
    return {"anyOf": [*arms, {"$ref": f"#/$defs/{reference}"}]}


def _arm(schema: Schema) -> Schema:
    schema = {key: value for key, value in schema.items() if key != "title"}
    if schema.get("format") == "duration":
        return {"type": "string", "pattern": _DURATION, "examples": ["90s", "15m", "6h", "3d"]}
    if schema.get("format") == "date":
        return {**schema, "pattern": _DATE}
    if "items" in schema:
        return {**schema, "items": schema["items"] if "$ref" in schema["items"] else _with_references(schema["items"])}
    if "enum" in deref(schema.get("propertyNames", {})):  # spelt out: editors complete properties, not names
        named = deref(schema["propertyNames"])["enum"]
        value = {"anyOf": [schema["additionalProperties"], {"$ref": "#/$defs/reference"}]}
        return {"type": "object", "properties": dict.fromkeys(named, value), "additionalProperties": False}
    if schema.get("additionalProperties"):
        return {**schema, "additionalProperties": _with_references(schema["additionalProperties"])}
    return schema


def _is_section(schema: Schema) -> bool:
    return "$ref" in schema or schema.get("type") == "object"


def _has_duration(schema: Schema) -> bool:
    return any(arm.get("format") == "duration" for arm in schema.get("anyOf", [schema]))


def _duration(default: Any) -> Any:
    return None if default is None else format_duration(_ISO.validate_python(default))


def _line(described: str) -> str:
    return " ".join(described.split())
