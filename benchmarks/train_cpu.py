"""Training on a CPU beside what people use: real tokens a second, time to the same validation loss, F1.

    python -m benchmarks.train_cpu --bases DIR --peer DIR          # two seeds, four sides: hours on two cores
    python -m benchmarks.train_cpu --rows 32 --test-rows 0 --seeds 1 --only ours trainer-longest

SmolLM2 on paragraphs of SkillSpan (../shared/data), one epoch, r 32, alpha 64, batch 4, learning rate 2e-4; each side in its
own process, in turn. A finished row of the JSON with the same sizes is not measured again, so a run that was stopped goes on.

ours              `finetune`, through the pipeline's own door
trainer-longest   the notebook's recipe on transformers' Trainer: the same rows with their answers, all tokens in the loss, the
                  same LoRA targets (lm_head too); padded to the longest of the batch
trainer-max       the same, every batch padded to the longest text of all, as the notebook does
trl               TRL's SFTTrainer as it comes, on prompts and completions, without lm_head, which it refuses (`--peer`: a
                  folder made by `pip install --no-deps --target DIR trl==1.16.0`)

Validation losses are those of the answers' tokens, F1 is that of generated answers, both counted alike for all sides. Seconds
are those of optimizer steps.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._record import read_rows, record
from benchmarks.format_memory import prepare_base

SIDES = ("ours", "trainer-longest", "trainer-max", "trl")
VALIDATION = 16
"""Paragraphs whose loss is looked at: each look costs as much as training on a third of them."""


def child(side: str, given: dict[str, Any], peer: Path | None) -> dict[str, Any]:
    """One side with one seed, in a fresh process."""
    paths = [str(peer)] if peer and side == "trl" else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "benchmarks._train_sides", side, json.dumps(given)]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment).stdout
    return dict(json.loads(told.splitlines()[-1]))


def reached(course: Sequence[Sequence[float]], loss: float) -> float | None:
    """Seconds after which the validation loss was first at most `loss`; None where it never was."""
    return next((seconds for seconds, at in course if at <= loss), None)


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Ours to each other side, seed by seed: speed, time to the worse of the two last validation losses, and F1."""
    by = {(row["rows"], row["seed"], row["side"]): row for row in rows}
    found: dict[str, Any] = {}
    for (size, seed, side), row in sorted(by.items()):
        ours = by.get((size, seed, "ours"))
        if side == "ours" or ours is None:
            continue
        goal = max(ours["course"][-1][1], row["course"][-1][1])
        mine, theirs = reached(ours["course"], goal), reached(row["course"], goal)
        told = {"tokens_per_second": round(ours["tokens_per_second"] / row["tokens_per_second"], 3)}
        if mine and theirs:
            told["time_to_the_same_loss"] = round(theirs / mine, 3)
        if "f1" in ours and "f1" in row:
            told["f1_difference"] = round(ours["f1"] - row["f1"], 4)
        found[f"ours to {side}, {size} rows, seed {seed}"] = told
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=842, help="paragraphs to train on, at most")
    parser.add_argument("--test-rows", type=int, default=150, help="paragraphs to answer; 0 for none")
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--only", choices=SIDES, nargs="+", default=SIDES)
    parser.add_argument("--peer", type=Path, help="folder that holds trl; without it that side is left out")
    parser.add_argument(
        "--bases", type=Path, help="`bases` of a store that has the built-in base (else it is converted)"
    )
    given = parser.parse_args()
    sides = [side for side in given.only if side != "trl" or given.peer]
    sizes = {"train": given.rows, "validation": min(VALIDATION, given.rows), "test": given.test_rows}
    rows = {(row["rows"], row["test_rows"], row["seed"], row["side"]): row for row in read_rows("train_cpu")}
    work = Path(tempfile.mkdtemp(prefix="train-cpu-"))
    try:
        bases = given.bases or prepare_base(work)
        for seed in given.seeds:
            for side in sides:
                key = (given.rows, given.test_rows, seed, side)
                if key in rows:
                    continue
                head = {"side": side, "seed": seed, "rows": given.rows, "test_rows": given.test_rows}
                load = round(os.getloadavg()[0], 1)
                rows[key] = (
                    head | child(side, {"bases": str(bases), "seed": seed, "sizes": sizes}, given.peer) | {"load": load}
                )
                print(json.dumps(rows[key]), flush=True)
                done = [rows[each] for each in sorted(rows)]
                record("train_cpu", done, ratios(done))
    finally:
        shutil.rmtree(work)
    print(json.dumps(ratios(list(rows.values())), indent=1))


if __name__ == "__main__":
    main()
