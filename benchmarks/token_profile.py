"""The token profile of many ads: ours, the notebook's loop, and the limit of the tokenizers library.

    python -m benchmarks.token_profile                            # 1,000,000 ads: about two hours on two cores
    python -m benchmarks.token_profile --rows 10000 100000        # some sizes; the others' rows stay as they were

The ads are drawn with repetition, by a seed, from the real ones beside the checkout (../shared/data), and each is tokenized
anew, however often its text stood there before: nothing is remembered. Three sides, on the same file of clean rows:

ours       what `profile` does to measure them: the rows read one at a time, `encoding.stream_lengths`
loop       the notebook: `len(tokenizer.encode(text))`, one text after the other
library    the tokenizers library alone with its own threads on: `encode_batch_fast` on texts that are in memory already.
           It is the limit: it reads nothing and keeps nothing

The larger sizes are cut into blocks, and each side measures a block in a process of its own, in turn, so that what else the
machine does meets all alike. Peak memory is that of a process that measures all rows with our side (VmHWM, Linux), beside what
it held before the first row. Where other work shares the cores (`load`), look at `cpu_seconds` too; the ratio of seconds is
for quiet cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks._record import read_rows, record
from benchmarks.format_memory import ads, memory, prepare_base

SIZES = (10_000, 100_000, 1_000_000)
SIDES = ("ours", "loop", "library")
BASE = "smollm2-135m-instruct"
_BLOCK = 50_000
"""Rows that a side measures before the next has its turn."""
_AT_ONCE = 1_000
"""Texts of a call of the library's."""


