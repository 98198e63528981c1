"""The control plane's image has only the packages of its lock: every light command and module works with these alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.tools.test_locks import pins
from tools.lock import PYTHONS, lock_name

WITHOUT = """
import importlib, importlib.metadata, json, pkgutil, sys
from packaging.utils import canonicalize_name

kept = {"skillsengine", *json.loads(sys.argv.pop(1))}
tops = importlib.metadata.packages_distributions()
away = {top for top, names in tops.items() if not {canonicalize_name(name) for name in names} & kept}

class Hiding:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in away else self.finder.find_spec(name, path, target)

sys.meta_path[:] = map(Hiding, sys.meta_path)
"""
"""Runs before the code under test: what the lock does not hold cannot be imported."""

IMPORT_ALL = """
for room in json.loads(sys.argv.pop(1)):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(getattr(package, "__path__", ()), room + "."):
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("skillsengine.")]))
"""

RUN_CLI = "from skillsengine.cli import main; main()"


def control_python(project: Path, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code as the control plane's image would."""
    held = json.dumps(sorted(pins(lock_name(PYTHONS[0], "-control"))))
    environment = os.environ | {"SKILLSENGINE_PROJECT": str(project), "SKILLSENGINE_HOME": str(project / "home")}
    command = [sys.executable, "-c", WITHOUT + code, held, *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=project)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The shipped experiments and their data, as in the image."""
    shutil.copytree(PROJECT / "experiments", tmp_path / "experiments")
    shutil.copytree(PROJECT / "data" / "demo", tmp_path / "data" / "demo")
    return tmp_path


def test_what_is_away_is_away(project: Path) -> None:
    done = control_python(project, "import torch")
    assert "ModuleNotFoundError: No module named 'torch'" in done.stderr


def test_every_module_of_the_control_plane(project: Path) -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    rooms = [*contracts[0]["source_modules"], "skillsengine.cli"]
    assert "skillsengine.airflow" in rooms
    done = control_python(project, IMPORT_ALL, json.dumps(rooms))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("validate", "ok job-skills-demo.yaml"),
        ("plan experiments/job-skills-demo.yaml", "steps to run"),
        pytest.param(
            "resolve experiments/job-skills-demo.yaml --where", "name: job-skills-demo ", marks=pytest.mark.nightly
        ),
        ("diff experiments/job-skills-demo.yaml experiments/job-skills-demo.yaml --set lora.r=8", "lora.r: 16 -> 8"),
        pytest.param("schema", "https://json-schema.org/draft/2020-12/schema", marks=pytest.mark.nightly),
        ("compile --out dags", "written job-skills-demo.py"),
        pytest.param("runs", "no runs yet", marks=pytest.mark.nightly),
        pytest.param("versions", "no versions yet", marks=pytest.mark.nightly),
    ],
)
def test_a_light_command(command: str, said: str, project: Path) -> None:
    done = control_python(project, RUN_CLI, *command.split())
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.nightly
def test_doctor_says_that_no_stage_can_run(project: Path) -> None:
    done = control_python(project, RUN_CLI, "doctor", "experiments/job-skills-demo.yaml")
    assert "worker packages  torch, transformers, " in done.stdout
    assert "no stage can run in this environment" in done.stdout
    assert "ok       data of job-skills-demo" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [pytest.param("preview", marks=pytest.mark.nightly), "run --limit 2"])
def test_a_heavy_command_says_what_it_needs(command: str, project: Path) -> None:
    name, *options = command.split()
    done = control_python(project, RUN_CLI, name, "experiments/job-skills-demo.yaml", *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "which is not installed in this Python: it is part of the extra `worker`." in done.stderr
    assert "skillsengine.stages.format needs the library `" in done.stderr
