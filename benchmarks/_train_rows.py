"""The paragraphs that `train_cpu` trains, validates and tests on: the same for all sides."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from benchmarks.format_memory import DATA

FILES = {"train": "train", "validation": "dev", "test": "test"}
_SEED = 7


def paragraphs(sizes: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """Split -> at most so many labelled paragraphs of SkillSpan, drawn by a seed; no text twice."""
    from skillsengine.stages.rows import normalized_key

    found, taken = {}, set()
    for split in ("test", "validation", "train"):
        lines = (DATA / "skillspan" / "paragraph" / f"{FILES[split]}.jsonl").read_text(encoding="utf-8")
        rows = [json.loads(line) for line in lines.rstrip("\n").split("\n")]
        Random(_SEED).shuffle(rows)
        fresh = []
        for row in rows:
            key = normalized_key(row["job_description"])
            if key not in taken and len(fresh) < sizes[split]:
                taken.add(key)
                fresh.append({name: row[name] for name in ("id", "job_description", "skills")})
        found[split] = fresh
    return found
