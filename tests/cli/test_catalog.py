"""`skillsengine catalog`: which layout, and back to an older one."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.settings import load_settings
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.migrate import HEAD, layouts
from tests.cli.conftest import Command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


def test_the_layout_is_told_and_nothing_is_made(command: Command, project: Path) -> None:
    said = command("catalog", "status")
    assert (said.code, said.out.splitlines()[1]) == (0, "no tables yet: the first run makes them")
    assert not (project / ".skillsengine").exists()
    Catalog.open(load_settings(project).catalog_url).close()
    lines = command("catalog", "status").out.splitlines()
    assert lines[:2] == [
        f"catalog sqlite:///{project}/.skillsengine/catalog.db", f"layout {HEAD}, this version's own"
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:]] == list(layouts())
    assert f"  {HEAD} * " in lines[-1]


def test_back_to_an_older_layout(command: Command, project: Path) -> None:
    catalog = Catalog.open(load_settings(project).catalog_url)
    catalog.remember_reading("ads.csv", "sha256", "1", "ab")
    refused = command("catalog", "downgrade", "0001")  # nobody answers
    assert refused.code == 1
    assert "lost: what reading 1 file has shown, which is read once more\n" in refused.out
    assert command("catalog", "status").out.splitlines()[1] == f"layout {HEAD}, this version's own"
    said = command("catalog", "downgrade", "0001", "--yes")
    assert said.code == 0, said.err
    assert said.out.splitlines()[-2:] == [
        f"catalog sqlite:///{project}/.skillsengine/catalog.db has the layout 0001",
        "Install the older skillsengine now: any other command of this one, or a task, takes it forward again.",
    ]
    assert (
        command("catalog", "status").out.splitlines()[1] == f"layout 0001: the next command or task takes it to {HEAD}"
    )
    wrong = command("catalog", "downgrade", "first")
    assert (wrong.code, wrong.err.startswith("error: there is no layout 'first'. There are: 0001, ")) == (1, True)
    catalog.close()
