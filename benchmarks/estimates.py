"""What `plan` says a training will take, beside what it took: peak memory on this machine's CPU.

    python -m benchmarks.estimates                        # all shapes, about 15 minutes on two cores
    python -m benchmarks.estimates --only r32-b4-256      # some of them; the others' rows stay as they were

Each shape is a training of two optimizer steps through the stages, in a process of its own: SmolLM2 with texts that
fill `tokens.max_length`, made of real paragraphs and their skills (../shared/data). The estimate is arithmetic, made
before (`pipeline.estimate`); measured is `peak_memory_gb`, the process' own. On a GPU nothing was measured: there is none here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._record import read_rows, record
from benchmarks.format_memory import DATA

ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SHAPES: dict[str, dict[str, Any]] = {
    "r8-b1-256": {"r": 8, "batch": 1, "length": 256},
    "r32-b4-256": {"r": 32, "batch": 4, "length": 256},
    "r32-b4-256-lm_head": {"r": 32, "batch": 4, "length": 256, "targets": (*ALL, "lm_head")},
    "r32-b4-256-recomputed": {"r": 32, "batch": 4, "length": 256, "gradient_checkpointing": True},
    "r32-b2-1024": {"r": 32, "batch": 2, "length": 1024},
    "r128-b4-256": {"r": 128, "batch": 4, "length": 256},
    "r32-b4-256-nf4": {"r": 32, "batch": 4, "length": 256, "quantization": "nf4"},
    "r32-b4-256-int8": {"r": 32, "batch": 4, "length": 256, "quantization": "int8"},
}
BASE = "smollm2-135m-instruct"


def spec_of(shape: dict[str, Any]) -> dict[str, Any]:
    """The spec of a shape's training, as plain data."""
    return {
        "name": "estimates",
        "schedule": "none",
        "data": {"source": "data"},
        "base": {"model": BASE, "quantization": shape.get("quantization", "none")},
        "lora": {"r": shape["r"], "alpha": 2 * shape["r"], "target_modules": list(shape.get("targets", ALL))},
        "tokens": {"max_length": shape["length"], "overlong": "cut"},
        "train": {
            "epochs": 1,
            "per_device_batch_size": shape["batch"],
            "gradient_checkpointing": shape.get("gradient_checkpointing", "auto"),
            "sample_predictions": 0,
        },
        "tracking": {"mode": "disabled"},
        "resources": {"device": "cpu"},
    }


def ads(count: int, words: int) -> Iterator[dict[str, Any]]:
    """`count` ads of at least so many words: paragraphs that follow each other, with all their skills."""
    lines = (DATA / "skillspan" / "paragraph" / "train.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    paragraphs = iter([json.loads(line) for line in lines])
    for number in range(count):
        text: list[str] = []
        skills: dict[str, None] = {}
        while len(" ".join(text).split()) < words:
            paragraph = next(paragraphs)
            text.append(paragraph["job_description"])
            skills |= dict.fromkeys(paragraph["skills"])
        yield {"id": f"ad-{number}", "job_description": " ".join(text), "skills": list(skills)}


def write_project(folder: Path, shape: dict[str, Any]) -> None:
    """Two steps' rows to train on, one to validate, one as the test."""
    (folder / "experiments").mkdir(parents=True)
    (folder / "data").mkdir()
    made = list(ads(2 * shape["batch"] + 2, shape["length"]))
    for name, rows in (("train", made[:-2]), ("validation", made[-2:-1]), ("test", made[-1:])):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "data" / f"{name}.jsonl").write_text(text, encoding="utf-8")


def run_one(project: Path, name: str) -> dict[str, Any]:
    """The training of one shape, in this process, and what was said of it before."""
    from skillsengine.pipeline.estimate import training_memory
    from skillsengine.pipeline.run import open_run, run_stage
    from skillsengine.pipeline.shapes import shape_of
    from skillsengine.settings import load_settings
    from skillsengine.spec.schema import Experiment

    experiment, settings = Experiment.model_validate(spec_of(SHAPES[name])), load_settings(project)
    shape = shape_of(experiment, settings)
    memory = training_memory(shape, experiment, SHAPES[name]["length"]) if shape else None
    if memory is None or memory.total is None:
        raise SystemExit(f"{name}: the base's shape is not known, so there is no estimate.")
    run = open_run(experiment, dag_id="benchmark", run_id="1", settings=settings)
    for stage in ("format", "profile"):
        run_stage(run, stage)
    [step] = run_stage(run, "finetune")["steps"]
    found = step["summary"]
    parts = {part: round(getattr(memory, part) / 2**30, 2) for part in ("base", "adapter", "activations", "framework")}
    estimated = round(memory.total / 2**30, 2)
    return {
        "estimated_gb": estimated,
        "measured_gb": found["peak_memory_gb"],
        "estimated_to_measured": round(estimated / found["peak_memory_gb"], 3),
        "parts_gb": parts,
        "steps": found["steps"],
        "tokens": found["tokens"],
        "tokens_per_second": found["tokens_per_second"],
    }


def measure(name: str, work: Path, bases: Path) -> dict[str, Any]:
    """One shape, in a fresh process; everything written is removed again."""
    project = work / name
    write_project(project, SHAPES[name])
    store = project / ".skillsengine" / "store"
    store.mkdir(parents=True)
    (store / "bases").symlink_to(bases.resolve(), target_is_directory=True)
    try:
        command = [sys.executable, "-m", "benchmarks.estimates", "--shape", name, "--project", str(project)]
        told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        return {"shape": name} | json.loads(told.splitlines()[-1])
    finally:
        shutil.rmtree(project)


def main() -> None:
    from benchmarks.format_memory import prepare_base

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SHAPES, nargs="+", default=tuple(SHAPES), help="shapes to measure")
    parser.add_argument(
        "--bases", type=Path, help="`bases` of a store that has the built-in base (else it is converted)"
    )
    parser.add_argument("--shape", choices=SHAPES, help=argparse.SUPPRESS)
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.shape:
        print(json.dumps(run_one(given.project, given.shape)))
        return
    rows = {row["shape"]: row for row in read_rows("estimates")}
    work = Path(tempfile.mkdtemp(prefix="estimates-"))
    try:
        bases = given.bases or prepare_base(work)
        for name in given.only:
            rows[name] = measure(name, work, bases)
            print(json.dumps(rows[name]), flush=True)
            done = [rows[key] for key in SHAPES if key in rows]
            record("estimates", done, {row["shape"]: row["estimated_to_measured"] for row in done})
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
