"""`resolve`: a whole spec that reads back equal, and the place of each value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillsengine.cli import resolve
from skillsengine.spec.load import Loaded, find_specs, load_spec, resolved
from tests.cli.conftest import Command

SHIPPED = find_specs(Path(__file__).parents[2] / "experiments")
ODD = [
    "no",
    "1e-3",
    "0o17",
    "2026-01-01",
    "null",
    "",
    " leading",
    "a: b # c",
    "{partition}",
    "[a]",
    "é ✓ 求人",
    "tab\there",
    "one\ntwo",
    "one\ntwo\n",
    "\n",
    "\none",
    "one\n\n  two\n\n",
    " one\ntwo\n",
    "one \ntwo",
    "line\u2028break\nx",
    r"\${x} and $",
    r"\\\${train.seed}",
    "one\n\\${x}\n",
    "# not a comment\n- x\n",
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose spec `job` builds on two files, refers to itself and writes its lists in several ways."""
    _write(tmp_path, "_base/deep.yaml", "base: {model: some/model}\ntrain:\n  epochs: 2\n  seed: 7\n")
    _write(tmp_path, "_base/mid.yaml", "extends: deep.yaml\ntrain:\n  epochs: 4\ntags: [a, b]\n")
    _write(
        tmp_path,
        "job.yaml",
        "extends: _base/mid.yaml\nname: job\nschedule: none\ndata: {source: ads.jsonl}\n"
        "evaluate:\n  seed: ${train.seed}\n  shots:\n    - text: An ad.\n      skills: [SQL]\n"
        "lora:\n  target_modules:\n    - q_proj\nresources:\n  stages:\n    finetune: {queue: big}\n",
    )
    return tmp_path


def _write(project: Path, name: str, text: str) -> Path:
    path = project / "experiments" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _again(loaded: Loaded, folder: Path, *, where: bool) -> Loaded:
    text = "".join(f"{body}{comment}\n" for body, comment in resolve.lines(loaded, where=where))
    return load_spec(_write(folder, f"{loaded.experiment.name}.yaml", text))


@pytest.mark.parametrize("where", [False, True])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_spec_reads_back_equal(path: Path, where: bool, tmp_path: Path) -> None:
    loaded = load_spec(path)
    assert _again(loaded, tmp_path, where=where).experiment == loaded.experiment


@pytest.mark.parametrize("text", ODD, ids=repr)
def test_odd_texts_read_back_equal(text: str, tmp_path: Path) -> None:
    """As a text, in a list, and in a list that is too long for a line."""
    shots = [{"text": f"x{text}", "skills": [text, text]}, {"text": "y", "skills": [text * 3] * 40}]
    head = {"name": "job", "schedule": "none", "data": {"source": "ads"}, "description": text}
    path = _write(tmp_path, "job.yaml", json.dumps(head | {"evaluate": {"shots": shots}}))
    loaded = load_spec(path)
    assert _again(loaded, tmp_path / "again", where=True).experiment == loaded.experiment


def test_where_names_the_line_of_every_value(command: Command) -> None:
    said = command("resolve", "experiments/job.yaml", "--where", "--set", "lora.r=8")
    rows = [row.partition("  # ") for row in said.out.splitlines()]
    told = {row[0].strip(): row[2] for row in rows}
    assert told["name: job"] == "experiments/job.yaml:2:7"
    assert told["model: some/model"] == "experiments/_base/deep.yaml:1:15"
    assert told["epochs: 4.0"] == "experiments/_base/mid.yaml:3:11"
    assert told["tags: [a, b]"] == "experiments/_base/mid.yaml:4:7"
    assert told["r: 8"] == "--set lora.r=8"
    assert told["alpha: 64"] == "default"
    assert told["target_modules: [q_proj]"] == "experiments/job.yaml:11:3"
    assert told["queue: big"] == "experiments/job.yaml:15:23"
    assert told["- text: An ad."] == "experiments/job.yaml:8:13"
    seeds = [row[2] for row in rows if row[0].strip() == "seed: 7"]
    assert seeds == ["experiments/_base/deep.yaml:4:9", "experiments/job.yaml:6:9"]  # the latter by `${train.seed}`


def test_json_says_the_same(command: Command, project: Path) -> None:
    whole = json.loads(command("resolve", "experiments/job.yaml", "--json").out)
    loaded = load_spec(project / "experiments" / "job.yaml", overrides=["lora.r=8"])
    assert {**whole, "lora": {**whole["lora"], "r": 8}} == resolved(loaded.experiment)
    found = {entry.pop("field"): entry for entry in resolve.located(loaded)}
    assert json.loads(command("resolve", "experiments/job.yaml", "--where", "--json", "--set", "lora.r=8").out) == [
        {"field": field, **entry} for field, entry in found.items()
    ]
    assert found["evaluate.seed"] == {
        "value": 7,
        "from": "file",
        "file": "experiments/job.yaml",
        "line": 6,
        "column": 9,
    }
    assert found["evaluate.shots[0].skills"]["value"] == ["SQL"]
    assert found["lora.r"] == {"value": 8, "from": "override", "override": "--set lora.r=8"}
    assert found["train.max_grad_norm"] == {"value": 1.0, "from": "default"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_comments_stand_in_one_column_within_eighty(path: Path) -> None:
    said = [(body, comment) for body, comment in resolve.lines(load_spec(path), where=True) if comment]
    assert max(len(body) + len(comment) for body, comment in said) <= 80
    assert len({len(body) for body, _ in said if body.strip()}) == 1


def test_a_broken_spec_is_told_as_validate_does(command: Command, project: Path) -> None:
    _write(project, "bad.yaml", "name: bad\nschedule: none\ndata: {source: x}\nlora: {r: 0}\n")
    said = command("resolve", "experiments/bad.yaml")
    assert (said.code, said.out) == (1, "")
    assert "experiments/bad.yaml:4:11: lora.r: expected" in said.err
