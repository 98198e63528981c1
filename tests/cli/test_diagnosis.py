"""How `doctor` tells what it found: groups, marks, lines of a terminal and of a file, the end."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from skillsengine.cli import diagnosis
from skillsengine.doctor import examine as module
from skillsengine.doctor.finding import Finding, of_group, ok, problem, unknown, warning
from tests.cli.conftest import Command

LONG = "x.yaml:3:1: lerning_rate: unknown key\n   3 | lerning_rate: 1\n     | ^^^^^^^^^^^^"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


def _finds(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(module, "examine", lambda *args, **kwargs: iter(findings))


def test_groups_and_what_to_do_first(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = [ok("store", "writable"), warning("device", "no GPU", "take one"), unknown("x", "not seen", "look there")]
    _finds(monkeypatch, *machine, *of_group("specs", [problem("spec x.yaml", LONG), problem("b", "c", "d")]))
    said = command("doctor")
    assert said.code == 1
    assert said.out == (
        "machine\n"
        "  ok       store  writable\n"
        "  warning  device  no GPU\n"
        "        -> take one\n"
        "  unknown  x  not seen\n"
        "        -> look there\n"
        "specs\n"
        "  problem  spec x.yaml  x.yaml:3:1: lerning_rate: unknown key\n"
        "              3 | lerning_rate: 1\n"
        "                | ^^^^^^^^^^^^\n"
        "  problem  b  c\n"
        "        -> d\n"
        "5 looked at: 2 problems, 1 warning, 1 could not be looked at\n"
        "first: spec x.yaml: x.yaml:3:1: lerning_rate: unknown key\n"
    )


def test_warnings_are_no_failure(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _finds(monkeypatch, warning("device", "no GPU", "take one"))
    said = command("doctor")
    assert (said.code, said.out.splitlines()[-2:]) == (
        0, ["1 looked at: 0 problems, 1 warning", "first: device: take one"]
    )  # fmt: skip


def test_json_is_all_that_is_printed(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    _finds(monkeypatch, *of_group("Airflow", [problem("pool gpu", "none", "make it")]))
    said = command("doctor", "--json")
    assert (said.code, json.loads(said.out)) == (
        1,
        [{"level": "problem", "subject": "pool gpu", "text": "none", "mend": "make it", "group": "Airflow"}],
    )


def test_what_is_well_does_not_bury_the_rest(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [ok(f"spec {number}", "compiles") for number in range(99)]
    _finds(monkeypatch, *many, problem("spec 100", "does not"))
    said = command("doctor")
    lines = said.out.splitlines()
    assert len(lines) == 1 + 20 + 1 + 1 + 2
    assert "  problem  spec 100  does not" in lines
    assert lines[-3:-1] == [
        "  ok       and 79 more that are well (--json names them)",
        "100 looked at: 1 problem, 0 warnings",
    ]


def test_lines_of_a_terminal_break_below_their_beginning(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system=None, width=40, soft_wrap=True)
    monkeypatch.setattr(diagnosis, "out", console)
    _finds(monkeypatch, warning("device", "one two three four five six seven eight", "nine ten eleven twelve thirteen"))
    command("doctor")
    assert terminal.getvalue().splitlines()[1:6] == [
        "  warning  device  one two three four",
        "           five six seven eight",
        "        -> nine ten eleven twelve",
        "           thirteen",
        "1 looked at: 0 problems, 1 warning",
    ]
