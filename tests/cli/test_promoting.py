"""`promote` and `rollback`, on a catalog with three versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.settings import load_settings
from skillsengine.storage.catalog import Catalog
from tests.cli.conftest import Command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    catalog = Catalog.open(load_settings(tmp_path).catalog_url)
    for number in (1, 2, 3):
        catalog.allocate_version("skills", f"{number}" * 64, experiment="skills", partition=None, run_id=None, spec={})
        catalog.publish_version("skills", number, "a" * 64, tmp_path, {}, {})
    return tmp_path


@pytest.fixture
def catalog(project: Path) -> Catalog:
    return Catalog.open(load_settings(project).catalog_url)


def test_there_and_all_the_way_back(command: Command, catalog: Catalog) -> None:
    assert command("promote", "skills@1").out == "skills@champion is now version 1\n"
    assert (
        command("promote", "skills@latest", "--reason", "better on May").out
        == "skills@champion is now version 3, it was 1\n"
    )
    assert command("promote", "skills@3").out == "skills@champion is version 3 already\n"
    command("promote", "skills@2")
    assert command("rollback", "skills").out == "skills@champion is version 3 again, it was 2\n"
    assert command("rollback", "skills").out == "skills@champion is version 1 again, it was 3\n", "not to and fro"
    end = command("rollback", "skills")
    assert end.code == 1 and "has stood at version 1 from the beginning: there is nothing to go back to" in end.err
    command("promote", "skills@2")
    assert command("rollback", "skills").out == "skills@champion is version 1 again, it was 2\n"
    moves = catalog.alias_moves("skills", "champion")
    assert [move.number for move in moves] == [1, 3, 2, 3, 1, 2, 1]
    assert moves[1].reason.endswith(": better on May") and moves[1].reason.startswith("by hand, ")
    assert moves[3].reason.startswith("rolled back: by hand, ")


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (("promote", "skills@7"), "skills@7 does not exist: skills has the versions 1, 2, 3"),
        (("promote", "skills"), "skills@champion does not exist"),
        (
            ("promote", "skills@1", "--alias", "latest"),
            "`latest` follows the newest version by itself and cannot be set",
        ),
        (("rollback", "skills"), "skills@champion is set nowhere, so it cannot go back"),
        (("rollback", "skils"), "there is no model `skils`; registered are skills."),
        (("rollback", "skills@3"), "rollback takes a model and no version: write `skillsengine rollback skills`."),
    ],
)
def test_mistakes_are_told_plainly(command: Command, asked: tuple[str, ...], text: str) -> None:
    said = command(*asked)
    assert said.code == 1 and text in said.err and "Traceback" not in said.err
