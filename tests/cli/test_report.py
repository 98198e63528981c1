"""`report`, as it is typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.reporting.past import Past


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = Past(tmp_path / "project")
    made.version()
    return made.settings.project


def test_a_report_has_a_name_of_its_own(command: Command, project: Path) -> None:
    said = command("report", "tiny@champion")
    assert said.code == 0, said.err
    file = project / "tiny-1.html"
    assert said.out == f"tiny@1: tiny-1.html ({file.stat().st_size / 1000:,.0f} kB). Open it in a browser.\n"
    assert file.read_text("utf-8").startswith("<!doctype html>\n<html")
    assert command("report", "tiny@1", "-o", "tiny-1.html").code == 0, "a report is written anew"


def test_mistakes_are_told_plainly(command: Command, project: Path) -> None:
    (project / "notes.txt").write_text("mine")
    for words, told in {
        ("tiny@9",): "tiny@9 does not exist: ",
        ("tiny@1", "-o", "experiments"): "experiments is a folder: name the file, such as experiments/tiny-1.html.",
        (
            "tiny@1",
            "-o",
            "notes.txt",
        ): "notes.txt is there already and is no HTML file by its name, so it is left alone.",
        (
            "tiny@1",
            "-o",
            "none/a.html",
        ): "none/a.html: cannot be written: No such file or directory. Name a file in a folder",
    }.items():
        said = command("report", *words)
        assert said.code == 1 and said.err.startswith(f"error: {told}"), said.err
    assert (project / "notes.txt").read_text() == "mine"
