"""The sides of `peers` that are language models: the adapter that the engine trains, and the untuned base with four examples.

The project in the work folder is a real one: a spec, its data, a store and a catalog. What was trained is found again, a killed
training goes on from its newest checkpoint, and so do answers: they are written every few paragraphs.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks._peers_ads import Ad, Paragraph, read_lines, write_lines, write_source
from benchmarks._peers_sides import About
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.settings import load_settings
from skillsengine.spec.load import load_spec
from skillsengine.stages.contract import Progress

SPEC: dict[str, Any] = {
    "extends": "_base/skillspan.yaml",
    "name": "peers",
    "data": {"source": "data"},
    "tokens": {"overlong": "split"},
    "train": {"epochs": 3, "best_by": "validation_loss", "checkpoint_steps": 10, "sample_predictions": 0},
    "evaluate": {"max_new_tokens": 256},
    "tracking": {"mode": "disabled"},
}
"""The shipped experiments/skillspan.yaml with one epoch more and the best of three epochs kept."""
_SHIPPED = Path(__file__).resolve().parent.parent / "experiments" / "skillspan.yaml"
_AT_ONCE = 16
_WRITTEN_EVERY = 32
"""Paragraphs."""
_TOLD_EVERY = 30.0
"""Seconds."""


def prepare(project: Path, bases: Path | None, limit: int | None) -> Run:
    """The project in the folder, and its run: opened by the first call, found by later ones."""
    experiments = project / "experiments"
    (experiments / "_base").mkdir(parents=True, exist_ok=True)
    shipped = _SHIPPED.read_text(encoding="utf-8")
    (experiments / "_base" / _SHIPPED.name).write_text(shipped, encoding="utf-8")
    spec = SPEC | ({"train": SPEC["train"] | {"epochs": 1}, "evaluate": {"max_new_tokens": 16}} if limit else {})
    text = yaml.safe_dump(spec, sort_keys=False)
    (experiments / "peers.yaml").write_text(text, encoding="utf-8")
    write_source(project / "data", limit)
    store = project / ".skillsengine" / "store"
    store.mkdir(parents=True, exist_ok=True)
    if bases and not (store / "bases").exists():
        (store / "bases").symlink_to(bases.resolve(), target_is_directory=True)
    experiment = load_spec(experiments / "peers.yaml").experiment
    # A run keeps the spec that it was opened with: another text is another run.
    told = hashlib.sha256((shipped + text).encode()).hexdigest()[:12]
    return open_run(experiment, dag_id="peers", run_id=told, settings=load_settings(project))


def ours(ads: Sequence[Ad], folder: Path, run: Run) -> About:
    """Format, profile and finetune through the pipeline's own door; then every test paragraph is answered."""
    from skillsengine.modeling.recorded import load_recorded
    from skillsengine.scoring.few_shot import fill

    for stage in ("format", "profile"):
        run_stage(run, stage, _Told())
    [step] = run_stage(run, "finetune", _Told())["steps"]
    made, summary = run.store.get("finetune", step["digest"]), step["summary"]
    assert made is not None
    loaded = load_recorded(
        made.json("base.json"), made.path / "adapter", "cpu", bases=run.store.bases, allowed_roots=()
    )
    template = made.json("prompt.json")["template"]
    seconds = _answer(
        [(part, fill(template, part.text)) for ad in ads for part in ad.paragraphs],
        folder / "ours-paragraphs.jsonl",
        loaded,
        run,
        by=step["digest"],
    )
    names = ("train_rows", "near_copies_left_out", "copies_left_out", "epochs", "steps", "validation_loss", "best_step")
    return {
        "base": run.experiment.base.model,
        "lora": run.experiment.lora.in_words,
        **{name: summary[name] for name in names if name in summary},
        "training_seconds": summary["seconds"],
        "answering_seconds": round(seconds),
    }


def base(ads: Sequence[Ad], folder: Path, run: Run) -> About:
    """The base as it is, shown the spec's examples before each paragraph, as `evaluate[base]` asks it."""
    from skillsengine.modeling.answers import render_answer
    from skillsengine.modeling.base import load_base
    from skillsengine.scoring.few_shot import fill, preamble, stop_texts

    spec = run.experiment
    template, shots = spec.prompt.template, spec.evaluate.shots
    before = preamble(template, [(shot.text, render_answer(shot.skills)) for shot in shots])
    loaded = load_base(spec.base, "cpu", bases=run.store.bases, allowed_roots=())
    seconds = _answer(
        [(part, before + fill(template, part.text)) for ad in ads for part in ad.paragraphs],
        folder / "base-paragraphs.jsonl",
        loaded,
        run,
        by=run.plan.step("evaluate[base]").digest,
        stop=stop_texts(template),
    )
    return {"base": spec.base.model, "examples": len(shots), "answering_seconds": round(seconds)}


def _answer(
    asked: Sequence[tuple[Paragraph, str]], path: Path, loaded: Any, run: Run, *, by: str, stop: Sequence[str] = ()
) -> float:
    """Answer what `path` has no answer of `by` to, the longest first; returns the seconds of this process."""
    from skillsengine.modeling.answers import parse_answer
    from skillsengine.modeling.generate import generate

    done = [row for row in read_lines(path) if row["by"] == by]
    known = {row["id"] for row in done}
    left = sorted((each for each in asked if each[0].id not in known), key=lambda each: len(each[1]), reverse=True)
    loaded.model.eval()
    started = time.monotonic()
    for start in range(0, len(left), _WRITTEN_EVERY):
        chunk = left[start : start + _WRITTEN_EVERY]
        raw = generate(
            loaded,
            [prompt for _, prompt in chunk],
            max_new_tokens=run.experiment.evaluate.max_new_tokens,
            batch_size=_AT_ONCE,
            stop=stop,
        )
        for (part, _), text in zip(chunk, raw, strict=True):
            skills, parsed = parse_answer(text)
            done.append({"id": part.id, "skills": skills, "parsed": parsed, "raw": text, "by": by})
        write_lines(path, done)
        _tell(f"{path.stem}: {len(done)}/{len(asked)} answered, {time.monotonic() - started:.0f} s")
    return time.monotonic() - started


class _Told:
    """Progress of a stage, on stderr at a human pace."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def __call__(self, step: str, progress: Progress) -> None:
        if time.monotonic() - self._last > _TOLD_EVERY:
            self._last = time.monotonic()
            _tell(f"{step}: {progress.text}")


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
