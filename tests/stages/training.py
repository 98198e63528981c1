"""A small real training: rows, a tiny base, and `finetune` on them. As a program it kills itself in mid-training:

python -m tests.stages.training FOLDER SECTIONS STEP
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from skillsengine.pipeline.graph import FINETUNE
from skillsengine.stages import finetune
from skillsengine.stages.contract import Limit, Progress, Summary, never
from skillsengine.stages.row_writer import write_rows
from skillsengine.stages.rows import Row, normalized_key
from skillsengine.storage.artifact import Artifact
from tests.stages.support import Surroundings, as_artifact, config_for, experiment
from tests.tiny import make_tiny_base

TEMPLATE = "### Job Description: {text}\n### Skills:"
# accelerate collects all garbage before each training; the libraries' own objects need not be looked at each time.
gc.freeze()

SKILLS = ("wound care", "SQL", "TIG welding", "Spanish", "first aid", "Docker", "SAP", "VAT law")
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def rows(count: int, start: int = 0) -> list[Row]:
    """Short ads of different lengths, two skills each; none twice."""
    made = []
    for number in range(start, start + count):
        skills = (SKILLS[number % 8], SKILLS[(number * 3 + 1) % 8])
        text = f"Ad {number}: {'we ask for ' * (number % 4 + 1)}{skills[0]} and {skills[1]}."
        split = "validation" if number % 5 == 4 else "train"
        made.append(Row(f"r{number}", text, skills, normalized_key(text), split))
    return made


@dataclass
class Training:
    """Everything around `finetune` in one folder: 16 rows to train on, 4 to validate, batches of 4, 12 steps."""

    folder: Path
    sections: dict[str, dict[str, Any]] = field(default_factory=dict)
    tied: bool = False
    max_length: int = 256
    inputs: dict[str, Artifact] = field(default_factory=dict)
    reports: list[Progress] = field(default_factory=list)
    tables: dict[str, list[list[Any]]] = field(default_factory=dict)
    """The newest of each name."""

    def __post_init__(self) -> None:
        if not (self.folder / "base").exists():
            make_tiny_base(self.folder / "base", tied=self.tied)
        if not self.inputs:
            self.give_rows("2026-01", rows(10))
            self.give_rows("2026-02", rows(10, start=10))

    def give_rows(self, key: str, given: list[Row]) -> None:
        folder = self.folder / f"rows-{key}"
        folder.mkdir(exist_ok=True)
        write_rows(folder, given)
        made = as_artifact(folder, "format", {"rows": len(given), "splits": ["train", "validation", "test"]})
        self.inputs[f"format[{key}]"] = replace(made, manifest=replace(made.manifest, key=key))

    def run(
        self,
        name: str = "out",
        *,
        limit: Limit | None = None,
        report: Callable[[Progress], None] | None = None,
        guard: Callable[[], None] = lambda: None,
        checkpoints: str = "checkpoints",
        stopping: Callable[[], bool] = never,
    ) -> Summary:
        """Train into the new folder `name`; reports are kept, and given to `report`."""
        out, profile = self.folder / name, self.folder / "profile"
        out.mkdir()
        profile.mkdir(exist_ok=True)
        self.inputs["profile"] = as_artifact(profile, "profile", {"max_length": self.max_length})
        around = Surroundings(self.folder)

        def tell(progress: Progress) -> None:
            self.reports.append(progress)
            if report:
                report(progress)

        context = replace(
            around.context, report=tell, guard=guard, checkpoints=self.folder / checkpoints, stopping=stopping
        )
        summary = finetune.run(config_for(FINETUNE, self.spec, limit=limit), self.inputs, out, context)
        self.tables |= around.tracker.tables
        assert around.tracker.images == {"loss": out / "loss.png"}
        return summary

    @property
    def spec(self) -> Any:
        sections = {name: dict(section) for name, section in self.sections.items()}
        train = {"epochs": 3, "learning_rate": 1e-2, "logging_steps": 3, "checkpoint_steps": 5, "sample_predictions": 0}
        lora = {"r": 4, "alpha": 8, "target_modules": TARGETS}
        return experiment(
            **{
                **sections,
                "base": {"model": "base", **sections.get("base", {})},
                "train": {**train, **sections.get("train", {})},
                "lora": {**lora, **sections.get("lora", {})},
                "resources": {"device": "cpu", **sections.get("resources", {})},
            }
        )

    def adapter(self, name: str = "out") -> dict[str, torch.Tensor]:
        return dict(load_file(self.folder / name / "adapter" / "adapter_model.safetensors"))

    def metrics(self, name: str = "out") -> list[dict[str, float]]:
        return [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]


class Stopped(Exception):
    """Stands for whatever ends an attempt inside the process."""


def stop_at(step: int, kind: str = "tokens/s") -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.step == step and kind in progress.text:
            raise Stopped

    return report


def _die(folder: Path, sections: dict[str, Any], step: int) -> None:
    def report(progress: Progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGKILL)

    Training(folder, sections).run("killed", report=report)


if __name__ == "__main__":
    _die(Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]))
