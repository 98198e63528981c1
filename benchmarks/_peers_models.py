"""The sides of `peers` that are language models: the adapter that the engine trains, and the untuned base with four examples.

The project in the work folder is a real one: a spec, its data, a store and a catalog. What was trained is found again, a killed
training goes on from its newest checkpoint, and so do answers: they are written every few paragraphs.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks._peers_ads import Ad, read_lines, write_lines, write_source
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
    "tracking": {"mode": "disabled"},
}
"""The shipped experiments/skillspan.yaml with one epoch more and the best of three epochs kept."""
_SHIPPED = Path(__file__).resolve().parent.parent / "experiments" / "skillspan.yaml"
PARAGRAPH, AD = 256, 768
"""Tokens of the longest answer: no right one of the test split is longer."""
_AT_ONCE = 32
_TOLD_EVERY = 30.0
"""Seconds."""


def prepare(project: Path, bases: Path | None, limit: int | None) -> Run:
    """The project in the folder, and its run: opened by the first call, found by later ones."""
    experiments = project / "experiments"
    (experiments / "_base").mkdir(parents=True, exist_ok=True)
    shipped = _SHIPPED.read_text(encoding="utf-8")
    (experiments / "_base" / _SHIPPED.name).write_text(shipped, encoding="utf-8")
    text = yaml.safe_dump(SPEC | ({"train": SPEC["train"] | {"epochs": 1}} if limit else {}), sort_keys=False)
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
    """Format, profile and finetune through the pipeline's own door; then every test paragraph and ad is answered, as
    `evaluate[adapter]` and `extract` ask: an ad in parts as long as the training texts mostly are."""
    from skillsengine.modeling.recorded import load_recorded
    from skillsengine.stages.trained_lengths import trained_lengths

    run_stage(run, "format", _Told())
    [profiled] = run_stage(run, "profile", _Told())["steps"]
    [step] = run_stage(run, "finetune", _Told())["steps"]
    made, summary = run.store.get("finetune", step["digest"]), step["summary"]
    assert made is not None
    loaded = load_recorded(
        made.json("base.json"), made.path / "adapter", "cpu", bases=run.store.bases, allowed_roots=()
    )
    lengths = trained_lengths(run.store.get("profile", profiled["digest"]))
    asker = partial(asker_of, loaded, template=made.json("prompt.json")["template"], **lengths)
    Asking(ads, folder, "ours", step["digest"]).answer(asker)
    names = ("train_rows", "near_copies_left_out", "copies_left_out", "steps", "validation_loss", "best_step")
    return {
        "base": run.experiment.base.model,
        "lora": run.experiment.lora.in_words,
        "epochs": run.experiment.train.epochs,
        **lengths,
        **{name: summary[name] for name in names},
    }


def base(ads: Sequence[Ad], folder: Path, run: Run) -> About:
    """The base as it is, shown the spec's examples before each paragraph and each whole ad, as `evaluate[base]` asks it."""
    from skillsengine.modeling.answers import render_answer
    from skillsengine.modeling.base import load_base
    from skillsengine.scoring.few_shot import preamble, stop_texts

    spec = run.experiment
    template, shots = spec.prompt.template, spec.evaluate.shots
    before = preamble(template, [(shot.text, render_answer(shot.skills)) for shot in shots])
    loaded = load_base(spec.base, "cpu", bases=run.store.bases, allowed_roots=())
    asker = partial(asker_of, loaded, template=template, before=before, stop=stop_texts(template))
    Asking(ads, folder, "base", run.plan.step("evaluate[base]").digest).answer(asker)
    return {"base": spec.base.model, "examples": len(shots)}


def asker_of(loaded: Any, max_new_tokens: int, **how: Any) -> Any:
    """The engine's `Asker` of a model in memory."""
    from skillsengine.modeling.backend import TransformersBackend
    from skillsengine.stages.asking import Asker

    loaded.model.eval()
    return Asker(TransformersBackend(loaded), max_new_tokens=max_new_tokens, batch_size=_AT_ONCE, **how)


@dataclass(frozen=True)
class Asking:
    """The texts that a model answers, and the files of what it has answered."""

    ads: Sequence[Ad]
    folder: Path
    side: str
    by: str
    """Digest of who answers: of another one's answers none is kept."""

    def answer(self, asker: Callable[[int], Any]) -> None:
        """Every paragraph and every ad; `asker` takes the tokens of the longest answer."""
        parts = {part.id: part.text for ad in self.ads for part in ad.paragraphs}
        self._answer(asker(PARAGRAPH), "paragraphs", parts, 32)
        self._answer(asker(AD), "ads", {ad.id: ad.text for ad in self.ads}, 8)

    def _answer(self, asker: Any, kind: str, texts: dict[str, str], written_every: int) -> None:
        """Answer what has no answer yet, the longest first."""
        path = self.folder / f"{self.side}-{kind}.jsonl"
        done = [row for row in read_lines(path) if row["by"] == self.by]
        known = {row["id"] for row in done}
        left = sorted((name for name in texts if name not in known), key=lambda name: len(texts[name]), reverse=True)
        for start in range(0, len(left), written_every):
            chunk = left[start : start + written_every]
            for name, said in zip(chunk, asker.ask([texts[name] for name in chunk]).answers, strict=True):
                done.append({"id": name, "skills": said.skills, "parsed": said.parsed, "raw": said.raw, "by": self.by})
            write_lines(path, done)
            _tell(f"{path.stem}: {len(done)}/{len(texts)} answered")


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
