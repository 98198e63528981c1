"""experiments/ -> a folder of DAG files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.airflow.compile import CompileReport, compile_experiments
from skillsengine.airflow.dagfile import MARKER
from tests.airflow.support import write_spec


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


def compiled(home: Path) -> CompileReport:
    return compile_experiments(home / "experiments", home / "out")


def names(home: Path) -> list[str]:
    return sorted(p.relative_to(home / "out").as_posix() for p in (home / "out").rglob("*.py"))


def test_one_file_a_spec_and_nothing_to_do_the_second_time(home: Path) -> None:
    write_spec(home, "a")
    write_spec(home, "b", folder="team")
    first = compiled(home)
    assert first.written == ("a.py", "b.py") and not first.errors
    assert "name: a\n" in (home / "out" / "a.py").read_text()
    second = compiled(home)
    assert second.written == () and second.unchanged == ("a.py", "b.py") and not second.changed


def test_a_change_and_a_return_to_an_earlier_text_are_newer_each_time(home: Path) -> None:
    write_spec(home, "a")
    compiled(home)
    file, stamps = home / "out" / "a.py", []
    # The clock may even stand still, or go back.
    os.utime(file, ns=(2**62, 2**62))
    for more in ("", "description: one\n", "", "description: one\n"):
        write_spec(home, "a", more)
        compiled(home)
        stamps.append(file.stat().st_mtime_ns)
    assert stamps == sorted(set(stamps)) and len(stamps) == 4


def test_an_unchanged_file_keeps_its_time(home: Path) -> None:
    write_spec(home, "a")
    compiled(home)
    before = (home / "out" / "a.py").stat().st_mtime_ns
    write_spec(home, "a")
    write_spec(home, "b")
    assert compiled(home).written == ("b.py",)
    assert (home / "out" / "a.py").stat().st_mtime_ns == before


def test_a_broken_spec_keeps_its_last_good_file(home: Path) -> None:
    write_spec(home, "a")
    write_spec(home, "b")
    compiled(home)
    good = (home / "out" / "a.py").read_text()
    write_spec(home, "a", "train: {lerning_rate: 1}\n")
    report = compiled(home)
    assert names(home) == ["a.py", "a.yaml.py", "b.py"]
    assert (home / "out" / "a.py").read_text() == good
    assert "experiments/a.yaml:5:9: train.lerning_rate: unknown key" in (home / "out" / "a.yaml.py").read_text()
    assert "the last good DAG stays" in (home / "out" / "a.yaml.py").read_text()
    assert len(report.errors) == 1 and "lerning_rate" in str(report.errors[0])
    write_spec(home, "a", "train: {learning_rate: 0.1}\n")
    report = compiled(home)
    assert report.written == ("a.py",) and report.removed == ("a.yaml.py",)
    assert names(home) == ["a.py", "b.py"]


def test_a_spec_broken_from_the_start_has_no_dag(home: Path) -> None:
    write_spec(home, "a", "lora: 3\n")
    compiled(home)
    assert names(home) == ["a.yaml.py"]
    assert "it has no DAG yet" in (home / "out" / "a.yaml.py").read_text()


def test_a_secret_in_a_spec_is_not_quoted(home: Path) -> None:
    write_spec(home, "a", "api_key: hf_abcdefghijklmnopqrstuvwxyz\n")
    compiled(home)
    assert "hf_abc" not in (home / "out" / "a.yaml.py").read_text()


def test_files_of_specs_that_are_gone_go_too(home: Path) -> None:
    path = write_spec(home, "a", folder="team")
    broken = write_spec(home, "b", "lora: 3\n", folder="team")
    compiled(home)
    assert names(home) == ["a.py", "team/b.yaml.py"]
    path.unlink()
    broken.unlink()
    assert compiled(home).removed == ("a.py", "team/b.yaml.py")
    assert [path.name for path in (home / "out").iterdir()] == [".skillsengine.lock"], "no empty folder stays"


def test_equal_names_are_an_error_on_both_and_the_good_file_stays(home: Path) -> None:
    write_spec(home, "a", folder="one")
    compiled(home)
    good = (home / "out" / "a.py").read_text()
    write_spec(home, "a", folder="two")
    report = compiled(home)
    assert names(home) == ["a.py", "one/a.yaml.py", "two/a.yaml.py"]
    assert (home / "out" / "a.py").read_text() == good
    assert len(report.errors) == 2
    assert "has the same name" in (home / "out" / "two" / "a.yaml.py").read_text()


def test_other_peoples_files_are_left_alone(home: Path) -> None:
    write_spec(home, "a")
    (home / "out").mkdir()
    (home / "out" / "a.py").write_text("mine = 1\n")
    (home / "out" / "other.py").write_text("mine = 2\n")
    report = compiled(home)
    assert (home / "out" / "a.py").read_text() == "mine = 1\n"
    assert names(home) == ["a.py", "a.yaml.py", "other.py"]
    assert "is in the way: it was not made by skillsengine" in str(report.errors[0])


def test_a_broken_base_is_reported_by_all_that_extend_it_and_takes_none_down(home: Path) -> None:
    base = home / "experiments" / "_base" / "b.yaml"
    base.parent.mkdir()
    base.write_text("lora: {r: 8}\n")
    write_spec(home, "a", "extends: _base/b.yaml\n")
    write_spec(home, "c")
    compiled(home)
    base.write_text("lora: {r: eight}\n")
    report = compiled(home)
    assert names(home) == ["a.py", "a.yaml.py", "c.py"]
    assert "experiments/_base/b.yaml:1:11" in str(report.errors[0])


def test_a_base_that_changes_changes_what_extends_it(home: Path) -> None:
    base = home / "experiments" / "_base" / "b.yaml"
    base.parent.mkdir()
    base.write_text("lora: {r: 8}\n")
    write_spec(home, "a", "extends: _base/b.yaml\n")
    write_spec(home, "c")
    compiled(home)
    base.write_text("lora: {r: 16}\n")
    assert compiled(home).written == ("a.py",)


def test_yml_is_reported(home: Path) -> None:
    (home / "experiments" / "a.yml").write_text("name: a\n")
    compiled(home)
    assert names(home) == ["a.yml.py"]
    assert "a.yaml" in (home / "out" / "a.yml.py").read_text()


def test_processes_take_turns(home: Path) -> None:
    for index in range(4):
        write_spec(home, f"spec{index}")
    code = (
        "import sys; from pathlib import Path; from skillsengine.airflow.compile import compile_experiments\n"
        "for _ in range(5): compile_experiments(Path(sys.argv[1]) / 'experiments', Path(sys.argv[1]) / 'out')"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(home)]) for _ in range(3)]
    for round_ in range(10):
        write_spec(home, "spec0", f"description: round {round_}\n")
        for file in (home / "out").glob("*.py"):
            # Whoever reads meanwhile finds whole files.
            text = file.read_text()
            assert text.startswith(MARKER) and text.endswith("\n")
            compile(text, str(file), "exec")
    assert [process.wait(60) for process in running] == [0, 0, 0]
    compiled(home)
    assert names(home) == [f"spec{index}.py" for index in range(4)]
    left = {p.name for p in (home / "out").iterdir() if p.suffix != ".py"}
    assert left == {".skillsengine.lock"}
