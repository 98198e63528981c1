"""`make env`: the lock of the Python that is there, and plain words where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools import setup_env


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_each_python_has_its_lock(minor: int) -> None:
    assert setup_env.lock_for((3, minor)).name == f"py3{minor}.txt"


def test_a_python_without_a_lock() -> None:
    with pytest.raises(SystemExit) as stopped:
        setup_env.lock_for((3, 14))
    assert str(stopped.value) == (
        "make env: there is no lock for Python 3.14: locks/ has one for 3.11, 3.12, 3.13. Install one of these and run "
        "`make env` again, for example: apt-get install python3.11 python3.11-venv"
    )


def put_python(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def only_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def as_python(monkeypatch: pytest.MonkeyPatch, *version: int) -> None:
    monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))


def test_the_preferred_python_goes_first(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = put_python(only_path, "python3.11", f'exec {sys.executable} "$@"')
    as_python(monkeypatch, 3, 12)
    assert setup_env.find_python() == str(exact)


def test_a_command_that_runs_nothing_is_no_python(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_python(only_path, "python3.11", "echo 'no such version is active' >&2; exit 127")
    as_python(monkeypatch, 3, 12)
    assert setup_env.find_python() == sys.executable


def test_an_unlocked_python_lets_another_one_work(only_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = put_python(only_path, "python3.13", f'exec {sys.executable} "$@"')
    as_python(monkeypatch, 3, 9)
    assert setup_env.find_python() == str(other)


def test_the_environment_decides_which_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of 3.13 keeps its lock, also when `python3` has become another one."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    put_python(tmp_path / "venv" / "bin", "python", "echo 3 13")
    stamp = setup_env.digest_of(setup_env.LOCKS / "py313.txt")
    (tmp_path / "venv" / setup_env.STAMP).write_text(stamp + "\n")
    monkeypatch.setattr(setup_env, "pip", lambda *words: pytest.fail(f"it matches its lock already: {words}"))
    setup_env.make(tmp_path / "venv", sys.executable)


def test_a_broken_environment_is_said(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    put_python(tmp_path / "venv" / "bin", "python", "echo 'lost its home' >&2; exit 1")
    with pytest.raises(SystemExit, match=r"venv/bin/python does not run: lost its home\nRemove its environment"):
        setup_env.make(tmp_path / "venv", sys.executable)


def test_what_enters_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env, "LOCKS", tmp_path)
    monkeypatch.setattr(setup_env, "PROJECT", tmp_path)
    names = ("py311.txt", "cuda.txt", "no-deps.txt", "pyproject.toml")
    for name in names:
        (tmp_path / name).write_text("a")
    seen = {setup_env.digest_of(tmp_path / "py311.txt")}
    for name in names:
        (tmp_path / name).write_text("b")
        seen.add(setup_env.digest_of(tmp_path / "py311.txt"))
    assert len(seen) == 5


@pytest.mark.nightly
def test_what_pip_cannot_install_is_said_and_leaves_no_stamp(tmp_path: Path, project: Path) -> None:
    """The script itself, in a project whose lock cannot be had."""
    for name in ("locks", "tools"):
        (tmp_path / name).mkdir()
    (tmp_path / "pyproject.toml").touch()
    lock = f"py{sys.version_info[0]}{sys.version_info[1]}.txt"
    for name in (lock, "cuda.txt", "no-deps.txt"):
        (tmp_path / "locks" / name).write_text("there-is-no-such-package==1\n" if name == lock else "")
    script = tmp_path / "tools" / "setup_env.py"
    script.write_bytes((project / "tools" / "setup_env.py").read_bytes())
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    words = [sys.executable, str(script), "--venv", str(tmp_path / "made")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    assert f"installing 1 pinned packages of {lock} into made" in done.stdout
    assert done.stderr.startswith("make env: pip could not install the lock:\n")
    assert "No matching distribution found for there-is-no-such-package==1" in done.stderr
    assert done.stderr.endswith("Check the network, then run `make env` again.\n")
    assert not (tmp_path / "made" / setup_env.STAMP).exists()