def write_rows(folder: Path, rows: int) -> None:
    """The rows of a `format` artifact, in blocks: rows-0.jsonl, rows-1.jsonl, ..."""
    from skillsengine.stages.rows import Row, row_line

    drawn = ads(rows, "repeated")
    for block in range(-(-rows // _BLOCK)):
        with (folder / f"rows-{block}.jsonl").open("w", encoding="utf-8") as file:
            for ad in islice(drawn, _BLOCK):
                file.write(row_line(Row(ad["id"], ad["job_description"], tuple(ad["skills"]), "0" * 16)))


def tokenizer_of(bases: Path) -> Any:
    from skillsengine.modeling.base import load_tokenizer
    from skillsengine.spec.schema import Base

    return load_tokenizer(Base(model=BASE), bases=bases, allowed_roots=())


def run_side(side: str, tokenizer: Any, files: Sequence[Path]) -> dict[str, Any]:
    """One side on the rows of `files`, in this process."""
    from skillsengine.spec.schema import Prompt
    from skillsengine.stages.rows import parse_row

    template = Prompt().template

    def texts() -> Iterator[tuple[str, str]]:
        for path in files:
            with path.open(encoding="utf-8") as file:
                for row in map(parse_row, file):
                    yield row.prompt(template), row.answer or ""

    # What a side has in memory before the clock starts; ours reads while it measures.
    whole = [prompt + answer for prompt, answer in texts()] if side != "ours" else []
    before, cpu, started = memory("VmRSS"), time.process_time(), time.perf_counter()
    if side == "ours":
        lengths = _ours(texts(), tokenizer)
    else:
        lengths = _loop(whole, tokenizer) if side == "loop" else _library(whole, tokenizer)
    seconds = time.perf_counter() - started
    return {
        "side": side,
        "rows": len(lengths),
        "tokens": int(np.sum(lengths, dtype=np.int64)),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "memory_before_mb": round(before / 1e6, 1),
        "peak_memory_mb": round(memory("VmHWM") / 1e6, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def _ours(texts: Iterator[tuple[str, str]], tokenizer: Any) -> Sequence[int]:
    from skillsengine.modeling.encoding import stream_lengths

    lengths = array("i")
    for measured in stream_lengths(texts, tokenizer):
        lengths.extend(measured)
    return lengths


def _loop(texts: Sequence[str], tokenizer: Any) -> Sequence[int]:
    return [len(tokenizer.encode(text)) for text in texts]


def _library(texts: Sequence[str], tokenizer: Any) -> Sequence[int]:
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    backend = tokenizer.backend_tokenizer
    lengths: list[int] = []
    for start in range(0, len(texts), _AT_ONCE):
        lengths += [len(encoding) for encoding in backend.encode_batch_fast(texts[start : start + _AT_ONCE])]
    return lengths


def child(side: str, bases: Path, files: Sequence[Path]) -> dict[str, Any]:
    """`run_side` in a fresh process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.token_profile",
        "--side",
        side,
        "--bases",
        str(bases),
        *map(str, files),
    ]
    told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(told.splitlines()[-1]))


def measure(rows: int, work: Path, bases: Path) -> list[dict[str, Any]]:
    """Every side on so many rows; the seconds of a side are the sum over its blocks."""
    folder = work / str(rows)
    folder.mkdir()
    try:
        write_rows(folder, rows)
        files = sorted(folder.glob("rows-*.jsonl"), key=lambda path: int(path.stem.partition("-")[2]))
        blocks = []
        for file in files:
            for side in SIDES:
                blocks.append(child(side, bases, [file]))
                print(json.dumps(blocks[-1]), file=sys.stderr, flush=True)
        # The blocks of ours hold a part each; the memory of all of them is told by a process that has all.
        whole = blocks[0] if len(files) == 1 else child("ours", bases, files)
    finally:
        shutil.rmtree(folder)
    found = []
    for side in SIDES:
        of = [block for block in blocks if block["side"] == side]
        row = {"side": side, "rows": rows} | {
            name: round(sum(block[name] for block in of), 2) for name in ("tokens", "seconds", "cpu_seconds")
        }
        if side == "ours":
            row |= {name: whole[name] for name in ("memory_before_mb", "peak_memory_mb")}
        if len(of) > 1:
            row["blocks"] = [round(block["seconds"], 2) for block in of]
        found.append(
            row | {"rows_per_second": round(rows / row["seconds"]), "load": max(block["load"] for block in of)}
        )
    return found


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How much faster ours is than the loop, how near it comes to the library, and what a row adds to its memory."""
    found: dict[str, Any] = {}
    by = {(row["side"], row["rows"]): row for row in rows}
    sizes = sorted({row["rows"] for row in rows})
    for size in sizes:
        ours, loop, library = (by[side, size] for side in SIDES)
        found[f"{size} rows"] = {
            "faster_than_the_loop": round(loop["seconds"] / ours["seconds"], 2),
            "library_seconds_to_ours": round(library["seconds"] / ours["seconds"], 2),
            "library_cpu_seconds_to_ours": round(library["cpu_seconds"] / ours["cpu_seconds"], 2),
            "loop_cpu_seconds_to_ours": round(loop["cpu_seconds"] / ours["cpu_seconds"], 2),
        }
        if "blocks" in ours:
            # What else the machine did meets a few blocks, and not their median.
            for name, other in (("faster_than_the_loop", loop), ("library_seconds_to_ours", library)):
                each = [theirs / mine for theirs, mine in zip(other["blocks"], ours["blocks"], strict=True)]
                found[f"{size} rows"][f"{name}, median of {len(each)} blocks"] = round(median(each), 2)
        if size > sizes[0]:
            more = (ours["peak_memory_mb"] - by["ours", sizes[0]]["peak_memory_mb"]) * 1e6
            found[f"{size} rows"]["bytes_a_further_row"] = round(more / (size - sizes[0]), 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes to measure")
    parser.add_argument("--work", type=Path, help="folder for the rows (a temporary one); 1,000,000 ads are 1.5 GB")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument(
        "--bases", type=Path, help="`bases` of a store that has the built-in base (else it is converted)"
    )
    parser.add_argument("files", type=Path, nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(run_side(given.side, tokenizer_of(given.bases), given.files)))
        return
    rows = {(row["rows"], row["side"]): row for row in read_rows("token_profile")}
    work = Path(tempfile.mkdtemp(prefix="token-profile-", dir=given.work))
    try:
        bases = given.bases or prepare_base(work)
        for size in given.rows:
            for row in measure(size, work, bases):
                rows[size, row["side"]] = row
            done = [rows[key] for key in sorted(rows)]
            print(json.dumps(ratios(done), indent=1), record("token_profile", done, ratios(done)), sep="\n")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
