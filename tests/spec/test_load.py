"""From a file to an Experiment, and a folder of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded, check_specs, find_specs, load_spec, resolved
from skillsengine.spec.schema import Experiment
from tests.spec.support import GOOD, Folder


def named(name: str) -> str:
    return GOOD.replace("job", name)


def test_the_shortest_spec(specs: Folder) -> None:
    loaded = specs.load(GOOD)
    assert loaded.experiment == Experiment.model_validate({"name": "job", "data": {"source": "data/ads.jsonl"}})
    assert loaded.text == GOOD
    assert list(loaded.files) == [specs.experiments / "job.yaml"]
    assert not loaded.trusted


def test_the_resolved_spec_holds_everything_and_reads_back(specs: Folder) -> None:
    experiment = specs.load(
        GOOD + "start_date: 2026-01-01\nresources: {stages: {finetune: {timeout: 90m}}}\n"
    ).experiment
    data = resolved(experiment)
    assert data["train"]["learning_rate"] == 2e-4
    assert data["start_date"] == "2026-01-01"
    assert data["resources"]["stages"]["finetune"]["timeout"] == "90m"
    assert Experiment.model_validate(data) == experiment


def test_places_of_values(specs: Folder) -> None:
    specs.write("lora:\n  r: 8\n", "_base/small.yaml")
    sources = specs.load("extends: _base/small.yaml\n" + GOOD, "train.epochs=1").sources
    assert str(sources.place("data.source")) == "experiments/job.yaml:3:16"
    assert str(sources.place("lora.r")) == "experiments/_base/small.yaml:2:6"
    assert str(sources.place("train.epochs")) == "--set train.epochs=1"
    assert sources.place("lora.alpha") is None
    assert list(sources.written()) == ["lora.r", "name", "data.source", "train.epochs"]


def test_a_problem_found_later_is_told_like_the_others(specs: Folder) -> None:
    sources = specs.load(GOOD).sources
    assert str(sources.problem("data.source", "no such file", "look again")) == (
        "experiments/job.yaml:2:16: data.source: no such file\n"
        "   2 | data: {source: data/ads.jsonl}\n"
        "     |                ^^^^^^^^^^^^^^\n"
        "   look again"
    )
    assert str(sources.problem("data.labels", "not there")).startswith(
        "experiments/job.yaml:2:1: data.labels: not there"
    )
    assert str(sources.problem("base.model", "not there")) == "experiments/job.yaml:1:1: base.model: not there"


def test_specs_are_found_and_bases_are_not(specs: Folder) -> None:
    for name in ("b.yaml", "a.yaml", "team/c.yaml", "_base/x.yaml", "_y.yaml", ".z.yaml", "team/.git/h.yaml", "n.txt"):
        specs.write(GOOD, name)
    found = [path.relative_to(specs.experiments).as_posix() for path in find_specs(specs.experiments)]
    assert found == ["a.yaml", "b.yaml", "team/c.yaml"]


def test_a_folder_is_checked_as_a_whole(specs: Folder) -> None:
    specs.write(named("good"), "good.yaml")
    specs.write(named("bad") + "epoch: 3\n", "bad.yaml")
    specs.write(named("old"), "old.yml")
    specs.write("lora: {r: 0}\n", "_base/wrong-but-unused.yaml")
    results = {path.name: result for path, result in check_specs(specs.experiments).items()}
    assert sorted(results) == ["bad.yaml", "good.yaml", "old.yml"]
    assert isinstance(results["good.yaml"], Loaded)
    assert "bad.yaml:3:1: epoch: unknown key" in str(results["bad.yaml"])
    assert "old.yml:1:1: a spec's file ends in .yaml\n   rename it to old.yaml" in str(results["old.yml"])


def test_equal_names_are_an_error_of_both_also_by_case(specs: Folder) -> None:
    specs.write(named("twin"), "a/twin.yaml")
    specs.write(named("twin"), "b/twin.yaml")
    specs.write(named("Twin"), "c/Twin.yaml")
    results = {path.parent.name: str(result) for path, result in check_specs(specs.experiments).items()}
    assert results["a"] == (
        "experiments/a/twin.yaml:1:7: name: experiments/b/twin.yaml, experiments/c/Twin.yaml has the same name\n"
        "   1 | name: twin\n"
        "     |       ^^^^\n"
        "   an experiment is named as its file: rename one of them"
    )
    assert "experiments/a/twin.yaml, experiments/c/Twin.yaml has the same name" in results["b"]
    assert "has the same name" in results["c"]
    assert "expected text like ^[a-z0-9]" in results["c"]


def test_a_spec_outside_of_experiments(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(GOOD + "extends: base.yaml\n")
    (tmp_path / "base.yaml").write_text("lora: {r: 8}\n")
    assert load_spec(path).experiment.lora.r == 8


def test_a_relative_path(specs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    specs.write(GOOD + "epoch: 1\n")
    monkeypatch.chdir(specs.experiments)
    specs.write("", "_base/x.yaml")
    for path in ("job.yaml", "_base/../job.yaml", "../experiments/job.yaml"):
        with pytest.raises(SpecError, match=r"^experiments/job\.yaml:3:1: epoch"):
            load_spec(Path(path))


def test_a_linked_experiments_folder(specs: Folder, tmp_path: Path) -> None:
    specs.write("lora: {r: 8}\n", "_base/small.yaml")
    specs.write("extends: _base/small.yaml\n" + GOOD)
    link = tmp_path / "live" / "experiments"
    link.parent.mkdir()
    link.symlink_to(specs.experiments, target_is_directory=True)
    assert load_spec(link / "job.yaml").experiment.lora.r == 8
    specs.write(GOOD + "epoch: 1\n")
    for path, experiments in ((link / "job.yaml", specs.experiments), (specs.experiments / "job.yaml", link)):
        with pytest.raises(SpecError, match=r"^experiments/job\.yaml:3:1: epoch"):
            load_spec(path, experiments=experiments)


def test_two_hundred_specs_are_quick(specs: Folder) -> None:
    specs.write(
        "base: {quantization: nf4}\nlora: {r: 32, alpha: 64, target_modules: [q_proj, lm_head]}\n", "_base/b.yaml"
    )
    for index in range(200):
        body = "train: {epochs: 3, learning_rate: 2e-4}\nschedule: none\ntokens:\n  max_length: auto\n"
        specs.write("extends: _base/b.yaml\n" + named(f"job-{index}") + body, f"job-{index}.yaml")
    start = time.process_time()
    results = check_specs(specs.experiments)
    assert all(isinstance(result, Loaded) for result in results.values())
    assert len(results) == 200
    assert time.process_time() - start < 3
