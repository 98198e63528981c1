"""`schema`: to stdout or into a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillsengine.spec import json_schema
from tests.cli.conftest import Command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """No project at all: the schema needs none."""
    return tmp_path


def test_it_is_printed_whole(command: Command) -> None:
    assert json.loads(command("schema").out) == json_schema.spec_schema()
    assert json.loads(command("schema", "--part").out) == json_schema.part_schema()


def test_it_is_written_with_its_folder(command: Command, project: Path) -> None:
    assert command("schema", "-o", "schema/spec.schema.json").out == "written schema/spec.schema.json\n"
    assert (project / "schema/spec.schema.json").read_text() == json_schema.text(json_schema.spec_schema())


def test_a_file_that_cannot_be_written(command: Command, project: Path) -> None:
    (project / "schema").write_text("a file")
    said = command("schema", "-o", "schema/spec.schema.json")
    assert (said.code, said.err) == (1, "error: schema/spec.schema.json cannot be written: File exists\n")
