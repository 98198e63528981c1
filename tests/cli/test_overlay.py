"""`SKILLSENGINE_ENV` as the commands take it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    experiments = tmp_path / "experiments"
    (experiments / "_env").mkdir(parents=True)
    (experiments / "job.yaml").write_text("name: job\nschedule: none\ndata: {source: ads.jsonl}\n")
    (experiments / "_env" / "prod.yaml").write_text("data:\n  source: s3://bucket/ads\npaused: true\n")
    (experiments / "_env" / "bad.yaml").write_text("paused: maybe\n")
    (tmp_path / "ads.jsonl").write_text("")
    return tmp_path


@pytest.fixture(autouse=True)
def prod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_ENV", "prod")


def test_resolve_says_which_values_are_the_environments(command: Command) -> None:
    said = command("resolve", "experiments/job.yaml", "--where", "--json", "--set", "paused=false")
    found = {entry["field"]: entry for entry in json.loads(said.out)}
    assert found["data.source"] == {
        "field": "data.source",
        "value": "s3://bucket/ads",
        "from": "file",
        "file": "experiments/_env/prod.yaml",
        "line": 2,
        "column": 11,
    }
    assert (found["paused"]["value"], found["paused"]["from"]) == (False, "override")


def test_validate_says_that_it_is_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = "with the values of experiments/_env/prod.yaml (SKILLSENGINE_ENV)\n"
    assert command("validate").out == "ok job.yaml: job, schedule none\n" + with_it
    monkeypatch.setenv("SKILLSENGINE_ENV", "bad")
    for words in (["validate"], ["doctor"], ["plan", "experiments/job.yaml"], ["run", "experiments/job.yaml"]):
        said = command(*words)
        assert said.code == 1
        assert "experiments/_env/bad.yaml:1:9: paused: expected true or false" in said.out + said.err


def test_plan_looks_at_the_environments_data(command: Command, monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    (project / "experiments" / "_env" / "prod.yaml").write_text("data: {source: elsewhere.jsonl}\n")
    assert "elsewhere.jsonl" in command("plan", "experiments/job.yaml").err


@pytest.mark.parametrize("words", [["validate"], ["plan", "experiments/job.yaml"], ["compile", "--out", "dags"]])
def test_a_name_that_is_not_there(words: list[str], command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_ENV", "prood")
    said = command(*words)
    assert said.code == 1
    assert "error: SKILLSENGINE_ENV='prood': there is no such file in " in said.err
    assert "There are: bad, prod." in said.err


def test_compiled_files_hold_the_environments_values(command: Command, project: Path) -> None:
    assert command("compile", "--out", "dags").code == 0
    text = (project / "dags" / "job.py").read_text()
    assert '"source":"s3://bucket/ads"' in text.replace('": "', '":"') and "ads.jsonl" in text  # the latter in its YAML


def test_a_mistake_that_stops_every_spec_is_told_once(
    command: Command, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    """One of the overlay and one of what specs extend; Airflow still shows an import error for each spec."""
    experiments = project / "experiments"
    (experiments / "_base").mkdir()
    (experiments / "_base" / "common.yaml").write_text("lora: {r: 0}\n")
    for name in ("one", "two", "three"):
        base = "" if name == "one" else "extends: _base/common.yaml\n"
        (experiments / f"{name}.yaml").write_text(f"{base}name: {name}\nschedule: none\ndata: {{source: ads.jsonl}}\n")
    monkeypatch.setenv("SKILLSENGINE_ENV", "bad")
    for words in (["validate"], ["compile", "--out", "dags"]):
        said = command(*words)
        assert said.code == 1
        assert said.err.count("experiments/_env/bad.yaml:1:9: paused: expected true or false") == 1
        assert "(default false)\n   this stops 4 specs\n" in said.err
        assert said.err.count("experiments/_base/common.yaml:1:11: lora.r: expected an int >= 1") == 1
        assert "this stops 2 specs\n" in said.err
    assert "4 of 4 specs do not compile" in command("validate").err
    assert len(list((project / "dags").glob("*.py"))) == 4
