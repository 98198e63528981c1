"""docs/tutorial.md from top to bottom in a copy of the project, as a reader goes through it: its files are written, its
commands run, what it says that they print is compared, and where it says "wait" there is waiting. Before its Airflow is
stopped, the pictures of docs/images are taken from what it has made."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.docs.pages import PROJECT
from tools.screenshots import WIDTH, shots

PAGE = PROJECT / "docs" / "tutorial.md"
_PART = re.compile(r"^```(\w*)\n(.*?)^```$|^<!-- wait: ([\w.-]+) -->$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (experiments/[\w-]+\.yaml)\n")
_NUMBER = re.compile(r"[0-9]+(?:[.:,-][0-9]+)*")
_SPACE = re.compile(r"[\s─━]+")
_WAIT_SECONDS = 3600.0
_FRAME = (120, 150)
"""Left upper corner of what is within Airflow's own navigation."""
_FEWEST_COLOURS = 30
"""Of a picture with text: the edges of its letters are of more shades. An empty page has a handful."""


@dataclass(frozen=True)
class Part:
    """A fenced block, or a place to wait at."""

    line: int
    language: str
    text: str
    wait: str | None


def parts() -> list[Part]:
    text = PAGE.read_text("utf-8")
    return [
        Part(text.count("\n", 0, found.start()) + 1, found[1] or "", found[2] or "", found[3])
        for found in _PART.finditer(text)
    ]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """What a clone holds, with this environment in it; its Airflow, if one runs in the end, is stopped."""
    copy = tmp_path / "skillsengine"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, copy / name)
    (copy / ".venv").symlink_to(sys.prefix, target_is_directory=True)
    yield copy
    run(copy, "source .venv/bin/activate && skillsengine down")


def run(project: Path, script: str) -> subprocess.CompletedProcess[str]:
    without = ("SKILLSENGINE_", "AIRFLOW_", "WANDB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(without)}
    return subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=project,
        env=environment | {"COLUMNS": "160", "OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS", "2")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.nightly
def test_its_commands_do_what_it_says(project: Path) -> None:
    activated, said = "source .venv/bin/activate\n", ""
    for part in parts():
        at = f"docs/tutorial.md:{part.line}"
        if part.wait:
            wait_for_the_runs_of(part.wait, project, at)
        elif part.language == "sh":
            if "skillsengine down" in part.text:
                pictures_are_taken(project)
            done = run(project, activated + part.text)
            assert done.returncode == 0, f"{at}: exit code {done.returncode}\n{part.text}\n{done.stdout}"
            said = done.stdout
        elif part.language == "yaml":
            name = _FILE.match(part.text)
            assert name, f"{at}: its first line names no file of experiments/"
            (project / name[1]).write_text(part.text, encoding="utf-8")
        else:
            assert missing(part.text, said) == [], f"{at}: not in what the command said, which is\n{said}"


def pictures_are_taken(project: Path) -> None:
    """Of every page of the real history, by the tool that takes those of docs/images."""
    pytest.importorskip("selenium")
    folder = project / "pictures"
    done = run(project, f"source .venv/bin/activate\npython tools/screenshots.py tutorial --out {folder.name}")
    assert done.returncode == 0, done.stdout
    taken = {path.stem: Image.open(path) for path in folder.glob("*.png")}
    assert taken.keys() == shots("tutorial").keys()
    assert {picture.width for picture in taken.values()} == {WIDTH}
    inner = {name: picture.crop((*_FRAME, WIDTH, picture.height)) for name, picture in taken.items()}
    plain = [name for name, picture in inner.items() if len(picture.getcolors() or ()) < _FEWEST_COLOURS]
    assert plain == [], "a page without its contents"


def wait_for_the_runs_of(name: str, project: Path, at: str) -> None:
    """Until one of its retrain DAG has begun, and none goes on."""
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        done = run(project, f"source .venv/bin/activate && skillsengine runs {name} --json")
        found = json.loads(done.stdout) if done.returncode == 0 else []
        runs = [each for each in found if each["kind"] == "retrain"]
        if runs and not any(each["state"] == "running" for each in runs):
            assert all(each["state"] == "success" for each in runs), f"{at}: {runs}"
            return
        assert time.monotonic() < until, f"{at}: no end after {_WAIT_SECONDS:.0f} s: {done.stdout}"
        time.sleep(2)


def missing(shown: str, said: str) -> list[str]:
    """The lines of the page that the output does not have; figures may differ, and so may the width of a table."""
    lines = {_alike(line) for line in said.splitlines()}
    return [line for line in shown.splitlines() if _alike(line) not in lines | {"", "..."}]


def _alike(line: str) -> str:
    return _SPACE.sub(" ", _NUMBER.sub("#", line)).strip()


def test_a_line_that_is_not_said_is_found() -> None:
    assert missing("tutorial@1   0.41\n\n...\nother\n", "x\n tutorial@2 0.7\n") == ["other"]
