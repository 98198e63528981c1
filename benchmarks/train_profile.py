"""Where the time of a training step goes on a CPU: `finetune` under torch's profiler.

    python -m benchmarks.train_profile --bases DIR          # SmolLM2, the rows and the recipe of train_cpu; a minute

Steps `FIRST` to `LAST` of ours, with what happens between them (optimizer, logging). Each operator's own time goes to one
part: products of matrices by the shapes that they multiply (the vocabulary: lm_head; the rank: LoRA; the rest: the frozen
projections), everything else by its name. Beside it stands what the same products would take at the speed of one large product
of this machine, measured in the same process: no order of the work could be faster than that.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks._record import record
from benchmarks._train_sides import RANK, ours
from skillsengine.stages.answer_trainer import AnswerTrainer

FIRST, LAST = 4, 6
"""The profiler keeps some hundred thousand operators a step, with their shapes: more steps want more memory than most have."""
_VOCABULARY = 49_152
_PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm")
_PARTS = {
    "attention": ("scaled_dot_product", "flash_attention"),
    "loss": ("log_softmax", "nll_loss"),
    "copies and layout": ("aten::copy_", "aten::cat", "aten::clone", "aten::index", "aten::gather", "aten::fill_"),
    "activation, norms, sums": ("aten::silu", "aten::mul", "aten::add", "aten::pow", "aten::mean", "aten::sum",
                                "aten::rsqrt", "aten::neg", "aten::div", "aten::sigmoid", "aten::sub"),
}  # fmt: skip
_GEMM = 1_536
"""Side of the square product that stands for the machine's speed; of float32."""


def part_of(name: str, shapes: list[list[int]], optimizer: bool) -> str:
    """What an operator works for."""
    if optimizer:
        return "optimizer and clipping"
    if name in _PRODUCTS:
        sides = {side for shape in shapes[:3] for side in shape}
        return "lm_head" if _VOCABULARY in sides else "LoRA" if RANK in sides else "frozen projections"
    return next((part for part, names in _PARTS.items() if any(known in name for known in names)), "other")


def flops(name: str, shapes: list[list[int]]) -> float:
    """Of one product of matrices; 0 for anything else."""
    if name not in _PRODUCTS:
        return 0.0
    left, right = (shapes[1], shapes[2]) if name == "aten::addmm" else (shapes[0], shapes[1])
    return 2.0 * torch.Size(left).numel() * right[-1]


def gemm_flops() -> float:
    """Floating-point operations a second of one large product on all threads: the best of some."""
    a, b = torch.randn(_GEMM, _GEMM), torch.randn(_GEMM, _GEMM)
    best = float("inf")
    for _ in range(12):
        started = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - started)
    return float(2 * _GEMM**3 / best)


def profiled(bases: Path, rows: int) -> dict[str, Any]:
    """The seconds of each part over the steps that were looked at, what they should have taken, and their tokens."""
    watch = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
    state = {"tokens": 0, "started": 0.0, "seconds": 0.0}
    step = AnswerTrainer.training_step

    def watched(self: AnswerTrainer, model: Any, inputs: dict[str, Any], items: Any = None) -> torch.Tensor:
        at = self.state.global_step
        if at == FIRST:
            watch.start()
            state["started"] = time.perf_counter()
        if at == LAST:
            state["seconds"] = time.perf_counter() - state["started"]
            watch.stop()
        elif at > FIRST - 1 and at < LAST:
            state["tokens"] += sum(len(row) for row in inputs["rows"])
        return step(self, model, inputs, items)

    with patch.object(AnswerTrainer, "training_step", watched):
        ours({"bases": str(bases), "sizes": {"train": rows, "validation": 1, "test": 0}, "seed": 1})
    return state | _parts(watch)


def _parts(watch: Any) -> dict[str, Any]:
    events = list(watch.events())
    optimizer = [event.time_range for event in events if event.name.startswith(("Optimizer.step", "aten::_foreach"))]
    spent: Counter[str] = Counter()
    ideal = 0.0
    speed = gemm_flops()
    for event in events:
        within = any(span.start <= event.time_range.start < span.end for span in optimizer)
        shapes = [list(shape) for shape in event.input_shapes or []]
        spent[part_of(event.name, shapes, within or "Optimizer" in event.name)] += event.self_cpu_time_total / 1e6
        ideal += flops(event.name, shapes) / speed
    return {"parts": dict(spent.most_common()), "products_at_full_speed": ideal, "gemm_gflops": speed / 1e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bases", type=Path, required=True, help="folder of converted bases: a store's `bases`")
    parser.add_argument("--rows", type=int, default=32, help="paragraphs to train on: more than 4 times the steps")
    given = parser.parse_args()
    found = profiled(given.bases, given.rows)
    seconds = sum(found["parts"].values())
    rows = [
        {"part": name, "seconds": round(value, 3), "share": round(value / seconds, 4)}
        for name, value in found["parts"].items()
    ]
    ratios = {
        "products at the machine's full speed, of all": round(found["products_at_full_speed"] / found["seconds"], 3),
        "tokens_per_second, watched": round(found["tokens"] / found["seconds"], 1),
        "gemm_gflops": round(found["gemm_gflops"], 1),
        "steps": LAST - FIRST,
        "seconds": round(found["seconds"], 2),
        "seconds in no operator": round(found["seconds"] - seconds, 2),
    }
    for row in rows:
        print(f"{row['part']:26} {row['seconds']:8.2f} s {row['share']:7.1%}")
    print(json.dumps(ratios, indent=1))
    record("train_profile", rows, ratios)


if __name__ == "__main__":
    main()
