"""`versions`, `show` and `lineage` on a version that a real run has registered."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from skillsengine.cli import console
from skillsengine.pipeline.run import Run
from skillsengine.spec.load import resolved
from skillsengine.storage.files import sha256_of
from tests.cli.conftest import Command
from tests.pipeline.project import make_project, tiny_experiment
from tests.pipeline.whole import run_whole


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the tiny experiment, with one value of its own."""
    settings = make_project(tmp_path_factory.mktemp("registry") / "project")
    experiment = tiny_experiment(description="Finds skills.\nMore.")
    return run_whole(experiment, settings, "r1", overrides={"train.seed": 7})


@pytest.fixture
def project(done: Run) -> Path:
    return done.settings.project


def test_show_tells_what_a_version_is(command: Command, done: Run) -> None:
    said = command("show", "tiny@1")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0].startswith("tiny@1  ")
    assert "latest" in lines[0]
    assert lines[1] == "Finds skills."
    assert "trained on  data/ads/{partition}.jsonl: 2026-01, 2026-02" in said.out
    assert "base        base, quantization none" in said.out
    assert "adapter on 2026-03" in said.out
    assert "4-shot base on 2026-03" in said.out
    assert re.search(r"adapter on 2026-03 +0\.\d{3} +0\.\d{3} +0\.\d{3} ±0\.\d{3} ", said.out)
    for baseline in ("4-shot base", "lexicon"):
        assert re.search(rf"F1 against {baseline}: ((adapter|{baseline}) is better by|no difference seen \()", said.out)
    assert re.search(r"length=short +0\.\d{3} ±0\.\d{3} +8 +16\n", said.out)
    assert "skillsengine lineage tiny@1" in said.out


def test_versions_is_a_table_and_a_list(command: Command, done: Run) -> None:
    head, row, alias, folders = [
        line.rstrip() for line in command("versions").out.splitlines() if "champion" not in line
    ]
    assert re.fullmatch(r"version +scored on +adapter, F1 +4-shot base +lexicon", head)
    assert re.fullmatch(r"tiny@1 +2026-03( +0\.\d{3} ±0\.\d{3}){3}", row)
    assert alias == "  latest"
    folder = done.catalog.resolve("tiny", "1").path
    assert folders.replace("MODEL", "tiny").replace("NUMBER", "1") == f"folders: {folder}"
    [listed] = json.loads(command("versions", "tiny", "--json").out)
    assert (listed["version"], listed["folder"], listed["partition"]) == ("tiny@1", folder, "2026-03")
    assert "latest" in listed["aliases"] and "f1" in listed["metrics"]["adapter"]
    assert json.loads(command("versions", "nobody", "--json").out) == []


def test_show_tells_what_the_gate_said(command: Command, done: Run) -> None:
    verdict = done.catalog.resolve("tiny", "1").verdict
    assert verdict is not None and verdict["reason"].startswith("tiny@1 has f1 0.")
    assert f"gate        {verdict['verdict']}: tiny@1 has f1 0." in command("show", "tiny@1").out
    assert json.loads(command("show", "tiny@1", "--json").out)["verdict"] == verdict
    card = command("show", "tiny@1", "--card").out
    assert card.startswith("---\n") and card.endswith(
        f"\n\n## Gate\n\n**{verdict['verdict']}**: {verdict['reason']}.\n"
    )


def test_show_as_json(command: Command) -> None:
    facts = json.loads(command("show", "tiny@latest", "--json").out)
    assert facts["version"] == "tiny@1"
    assert "latest" in facts["aliases"]
    assert facts["metrics"]["adapter"]["partition"] == "2026-03"


def test_the_report_of_a_real_run_tells_what_the_catalog_knows(command: Command, done: Run) -> None:
    said = command("report", "tiny@1", "-o", "tiny.html")
    assert said.code == 0, said.err
    text = (done.settings.project / "tiny.html").read_text("utf-8")
    told = done.catalog.resolve("tiny", "1").metrics["adapter"]
    assert f'<p class="figure">{told["f1"]:.3f}</p>' in text
    assert (
        f'{told["recall"]:.3f} <span class="dim">{told["recall_low"]:.3f} to {told["recall_high"]:.3f}</span>' in text
    )
    for chart in ("subjects", "loss", "learning-rate", "throughput", "token-lengths"):
        assert f'id="chart-{chart}"' in text, "each is made of what a real run has left"
    assert 'class="missing"' not in text, "nothing of a fresh run is gone"
    assert "data/ads/2026-01.jsonl" in text and str(done.settings.project) not in text, "no path of this machine"


