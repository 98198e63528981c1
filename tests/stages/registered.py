"""A registered version around the tiny base of `tests.stages.finetuned`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from skillsengine.pipeline.graph import REGISTER
from skillsengine.stages import register
from skillsengine.stages.contract import StageConfig
from skillsengine.storage.artifact import Artifact, Manifest
from tests.stages.finetuned import BASE, make_finetuned
from tests.stages.support import Surroundings, as_artifact, config_for, experiment

SCORES = {
    "adapter": {"precision": 0.61234, "recall": 0.5, "f1": 0.55, "verbatim_rate": 0.98, "parse_rate": 1.0},
    "base": {"precision": 0.2, "recall": 0.25, "f1": 0.22222, "verbatim_rate": 0.7, "parse_rate": 0.875},
    "lexicon": {"precision": 0.4, "recall": 0.1, "f1": 0.16, "verbatim_rate": 1.0, "parse_rate": 1.0},
}


def artifact(stage: str, key: str | None, summary: Mapping[str, Any], digest: str) -> Artifact:
    """An artifact of which only the summary matters."""
    return Artifact(Path("nowhere"), Manifest(stage, 1, key, digest, {}, {}, summary))


def profiled(folder: Path, longest: int, median: int) -> Artifact:
    """A `profile` of texts of such lengths, written to the folder."""
    folder.mkdir(exist_ok=True)
    (folder / "lengths.json").write_text(json.dumps({"train": {"percentiles": {"50": median}}}), "utf-8")
    made = as_artifact(folder, "profile", {"max_length": longest, "rows_cut": 3})
    return replace(made, manifest=replace(made.manifest, digest="cc33"))


def inputs_of(finetuned: Artifact) -> dict[str, Artifact]:
    """What the pipeline hands to `register`."""
    counts = {"partition": "2026-06", "rows": 24, "excluded_trained_on": 1, "gold_skills": 101}
    cells = {
        f"evaluate[{subject}]": artifact("evaluate", subject, scores | counts, f"cell-{subject}")
        for subject, scores in SCORES.items()
    }
    read = {"format[2026-04]": "aa11", "format[2026-05]": "bb22", "profile": "cc33"}
    finetuned = replace(finetuned, manifest=replace(finetuned.manifest, inputs=read, environment={"torch": "2.13.0"}))
    return {"finetune": finetuned, "profile": profiled(finetuned.path.parent / "profiled", 160, 100), **cells}


def config_of(number: int | None = 7, **sections: Any) -> StageConfig:
    wanted = {
        "base": {"model": BASE},
        "resources": {"device": "cpu"},
        "evaluate": {"max_new_tokens": 12},
        "data": {"source": "data/{partition}.jsonl"},
        "schedule": "none",
        "register": {"model": "job-skills"},
        **sections,
    }
    return replace(config_for(REGISTER, experiment(**wanted)), version_number=number)


def make_version(project: Path, **finetuned: Any) -> Path:
    """Register a tiny adapter inside `project`; returns the version's folder."""
    out = project / "version"
    out.mkdir(parents=True)
    register.run(config_of(), inputs_of(make_finetuned(project, **finetuned)), out, Surroundings(project).context)
    return out
