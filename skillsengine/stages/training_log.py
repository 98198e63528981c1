"""What a training tells: a moment at every step for people, numbers at logging steps, and both again after a resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from skillsengine.stages.contract import Diverged, Progress
from skillsengine.stages.validation import Sample

SAMPLES = "samples.jsonl"
_RECENT = 10
"""Steps over which the speed shown is averaged."""


@dataclass(frozen=True)
class Machine:
    """What the numbers of a training are held against."""

    memory_gb: Callable[[], float] = lambda: 0.0
    """The height of memory so far."""
    peak_flops: float | None = None
    """FLOP/s that the device could do; None where nobody knows."""

    def utilization(self, steps: Sequence[Mapping[str, Any]]) -> float | None:
        """Model FLOP utilization (PaLM, arXiv:2204.02311, appendix B): the model's own FLOPs over what the device could do in
        the steps' time."""
        seconds = math.fsum(entry["seconds"] for entry in steps)
        if self.peak_flops is None or not seconds:
            return None
        return math.fsum(entry["flops"] for entry in steps) / seconds / self.peak_flops


class TrainingLog:
    """Follows a training through one entry a step: {"step", "epoch", "loss", "grad_norm", "learning_rate", "tokens",
    "positions", "flops", "seconds"}, and {"step", "epoch", "eval_loss", "eval_f1"?, "samples"?} after an evaluation. `loss` is
    the mean over the step's supervised tokens in nats; `tokens` counts prompt and answer, `positions` the padding too.

    The Trainer keeps all entries in its state, so a checkpoint holds them, and what is told depends on them alone; beside
    them there is only the speed, which is the machine's.
    """

    def __init__(
        self,
        report: Callable[[Progress], None],
        total_steps: int,
        logging_steps: int,
        machine: Machine | None = None,
        show: Callable[[int, list[Sample]], None] = lambda step, samples: None,
    ) -> None:
        self._report, self._total, self._every, self._show = report, total_steps, logging_steps, show
        self._machine = machine or Machine()
        self._window: list[float] = []
        self._steps: list[Mapping[str, Any]] = []
        self._first_here = 0
        self._started = time.monotonic()
        self.records: list[dict[str, float]] = []
        """The lines of metrics.jsonl: the first step, every `logging_steps`-th and the last; and each evaluation."""
        self.samples: list[Sample] = []
        """The lines of samples.jsonl."""

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
            metrics = {"eval/loss": entry["eval_loss"], "train/epoch": entry["epoch"]}
            if "eval_f1" in entry:
                text += f" · F1 {entry['eval_f1']:.3f}"
                metrics["eval/f1"] = entry["eval_f1"]
            self._tell(text, entry["step"], metrics)
            if entry.get("samples"):
                self._show(entry["step"], entry["samples"])
        elif "loss" in entry:
            speed = f"{self._recent_speed():.0f} tokens/s"
            text = f"step {entry['step']}/{self._total} · loss {entry['loss']:.2f} · {speed}"
            self._tell(text, entry["step"], self._metrics(record) if record else {})

    def measuring(self, what: str) -> None:
        """Tell what an evaluation is at: on long texts it takes minutes."""
        step = len(self._steps)
        self._report(Progress(f"step {step}/{self._total} · {what}", step / self._total))

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

    @property
    def padding_share(self) -> float:
        """Of all that went through the model, what was padding; 0 to 1."""
        return _padding_share(self._steps)

    @property
    def utilization(self) -> float | None:
        """Model FLOPs of all steps over what the machine could have done in their time; None on a GPU of unknown peak."""
        return self._machine.utilization(self._steps)

    @property
    def last_step(self) -> int:
        """The step that was done last: an early stop comes before the planned end."""
        return int(self._steps[-1]["step"]) if self._steps else 0

    @property
    def evaluations(self) -> list[dict[str, float]]:
        """{"step", "epoch", "eval_loss", "eval_f1"?} of every evaluation so far."""
        return [record for record in self.records if "eval_loss" in record]

    def last_epoch_loss(self) -> float:
        """Mean training loss of the steps of the last epoch (a last epoch may be a part of one)."""
        last = math.ceil(self._steps[-1]["epoch"]) - 1
        losses: list[float] = [entry["loss"] for entry in self._steps if entry["epoch"] > last]
        return math.fsum(losses) / len(losses)

    def write(self, path: Path) -> None:
        """metrics.jsonl, and beside it samples.jsonl where there are any."""
        path.write_text(_lines(self.records), encoding="utf-8")
        if self.samples:
            path.with_name(SAMPLES).write_text(_lines(self.samples), encoding="utf-8")

    def _take(self, entry: Mapping[str, Any]) -> dict[str, float] | None:
        if "eval_loss" in entry:
            step = entry["step"]
            if not math.isfinite(entry["eval_loss"]):
                raise Diverged(
                    f"the validation loss is {entry['eval_loss']} at step {step} of {self._total} (the last training loss was "
                    f"{self._last_loss()}). The training has diverged: lower train.learning_rate, or add train.warmup_steps."
                )
            self.records.append({n: entry[n] for n in ("step", "epoch", "eval_loss", "eval_f1") if n in entry})
            self.samples += [{"step": step, **sample} for sample in entry.get("samples", ())]
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

    def _metrics(self, record: Mapping[str, float]) -> dict[str, float]:
        """What a chart is drawn from."""
        recent = self._steps[-_RECENT:]
        found: dict[str, float | None] = {
            **{name: record.get(name) for name in ("loss", "learning_rate", "grad_norm", "epoch")},
            "tokens_per_second": self._recent_speed(),
            "padding_share": _padding_share(recent),
            "memory_gb": self._machine.memory_gb(),
            "mfu": self._machine.utilization(recent),
            "minutes_left": None if (left := self._seconds_left(int(record["step"]))) is None else left / 60,
        }
        return {f"train/{name}": value for name, value in found.items() if value is not None}

    def _seconds_left(self, step: int) -> float | None:
        here = len(self._steps) - self._first_here
        return (time.monotonic() - self._started) / here * (self._total - step) if here else None

    def _tell(self, text: str, step: int, metrics: Mapping[str, float]) -> None:
        self._report(Progress(text, step / self._total, self._seconds_left(step), metrics, step))

    def _recent_speed(self) -> float:
        recent = self._steps[-_RECENT:]
        tokens: int = sum(entry["tokens"] for entry in recent)
        return tokens / max(math.fsum(entry["seconds"] for entry in recent), 1e-9)

    def _last_loss(self) -> str:
        return f"{self._steps[-1]['loss']:.3f} at step {self._steps[-1]['step']}" if self._steps else "none"


def _padding_share(steps: Sequence[Mapping[str, Any]]) -> float:
    positions = sum(entry["positions"] for entry in steps)
    return 1 - sum(entry["tokens"] for entry in steps) / positions if positions else 0.0


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


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