def test_lineage_leads_back_to_the_bytes_of_the_ads(command: Command, done: Run) -> None:
    traced = json.loads(command("lineage", "tiny@1", "--json").out)
    assert (traced["version"], traced["run"], traced["trigger"]) == ("tiny@1", "r1", "cli")
    assert traced["overrides"] == ["train.seed: 42 -> 7"]
    (finetune,) = traced["made_of"]["inputs"]
    formats = {node["artifact"]: node for node in finetune["inputs"] if node["artifact"].startswith("format")}
    assert set(formats) == {"format[2026-01]", "format[2026-02]"}
    for key in ("2026-01", "2026-02"):
        path = done.settings.project / "data" / "ads" / f"{key}.jsonl"
        (file,) = formats[f"format[{key}]"]["files"]
        assert (file["where"], file["sha256"]) == (str(path), sha256_of(path)[0])


def test_lineage_for_people(command: Command, project: Path) -> None:
    said = command("lineage", "tiny").out if "champion" in command("versions").out else command("lineage", "tiny@1").out
    assert said.startswith("tiny@1  experiment tiny, run r1 (cli), spec not in git, overridden: train.seed: 42 -> 7\n")
    assert "format[2026-01]" in said
    assert str(project / "data" / "ads" / "2026-01.jsonl") in said


def test_a_narrow_window_cuts_nothing_off(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert str(project / "data" / "ads" / "2026-01.jsonl") in command("lineage", "tiny@1").out
    assert "4-shot base on 2026-03" in command("show", "tiny@1").out


def test_in_a_narrow_terminal_cells_fold(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.out, "_force_terminal", True)
    monkeypatch.setattr(console.out, "_width", 60)
    shown = re.sub(r"\x1b\[[0-9;]*m", "", command("show", "tiny@1").out)
    scores = shown[shown.index("scored") : shown.index("F1 against")].splitlines()
    assert max(map(len, scores)) <= 60
    assert re.search(r"4-shot\s+base on\s+2026-03", "\n".join(line[:9] for line in scores))


def test_an_artifact_that_the_store_has_lost_is_said(command: Command, done: Run) -> None:
    profile = done.store.get("profile", done.plan.of("profile")[0].digest)
    assert profile is not None
    aside = profile.path.with_name("aside")
    profile.path.rename(aside)
    try:
        assert "is no longer in the store" in command("lineage", "tiny@1").out
    finally:
        aside.rename(profile.path)


@pytest.mark.parametrize("name", ["show", "lineage"])
def test_a_version_that_does_not_exist(command: Command, name: str) -> None:
    said = command(name, "tiny@9")
    assert said.code == 1
    assert "error: tiny@9 does not exist: tiny has the versions 1" in said.err
    assert "Traceback" not in said.err


def test_diff_finds_what_a_run_left_behind(command: Command, done: Run) -> None:
    """The spec that made the version, as a file: nothing departs, until the base's folder holds something else."""
    project = done.settings.project
    spec, extra = project / "experiments" / "tiny.yaml", project / "base" / "notes.txt"
    spec.write_text(json.dumps(resolved(done.experiment)))
    try:
        said = command("diff", "tiny@1")
        assert said.out.splitlines() == ["tiny@1 -> experiments/tiny.yaml", "the same in meaning"]
        extra.write_text("other weights")
        rows = [" ".join(line.split()) for line in command("diff", "tiny@1").out.splitlines()]
    finally:
        spec.unlink()
        extra.unlink(missing_ok=True)
    assert "finetune runs again the files of base.model" in rows
    assert "evaluate[base] runs again the files of base.model" in rows
    assert "format kept" in rows
