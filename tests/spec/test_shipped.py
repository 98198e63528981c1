"""The specs that come with the project, and the texts in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from skillsengine.spec.load import Loaded, check_specs, find_specs, load_spec
from skillsengine.spec.schema import Experiment

SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def _load(project: Path, name: str) -> Experiment:
    return load_spec(project / "experiments" / f"{name}.yaml").experiment


def test_all_load_with_no_data_there(project: Path, tmp_path: Path) -> None:
    for path in sorted((project / "experiments").rglob("*.yaml")):
        copy = tmp_path / "experiments" / path.relative_to(project / "experiments")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    results = check_specs(tmp_path / "experiments")
    assert {path.stem for path in results} >= {"job-skills-demo", "job-skills-llama2-13b", "skillspan"}
    assert [str(result) for result in results.values() if not isinstance(result, Loaded)] == []


def test_the_notebook_to_the_letter(project: Path) -> None:
    spec = _load(project, "job-skills-llama2-13b")
    assert (spec.base.model, spec.base.quantization) == ("meta-llama/Llama-2-13b-hf", "int8")
    assert (spec.lora.r, spec.lora.alpha, spec.lora.dropout) == (32, 64, 0.0)
    assert spec.lora.target_modules == (*SEVEN, "lm_head")
    train = spec.train
    assert (train.epochs, train.per_device_batch_size, train.gradient_accumulation_steps) == (3, 4, 1)
    assert (train.learning_rate, train.lr_scheduler, train.logging_steps) == (5e-5, "linear", 10)
    assert spec.evaluate.batch_size == 4
    assert (spec.tokens.max_length, spec.tokens.length_percentile) == ("auto", 100)
    assert spec.tracking.project == "llama-job-skills"
    assert (spec.data.source, spec.paused, spec.effective_schedule) == ("data/demo/*.jsonl", True, "none")
    assert (spec.resources.device, spec.resources.queue) == ("cuda", "gpu")


def test_the_base_of_llama_experiments(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "experiments"
    (folder / "_base").mkdir(parents=True)
    (folder / "_base" / "llama2.yaml").write_bytes((project / "experiments/_base/llama2.yaml").read_bytes())
    (folder / "mine.yaml").write_text("extends: _base/llama2.yaml\nname: mine\ndata: {source: ads}\n")
    spec = load_spec(folder / "mine.yaml").experiment
    assert (spec.base.model, spec.base.quantization) == ("meta-llama/Llama-2-13b-hf", "nf4")
    assert spec.lora.target_modules == (*SEVEN, "lm_head")


def test_the_demo_needs_no_gpu_and_no_download(project: Path) -> None:
    spec = _load(project, "job-skills-demo")
    assert spec.data.dated
    assert (spec.data.window, str(spec.start_date), spec.effective_schedule, spec.paused) == (
        5,
        "2026-01-01",
        "none",
        False,
    )
    assert (spec.base.model, spec.base.quantization, spec.resources.device) == ("smollm2-135m-instruct", "none", "cpu")
    assert spec.lora.target_modules == SEVEN
    months = [spec.data.source.replace("{partition}", f"2026-{month:02}") for month in range(1, 7)]
    assert all((project / month).is_file() for month in months)


def test_skillspan_waits_for_its_data(project: Path) -> None:
    spec = _load(project, "skillspan")
    assert (spec.data.source, spec.paused, spec.effective_schedule) == ("data/skillspan", True, "none")
    assert len(spec.evaluate.shots) == 4


def _shots(project: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """(spec, text, skills) of every shot of every shipped spec."""
    paths = find_specs(project / "experiments")
    return [(p.stem, shot.text, shot.skills) for p in paths for shot in load_spec(p).experiment.evaluate.shots]


def test_shots_are_labelled_as_the_data_is(project: Path) -> None:
    shots = _shots(project)
    for name, text, skills in shots:
        places = [text.find(skill) for skill in skills]
        assert -1 not in places, (name, skills[places.index(-1)])
        assert places == sorted(places), (name, text)
        assert len(set(skills)) == len(skills)
    assert any(not skills for name, _, skills in shots if name == "skillspan")


def _grams(text: str, size: int = 6) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


@pytest.mark.shared
def test_no_shot_is_copied_from_the_data(project: Path, shared_data: Path) -> None:
    mine = {gram for _, text, _ in _shots(project) for gram in _grams(text)}
    rows = [line for file in sorted((shared_data / "skillspan/paragraph").glob("*.jsonl")) for line in file.open()]
    assert len(rows) > 1000
    assert not mine & {gram for row in rows for gram in _grams(json.loads(row)["job_description"])}
