"""What a training tells: a moment at every step for people, numbers at logging steps, and both again after a resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from skillsengine.stages.contract import Diverged, Progress

_RECENT = 10
"""Steps over which the speed shown is averaged."""


class TrainingLog:
    """Follows a training through one entry a step: {"step", "epoch", "loss", "grad_norm", "learning_rate", "tokens",
    "seconds"}, and {"step", "epoch", "eval_loss"} after an evaluation. `loss` is the mean over the step's supervised
    tokens in nats; `tokens` counts prompt and answer.

    The Trainer keeps all entries in its state, so a checkpoint holds them, and what is told depends on them alone.
    """

    def __init__(self, report: Callable[[Progress], None], total_steps: int, logging_steps: int) -> None:
        self._report, self._total, self._every = report, total_steps, logging_steps
        self._window: list[float] = []
        self._steps: list[Mapping[str, Any]] = []
        self._first_here = 0
        self._started = time.monotonic()
        self.records: list[dict[str, float]] = []
        """The lines of metrics.jsonl: the first step, every `logging_steps`-th and the last; and each evaluation."""

    def resume(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Take in what an earlier attempt logged up to its checkpoint, without telling it again."""
        for entry in history:
            self._take(entry)
        self._first_here = len(self._steps)

    def start(self) -> None:
        """The first step of this attempt begins."""
        self._started = time.monotonic()

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take in one entry and report it.

        Raises Diverged if the loss is not a number any more.
        """
        record = self._take(entry)
        if "eval_loss" in entry:
            text = f"step {entry['step']}/{self._total} · validation loss {entry['eval_loss']:.3f}"
            self._tell(text, entry["step"], {"eval/loss": entry["eval_loss"], "train/epoch": entry["epoch"]})
        elif "loss" in entry:
            speed = f"{self._recent_speed():.0f} tokens/s"
            text = f"step {entry['step']}/{self._total} · loss {entry['loss']:.2f} · {speed}"
            names = ("loss", "learning_rate", "grad_norm", "epoch")
            self._tell(text, entry["step"], {f"train/{name}": record[name] for name in names} if record else {})

    def measuring(self, done: int, rows: int) -> None:
        """Tell that the validation rows are being measured: on long texts it takes minutes."""
        step = len(self._steps)
        self._report(Progress(f"step {step}/{self._total} · validating {done}/{rows} rows", step / self._total))

    @property
    def losses(self) -> list[tuple[int, float]]:
        """(step, loss) of every step."""
        return [(entry["step"], entry["loss"]) for entry in self._steps]

    @property
    def tokens(self) -> int:
        """Tokens trained on, in all attempts; a repeated epoch counts again."""
        return sum(entry["tokens"] for entry in self._steps)

    @property
    def seconds(self) -> float:
        """Time of all steps, in all attempts; steps that a killed attempt did after its checkpoint are not in it."""
        return math.fsum(entry["seconds"] for entry in self._steps)

    def last_epoch_loss(self) -> float:
        """Mean training loss of the steps of the last epoch (a last epoch may be a part of one)."""
        last = math.ceil(self._steps[-1]["epoch"]) - 1
        losses: list[float] = [entry["loss"] for entry in self._steps if entry["epoch"] > last]
        return math.fsum(losses) / len(losses)

    def validation_loss(self) -> float | None:
        """Of the last evaluation; None without validation rows."""
        losses = [record["eval_loss"] for record in self.records if "eval_loss" in record]
        return losses[-1] if losses else None

    def write(self, path: Path) -> None:
        """metrics.jsonl."""
        path.write_text("".join(json.dumps(record) + "\n" for record in self.records), encoding="utf-8")

    def _take(self, entry: Mapping[str, Any]) -> dict[str, float] | None:
        if "eval_loss" in entry:
            self.records.append({name: entry[name] for name in ("step", "epoch", "eval_loss")})
            return self.records[-1]
        if "loss" not in entry:
            return None  # the Trainer's closing words
        step = entry["step"]
        if not math.isfinite(entry["loss"]):
            raise Diverged(
                f"the training loss is {entry['loss']} at step {step} of {self._total} (learning rate "
                f"{entry['learning_rate']:.3g}; the last finite loss was {self._last_loss()}). The training has "
                "diverged: lower train.learning_rate, or add train.warmup_steps."
            )
        self._steps.append(entry)
        self._window.append(entry["loss"])
        if step != 1 and step % self._every and step != self._total:
            return None
        mean = math.fsum(self._window) / len(self._window)
        self._window.clear()
        others = {name: entry[name] for name in ("learning_rate", "grad_norm") if name in entry}
        self.records.append({"step": step, "epoch": entry["epoch"], "loss": mean, **others})
        return self.records[-1]

    def _tell(self, text: str, step: int, metrics: Mapping[str, float]) -> None:
        here = len(self._steps) - self._first_here
        left = (time.monotonic() - self._started) / here * (self._total - step) if here else None
        self._report(Progress(text, step / self._total, left, metrics, step))

    def _recent_speed(self) -> float:
        recent = self._steps[-_RECENT:]
        tokens: int = sum(entry["tokens"] for entry in recent)
        return tokens / max(math.fsum(entry["seconds"] for entry in recent), 1e-9)

    def _last_loss(self) -> str:
        return f"{self._steps[-1]['loss']:.3f} at step {self._steps[-1]['step']}" if self._steps else "none"


def draw_losses(log: TrainingLog, path: Path) -> None:
    """loss.png: every step's loss, their means at logging steps, and the validation loss, over optimizer steps."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    steps, losses = zip(*log.losses, strict=True)
    axes.plot(steps, losses, color="tab:blue", alpha=0.3, linewidth=1, label="each step")
    for name, label, color in (("loss", "training", "tab:blue"), ("eval_loss", "validation", "tab:orange")):
        points = [(record["step"], record[name]) for record in log.records if name in record]
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker="o", markersize=3, label=label)
    axes.set(xlabel="optimizer step", ylabel="loss on the answers' tokens (nats)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
