"""Answers to real paragraphs on a CPU: ours beside transformers' `generate`, one by one and in batches.

    python -m benchmarks.generate --version .skillsengine/store/versions/job-skills-demo/1
    python -m benchmarks.generate --version FOLDER --batch-sizes 32 --shot-ads 0      # one series; the others stay

Paragraphs of SkillSpan's test split (../shared/data), asked of a registered version of SmolLM2 by its own template, and, in a
second series, of the untuned base after the four worked examples of `evaluate`.

ours          `modeling.generate`, as `evaluate` and `extract` use it
one by one    `model.generate`, a prompt at a time
batches       `model.generate` on as many prompts at once as ours, in the file's order, padded to the longest

All are greedy, on the same model in the same process. The worked examples have taught the base to go on with another ad: the
peers are told to stop there by `stop_strings`. The ads are cut into blocks; each side answers each block, one after the other,
each block beginning with another side, and a ratio is the median of the blocks' ratios: what disturbs the machine disturbs all.
An answer counts as the same if ours is what the peer's begins with, and both are read as the same skills: ours ends with the
list, the peers' with the end-of-text token.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks._record import read_rows, record
from benchmarks._train_rows import paragraphs
from skillsengine.modeling.answers import parse_answer, render_answer
from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.generate import generate
from skillsengine.modeling.recorded import load_recorded
from skillsengine.scoring.few_shot import fill, preamble, stop_texts
from skillsengine.spec.schema import Base, Evaluate

SIDES = ("ours", "one by one", "batches")
Answer = Callable[[LoadedBase, Sequence[str], argparse.Namespace, Sequence[str]], list[str]]


def ours(loaded: LoadedBase, prompts: Sequence[str], given: argparse.Namespace, stop: Sequence[str]) -> list[str]:
    return generate(loaded, prompts, max_new_tokens=given.max_new_tokens, batch_size=given.batch_size, stop=stop)


def one_by_one(loaded: LoadedBase, prompts: Sequence[str], given: argparse.Namespace, stop: Sequence[str]) -> list[str]:
    return [text for prompt in prompts for text in plain(loaded, [prompt], given.max_new_tokens, stop)]


def batches(loaded: LoadedBase, prompts: Sequence[str], given: argparse.Namespace, stop: Sequence[str]) -> list[str]:
    cut = [prompts[start : start + given.batch_size] for start in range(0, len(prompts), given.batch_size)]
    return [text for part in cut for text in plain(loaded, part, given.max_new_tokens, stop)]


def plain(loaded: LoadedBase, prompts: Sequence[str], max_new_tokens: int, stop: Sequence[str]) -> list[str]:
    """What transformers' documentation says to do."""
    tokenizer = loaded.tokenizer
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True, padding_side="left")
    stopping = {"stop_strings": list(stop), "tokenizer": tokenizer} if stop else {}
    with torch.inference_mode():
        out = loaded.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False, **stopping)
    texts: list[str] = tokenizer.batch_decode(out[:, inputs.input_ids.shape[1] :], skip_special_tokens=True)
    return texts


def same(mine: str, theirs: str) -> bool:
    """Whether a peer's answer is ours, but for what it says after it."""
    return theirs.startswith(mine) and parse_answer(theirs)[0] == parse_answer(mine)[0]


def measure(
    series: str,
    loaded: LoadedBase,
    batch_size: int,
    blocks: Sequence[Sequence[str]],
    given: argparse.Namespace,
    stop: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """A row for each block and side."""
    given.batch_size = batch_size
    sides: dict[str, Answer] = dict(zip(SIDES, (ours, one_by_one, batches), strict=True))
    rows = []
    ours(loaded, blocks[0][:2], given, stop)  # the first call of all is slower
    for number, prompts in enumerate(blocks):
        answers: dict[str, list[str]] = {}
        block = []
        for side in (*SIDES[number % 3 :], *SIDES[: number % 3]):
            load, started, at_work = os.getloadavg()[0], time.monotonic(), time.process_time()
            answers[side] = sides[side](loaded, prompts, given, stop)
            took = {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - at_work}
            block.append(
                {"side": side} | {name: round(value, 2) for name, value in took.items()} | {"load": round(load, 1)}
            )
        for row in block:
            told = answers[row["side"]]
            row |= {
                "series": series,
                "block": number,
                "ads": len(prompts),
                "ads_per_second": round(len(prompts) / row["seconds"], 3),
                "answer_tokens": sum(len(loaded.tokenizer(text, add_special_tokens=False).input_ids) for text in told),
                "same_as_ours": sum(map(same, answers["ours"], told)),
            }
            print(json.dumps(row), flush=True)
        rows += block
    return rows


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many times as fast ours is, median and range over the blocks; the same of the processor's time, which a machine with
    other work on it changes less; and how many answers were the same."""
    found: dict[str, Any] = {}
    for series in dict.fromkeys(row["series"] for row in rows):
        by = {(row["block"], row["side"]): row for row in rows if row["series"] == series}
        for side in SIDES[1:]:
            theirs = [row for (_, of), row in by.items() if of == side]
            times = {
                name: [row[name] / by[row["block"], "ours"][name] for row in theirs]
                for name in ("seconds", "cpu_seconds")
            }
            found[f"{series}: ours to {side}"] = {
                "speed": round(median(times["seconds"]), 2),
                "lowest": round(min(times["seconds"]), 2),
                "highest": round(max(times["seconds"]), 2),
                "processor_time": round(median(times["cpu_seconds"]), 2),
                "same_answers": sum(row["same_as_ours"] for row in theirs),
                "of": sum(row["ads"] for row in theirs),
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=Path, required=True, help="folder of a registered version of SmolLM2")
    parser.add_argument("--bases", type=Path, help="`bases` of the store; by default that of the version's")
    parser.add_argument("--ads", type=int, default=96, help="paragraphs for the adapter; 0 for none")
    parser.add_argument(
        "--shot-ads", type=int, default=12, help="paragraphs for the base after worked examples; 0 for none"
    )
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[8, 32], help="the base is asked in the first")
    parser.add_argument("--max-new-tokens", type=int, default=256)
    given = parser.parse_args()
    version = json.loads((given.version / "version.json").read_text(encoding="utf-8"))
    bases = given.bases or given.version.absolute().parents[2] / "bases"
    template = version["prompt"]["template"]
    most = max(given.ads, given.shot_ads)
    texts = [row["job_description"] for row in paragraphs({"train": 0, "validation": 0, "test": most})["test"]]

    def blocks(count: int, before: str = "") -> list[list[str]]:
        prompts = [before + fill(template, text) for text in texts[:count]]
        return [prompts[number :: given.blocks] for number in range(given.blocks)]

    rows = []
    if given.ads:
        loaded = load_recorded(version["base"], given.version, "cpu", bases=bases, allowed_roots=())
        for size in given.batch_sizes:
            rows += measure(f"adapter, batch {size}", loaded, size, blocks(given.ads), given)
    if given.shot_ads:
        base = load_base(Base(model=version["base"]["model"]), "cpu", bases=bases, allowed_roots=())
        before = preamble(template, [(shot.text, render_answer(shot.skills)) for shot in Evaluate().shots])
        size = given.batch_sizes[0]
        rows += measure("base, 4-shot", base, size, blocks(given.shot_ads, before), given, stop_texts(template))
    measured = {row["series"] for row in rows}
    rows = [row for row in read_rows("generate") if row["series"] not in measured] + rows
    record("generate", rows, ratios(rows))
    print(json.dumps(ratios(rows), indent=1))


if __name__ == "__main__":
    main()
