"""`skillsengine plan`: of one spec and of all, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from skillsengine.settings import load_settings
from skillsengine.spec.load import resolved
from tests.cli.conftest import Command
from tests.pipeline.past import plan_of, remember
from tests.pipeline.project import make_project, tiny_experiment, write_month

PLAN = ("plan", "experiments/tiny.yaml")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a spec `tiny` and no base: nothing is trained here."""
    folder = tmp_path / "project"
    make_project(folder, base=False)
    write(folder, "tiny")
    return folder


def write(folder: Path, name: str, **sections: object) -> None:
    spec = resolved(tiny_experiment(name, **sections))
    (folder / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(spec))


def rows(text: str) -> dict[str, str]:
    """First word of each line -> the rest, with single spaces."""
    return {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines() if line.strip()}


def test_one_spec_for_people(command: Command, project: Path) -> None:
    settings = load_settings(project)
    remember(plan_of(tiny_experiment(), settings), settings)
    said = command(*PLAN, "--set", "train.epochs=2", "--set", "tokens.max_length=64")
    assert said.code == 0
    told = rows(said.out)
    assert told["format[2026-03]"].endswith("cached")
    assert told["finetune"].endswith("to run train.epochs: 1.0 -> 2.0; profile changed")
    assert (
        told["rows"] == "about 90 to train on, about 10 to validate (the format artifacts; copies of an ad count once)"
    )
    assert told["steps"] == "about 46 optimizer steps (2 epochs, 4 rows a step)"
    assert told["tokens"] == "about 9,000 to train on in all epochs (50 a text in the run of 2026-03)"
    assert told["memory"] == "2.5 GB measured in the run of 2026-03"
    assert told["time"].startswith("about ") and "(90 tokens/s in the run of 2026-03)" in told["time"]
    assert told["tasks"] == "queue gpu, pool default_pool"
    assert "tiny: by hand" in said.out and "tiny.evaluations: by hand" in said.out
    assert not [
        line for line in said.out.splitlines() if line.startswith(("rows", "time", "DAG")) and line != line.rstrip()
    ]


def test_memory_before_the_longest_text_is_known(command: Command) -> None:
    llama = ("--set", "base.model=meta-llama/Llama-2-7b-hf", "--set", "resources.device=cuda", "--set", "lora.r=16")
    told = rows(command(*PLAN, *llama).out)
    assert told["adapter"] == "39,976,960 parameters to train beside 6.7 billion frozen ones"
    assert told["memory"].startswith(
        "about 14.1 GB on the GPU (base 12.6 GB, adapter and optimizer 0.6 GB, 1.0 GB for CUDA itself), and "
    )
    assert told["memory"].endswith("more for each 1,000 tokens of a batch: the longest text is not known yet")


def test_memory_with_each_quantization_and_the_gpu_that_it_fits_in(command: Command) -> None:
    llama = ("--set", "base.model=meta-llama/Llama-2-13b-hf", "--set", "resources.device=cuda", "--set", "lora.r=32")
    long = ("--set", "tokens.max_length=1024", "--set", "base.quantization=nf4")
    said = command(*PLAN, *llama, *long).out
    told = rows(said)["memory"]
    assert "on the GPU, fits in 16: base 6.7 GB, adapter and optimizer 1.9 GB, activations " in told
    assert told.endswith("(4 texts of 1,024 tokens), 1.0 GB for CUDA itself")
    assert " ".join(said.split()).count("int8: 17.9 GB, fits in 24; bf16: 29.8 GB, fits in 40") == 1
    found = json.loads(command(*PLAN, *llama, *long, "--json").out)["estimate"]["memory_by_quantization"]
    assert {name: one["card_gb"] for name, one in found.items()} == {"nf4": 16, "int8": 24, "none": 40}
    kept = command(*PLAN, *llama, *long, "--set", "train.gradient_checkpointing=false").out
    assert "fits in 40" in rows(kept)["memory"], "activations of all layers at once"


