"""A small project on disk: an experiment, dated ads, a tiny base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skillsengine.settings import Settings, load_settings
from skillsengine.spec.schema import Experiment
from tests.tiny import make_tiny_base

TRADES = ("welding", "baking", "tiling", "sewing", "coding", "driving", "plumbing", "drawing", "singing", "mowing")
TOOLS = ("saw", "oven", "loom", "crane", "lathe", "press", "drill", "kiln", "wrench", "brush", "plane", "torch")


def write_month(path: Path, key: str, count: int = 8, salt: int = 0) -> None:
    """`count` ads whose skills stand in the text; no two are alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    month = int(key[-2:]) + salt
    lines = []
    for i in range(count):
        trade, tool = TRADES[(i + month) % len(TRADES)], TOOLS[(i * 5 + month) % len(TOOLS)]
        text = f"Shop {month}-{i} wants {trade} by the {tool} in town {i * month}."
        lines.append(json.dumps({"id": f"{key}-{i}", "job_description": text, "skills": [trade, tool]}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_copies(path: Path, name: str, last: str) -> None:
    """8 ads that share nothing with each other. Two such months are near copies, ad by ad: `last` is the last word."""
    ads = [
        {
            "id": f"{name}{n}",
            "job_description": " ".join(f"word{n * 100 + w}" for w in range(80)) + f" mowing {last}",
            "skills": ["mowing"],
        }
        for n in range(8)
    ]
    path.write_text("".join(json.dumps(ad) + "\n" for ad in ads), encoding="utf-8")


def make_project(
    folder: Path, months: tuple[str, ...] = ("2026-01", "2026-02", "2026-03"), *, base: bool = True
) -> Settings:
    """A project with a month of ads a file under `data/ads/` and, with `base`, a tiny Llama in `base/`."""
    (folder / "experiments").mkdir(parents=True)
    for key in months:
        write_month(folder / "data" / "ads" / f"{key}.jsonl", key)
    if base:
        make_tiny_base(folder / "base")
    return load_settings(folder)


def tiny_experiment(name: str = "tiny", **sections: Any) -> Experiment:
    """An experiment that trains in a second; `sections` replace or add to the spec's."""
    spec: dict[str, Any] = {
        "name": name,
        "schedule": "none",
        "data": {"source": "data/ads/{partition}.jsonl", "window": 2},
        "base": {"model": "base"},
        "lora": {"r": 4, "alpha": 8},
        "train": {
            "epochs": 1,
            "per_device_batch_size": 4,
            "learning_rate": 0.01,
            "logging_steps": 1,
            "checkpoint_steps": 2,
        },
        "evaluate": {"max_new_tokens": 8},
        "gate": {"min_gold_skills": 1},
        "tracking": {"mode": "disabled"},
        "resources": {"device": "cpu"},
    }
    return Experiment.model_validate(spec | sections)
