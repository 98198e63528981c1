"""The JSON Schema for editors: it takes what the loader takes, and refuses what people commonly get wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from skillsengine.settings import load_settings
from skillsengine.spec import json_schema
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import find_specs, load_spec, resolved
from skillsengine.spec.schema import Experiment
from skillsengine.spec.source import Source, plain
from skillsengine.spec.yaml_text import parse
from tests.conftest import PROJECT
from tests.spec.support import GOOD, Folder, read_table
from tests.spec.test_reference import fields

SPEC = Draft202012Validator(json_schema.spec_schema())
PART = Draft202012Validator(json_schema.part_schema())
SHIPPED = sorted((PROJECT / "experiments").rglob("*.yaml"))
PROBES = [
    0,
    1,
    -1,
    40,
    0.5,
    1.5,
    10**12,
    True,
    None,
    "x",
    "3d",
    "auto",
    "none",
    "json",
    "nf4",
    "a/b",
    "2026-01-31",
    "0 3 * * 1",
    "a@b.example",
    "${train.seed}",
    "${name}",
    "${train.max_grad_norm}",
    "${paused}",
    "${tags}",
    "x-${name}",
    [],
    ["html"],
    ["${name}"],
    ["failure"],
    [1],
    {},
    {"x": 1},
]


def data_of(text: str) -> Any:
    """YAML as the loader reads it."""
    problems: list[Any] = []
    node = parse(Source("x", tuple(text.splitlines())), text, problems)
    assert node is not None
    assert problems == []
    return plain(node)


def told(validator: Draft202012Validator, data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(data)]


@pytest.mark.parametrize(
    ("file", "schema", "option"),
    [
        (json_schema.SPEC_FILE, json_schema.spec_schema(), ""),
        (json_schema.PART_FILE, json_schema.part_schema(), "--part "),
    ],
)
def test_the_committed_schema_is_the_present_one(file: str, schema: Any, option: str) -> None:
    Draft202012Validator.check_schema(schema)
    committed = (PROJECT / file).read_text(encoding="utf-8")
    assert committed == json_schema.text(schema), f"run `skillsengine schema {option}-o {file}`"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_fit_the_schema_that_their_first_line_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    is_spec = path in find_specs(PROJECT / "experiments")
    assert told(SPEC if is_spec else PART, data_of(text)) == []
    target = PROJECT / (json_schema.SPEC_FILE if is_spec else json_schema.PART_FILE)
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={os.path.relpath(target, path.parent)}"
    if is_spec:
        assert told(SPEC, resolved(load_spec(path).experiment)) == []


def test_every_field_says_what_it_means_and_nothing_else_is_let_in() -> None:
    def objects(schema: Any) -> Iterator[Any]:
        if isinstance(schema, dict):
            if "properties" in schema and "type" in schema:
                yield schema
            for part in schema.values():
                yield from objects(part)
        elif isinstance(schema, list):
            for part in schema:
                yield from objects(part)

    found = list(objects(json_schema.spec_schema()))
    assert len(found) > 15
    assert all(section["additionalProperties"] is False for section in found)
    defined = json_schema.spec_schema()["$defs"]
    for name, section in defined.items():
        for key, field in section.get("properties", {}).items():
            assert field.get("description"), f"{name}.{key}"


def test_durations_have_their_own_defaults() -> None:
    defined = json_schema.spec_schema()["$defs"]
    assert defined["Data"]["properties"]["wait"]["default"] == "3d"
    assert defined["Resources"]["properties"]["retry_delay"]["default"] == "30s"
    assert defined["Notify"]["properties"]["deadline"]["default"] is None


def _with(path: str, value: Any) -> Any:
    """The shortest spec with one field set."""
    data: Any = data_of(GOOD)
    data["schedule"] = "none"
    at = data
    for part in path.split(".")[:-1]:
        at = at.setdefault(part, {})
    at[path.split(".")[-1]] = value
    return data


@pytest.mark.parametrize("path", [*fields(Experiment), "resources.stages.format", "lora", "extends"])
def test_the_schema_and_the_loader_agree(path: str, specs: Folder) -> None:
    """What the loader takes the schema takes; what the schema takes the loader refuses by a rule alone, never by type."""
    specs.write("owner: x\n", "x")
    for value in PROBES:
        data = _with(path, value)
        fits = not told(SPEC, data)
        try:
            specs.load(json.dumps(data))
        except SpecError as error:
            literal = "${" not in json.dumps(value) and path not in ("name", "extends")
            assert not (fits and literal and "expected" in str(error)), (value, str(error))
            assert not (fits and "unknown key" in str(error)), (value, str(error))
        else:
            assert fits, (value, told(SPEC, data))


@pytest.mark.parametrize(
    ("mistake", "about"),
    [
        ("train: {lerning_rate: 1}", "lerning_rate"),
        ("trian: {epochs: 1}", "trian"),
        ("base: {quantization: nf3}", "nf3"),
        ("lora: {r: 0}", "$.lora.r"),
        ("lora: {r: '32'}", "$.lora.r"),
        ("paused: 'yes'", "$.paused"),
        ("tags: demo", "$.tags"),
        ("train:", "$.train"),
        ("tokens: {max_length: automatic}", "$.tokens.max_length"),
        ("resources: {timeout: 2 days}", "$.resources.timeout"),
        ("resources: {stages: {finetun: {queue: a}}}", "finetun"),
        ("schedule: daily", "$.schedule"),
        ("start_date: yesterday", "$.start_date"),
        ("notify: {to: [somebody]}", "$.notify.to"),
        ("prompt: {template: no place for the ad}", "$.prompt.template"),
        ("data: {source: a, cleaning: [html, html]}", "$.data.cleaning"),
        ("extends: /etc/passwd", "$.extends"),
    ],
)
def test_typical_mistakes_are_seen(mistake: str, about: str, specs: Folder) -> None:
    text = "name: job\n" + ("" if "data:" in mistake else "data: {source: a}\n") + mistake + "\n"
    found = told(SPEC, data_of(text))
    assert any(about in line for line in found), found
    specs.error(text)


def test_what_is_missing_is_seen_unless_it_may_stand_elsewhere() -> None:
    assert told(SPEC, {"name": "job"}) == ["$: 'data' is a required property"]
    assert told(SPEC, {"name": "job", "data": {"text": "ad"}}) == ["$.data: 'source' is a required property"]
    assert told(SPEC, {"data": {"source": "a"}}) == ["$: 'name' is a required property"]
    assert told(SPEC, {"name": "job", "extends": "_base/a.yaml", "data": {"text": "ad"}}) == []
    assert told(PART, {"data": {"text": "ad"}}) == []


def test_a_draft_names_the_schema_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    assert json_schema.modeline(load_settings(tmp_path)) == ""
    (tmp_path / "schema").mkdir()
    (tmp_path / json_schema.SPEC_FILE).write_text("{}")
    line = json_schema.modeline(load_settings(tmp_path))
    assert line == "# yaml-language-server: $schema=../schema/spec.schema.json\n"


def test_the_table_of_errors_holds_what_the_schema_sees_too() -> None:
    """Most mistakes of one file that the loader tells are told while typing, too."""
    seen = wrong = 0
    for case in read_table(Path(__file__).parent / "error_table.txt"):
        if case.overrides or list(case.files) != ["job.yaml"]:
            continue
        problems: list[Any] = []
        text = case.files["job.yaml"]
        node = parse(Source("x", tuple(text.splitlines())), text, problems)
        if node is None or problems:
            continue
        wrong += 1
        seen += bool(told(SPEC, plain(node)))
    assert (wrong > 10, seen / wrong > 0.6) == (True, True), (seen, wrong)


def test_the_schema_is_the_same_whatever_was_imported_before() -> None:
    """typing keeps one type for equal arguments, and 0 equals 0.0: a library's type once was that of a field of ours."""
    code = (
        "from typing import Annotated\n"
        "from annotated_types import Ge, Gt, Le, Lt\n"
        "kept = [Annotated[float, Ge(0), Lt(1)], Annotated[float, Gt(0), Le(1)], Annotated[float, Gt(0)]]\n"
        "from skillsengine.spec import json_schema\n"
        "print(json_schema.text(json_schema.spec_schema()), end='')\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == (PROJECT / json_schema.SPEC_FILE).read_text(encoding="utf-8")