def test_memory_on_a_cpu_names_what_its_heap_wastes(command: Command, project: Path) -> None:
    told = rows(command(*PLAN, "--set", "base.model=smollm2-135m-instruct", "--set", "tokens.max_length=256").out)
    assert told["memory"].startswith("about ") and "fits" not in told["memory"]
    assert told["memory"].endswith(" that the allocator cannot use") and "GB for Python itself" in told["memory"]


def test_what_would_measure_the_time_is_told(command: Command) -> None:
    told = rows(command(*PLAN).out)
    assert told["time"] == (
        "unknown for format[2026-01], format[2026-02], format[2026-03] and 6 more: `skillsengine run SPEC --until profile` "
        "measures the texts and `skillsengine run SPEC --limit 8` measures the speed"
    )


def test_one_spec_for_programs(command: Command) -> None:
    said = command(*PLAN, "--json")
    found = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert (found["spec"], found["error"], found["experiment"], found["to_run"]) == (
        "experiments/tiny.yaml",
        None,
        "tiny",
        9,
    )


def test_all_specs_and_the_broken_ones_beside(command: Command, project: Path) -> None:
    settings = load_settings(project)
    remember(plan_of(tiny_experiment(), settings), settings)
    write(project, "second", lora={"r": 99, "alpha": 8})
    write(project, "nowhere", data={"source": "data/nowhere"})
    (project / "experiments" / "bad.yaml").write_text("name: bad\nschedule: none\ndata: {source: x}\nowner: 3\n")
    said = command("plan", "--all")
    assert said.code == 1
    assert rows(said.out) == {
        "experiment": "partition to run why",
        "tiny": "2026-03 nothing",
        "second": "2026-03 4 of 9 never run",
    }
    assert "experiments/bad.yaml:4:8: owner: expected text" in said.err
    assert "experiments/nowhere.yaml: no data at" in said.err
    assert said.err.rstrip().endswith("2 of 4 specs cannot be planned")

    both = command("plan", "--all", "--json")
    found = json.loads(both.out)
    assert both.code == 1
    assert [entry["spec"] for entry in found] == [
        f"experiments/{name}.yaml" for name in ("bad", "nowhere", "second", "tiny")
    ]
    assert [entry["error"] is None for entry in found] == [False, False, True, True]
    assert set(found[0]) == {"spec", "error"}


def test_all_specs_tell_the_causes_and_not_what_follows(command: Command, project: Path) -> None:
    settings = load_settings(project)
    remember(plan_of(tiny_experiment(), settings), settings)
    write(project, "tiny", lora={"r": 8, "alpha": 8}, evaluate={"max_new_tokens": 9, "max_rows": 3})
    write_month(project / "data" / "ads" / "2026-02.jsonl", "2026-02", salt=1)
    said = command("plan", "--all")
    assert said.code == 0
    assert rows(said.out)["tiny"] == (
        "2026-03 7 of 9 data changed in 2026-02: 2026-02.jsonl (1.0 kB); lora.r: 4 -> 8 and 2 more"
    )


def test_all_is_every_spec_as_it_stands(command: Command, project: Path) -> None:
    for words in (("plan", "--all", "experiments/tiny.yaml"), ("plan", "--all", "--set", "train.epochs=2")):
        said = command(*words)
        assert (said.code, said.out) == (1, "")
        assert "--all plans every spec as it stands: leave SPEC, --partition and --set out." in said.err
    assert "say which SPEC (a YAML file of experiments/), or --all." in command("plan").err
    (project / "experiments" / "tiny.yaml").unlink()
    assert "no specs in" in command("plan", "--all").out


def test_a_broker_that_hands_a_long_task_out_twice(
    command: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "redis://localhost/0")
    write(project, "second", lora={"r": 99, "alpha": 8})
    said = command(*PLAN)
    assert "warning: resources.timeout: a task may run for 2d, and after 1d" in said.out
    all_of_them = command("plan", "--all").out
    assert "warning: second, tiny: resources.timeout" in all_of_them
    assert all_of_them.count("warning:") == 1
