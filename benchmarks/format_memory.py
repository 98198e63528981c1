"""Peak memory and rows a second of `format` and `profile` from 1,000 to 1,000,000 ads.

    python -m benchmarks.format_memory                            # 1,000, 100,000 and 1,000,000 ads, both series
    python -m benchmarks.format_memory --rows 1000 100000         # some of them; the others' rows stay as they were

The ads are drawn with repetition, by a seed, from the real ones beside the checkout (../shared/data: SkillSpan's documents and
paragraphs, and 54 months of Hacker News), each with an id of its own. Two series:

repeated   the texts as they are: a million rows of some 8,000 texts, so exact copies collapse
distinct   every text is made distinct: one inserted word in every second row (near copies of each other, by the hundred), one
           word in every three in the others (strangers), so the index of texts and signatures is full

Each stage runs in a fresh process through the pipeline's own door, with the built-in base's tokenizer; peak memory is that
process' VmHWM (Linux), beside what it held before the stage began. Writing the source and converting the base are not measured.
Where other work shares the cores (`load`: runnable processes at the stage's end), rows a second are a floor; `cpu_seconds`, of
all threads, tell more.
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
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from benchmarks._record import read_rows, record

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
SIZES = (1_000, 100_000, 1_000_000)
SERIES = ("repeated", "distinct")
STAGES = ("format", "profile")
_SEED = 20_260_101
_EVERY = 15.0
"""Seconds between two lines of progress."""


def pool() -> list[dict[str, Any]]:
    """The real ads, in a fixed order."""
    folders = (DATA / "skillspan" / "document", DATA / "skillspan" / "paragraph", DATA / "history" / "hn")
    files = [file for folder in folders for file in sorted(folder.glob("*.jsonl"))]
    if not files:
        raise SystemExit(f"no ads: this benchmark needs the real data sets beside the checkout ({DATA.name}/).")
    # Not splitlines: it breaks at U+2028 too, which stands in some ads.
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n")]


def ads(rows: int, series: str) -> Iterator[dict[str, Any]]:
    """`rows` ads by the seed; labels that an inserted word has split are left out."""
    random, known = Random(_SEED), pool()
    words = sorted({word for ad in known for word in ad["job_description"].split() if word.isalpha()})
    for number in range(rows):
        drawn = random.choice(known)
        text, skills = drawn["job_description"], drawn["skills"]
        if series == "distinct":
            pieces = text.split(" ")
            for _ in range(1 if number % 2 else len(pieces) // 3 + 1):
                pieces.insert(random.randrange(len(pieces) + 1), random.choice(words))
            text = " ".join(pieces)
            skills = [skill for skill in skills if skill in text]
        yield {"id": f"ad-{number}", "job_description": text, "skills": skills}


def write_source(project: Path, rows: int, series: str) -> int:
    """The source of a project in the new folder; returns its bytes."""
    (project / "experiments").mkdir(parents=True)
    (project / "data").mkdir()
    with (project / "data" / "ads.jsonl").open("w", encoding="utf-8") as file:
        for ad in ads(rows, series):
            file.write(json.dumps(ad, ensure_ascii=False) + "\n")
    return (project / "data" / "ads.jsonl").stat().st_size


def run_one(project: Path, stage: str) -> dict[str, Any]:
    """One stage of the project's experiment, in this process; earlier ones are in its store."""
    from skillsengine.pipeline.run import open_run, run_stage
    from skillsengine.settings import load_settings
    from skillsengine.spec.schema import Experiment
    from skillsengine.stages.contract import Progress

    # What the stage imports is not what it holds.
    __import__(f"skillsengine.stages.{stage}")
    spec = {
        "name": "format-memory",
        "schedule": "none",
        "data": {"source": "data/ads.jsonl"},
        "base": {"model": "smollm2-135m-instruct"},
        "tokens": {"overlong": "split"},
        "tracking": {"mode": "disabled"},
        "resources": {"device": "cpu"},
    }
    run = open_run(Experiment.model_validate(spec), dag_id="benchmark", run_id="1", settings=load_settings(project))
    before, cpu, told = memory("VmRSS"), time.process_time(), time.monotonic()

    def observe(step: str, progress: Progress) -> None:
        nonlocal told
        if time.monotonic() - told > _EVERY:
            told = time.monotonic()
            print(f"  {step}: {progress.text} · {memory('VmRSS') / 1e6:.0f} MB", file=sys.stderr, flush=True)

    [step] = run_stage(run, stage, observe)["steps"]
    folder = run.store.get(stage, step["digest"])
    assert folder is not None
    sizes = {name: entry.size for name, entry in folder.manifest.files.items()}
    return {
        "seconds": step["seconds"],
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "load": round(os.getloadavg()[0], 1),
        "memory_before_mb": round(before / 1e6, 1),
        "peak_memory_mb": round(memory("VmHWM") / 1e6, 1),
        "bytes": sizes,
        "summary": {key: value for key, value in step["summary"].items() if isinstance(value, (int, float))},
    }


def memory(field: str) -> int:
    """Bytes of this process: `VmRSS` now, `VmHWM` at most (of its own, unlike getrusage, which keeps the parent's)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{field}:"))


def measure(rows: int, series: str, work: Path, bases: Path) -> Iterator[dict[str, Any]]:
    """Both stages on one source, each in a fresh process; everything written is removed again."""
    project = work / f"{series}-{rows}"
    print(f"{series}, {rows:,} ads: writing the source", file=sys.stderr, flush=True)
    try:
        source = write_source(project, rows, series)
        store = project / ".skillsengine" / "store"
        store.mkdir(parents=True)
        (store / "bases").symlink_to(bases, target_is_directory=True)
        for stage in STAGES:
            command = [sys.executable, "-m", "benchmarks.format_memory", "--stage", stage, "--project", str(project)]
            told = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            found = json.loads(told.splitlines()[-1])
            each = {
                "stage": stage,
                "series": series,
                "rows": rows,
                "rows_per_second": round(rows / found["seconds"], 1),
            }
            print(json.dumps(each | {"peak_memory_mb": found["peak_memory_mb"]}), flush=True)
            yield each | {"source_bytes": source} | found
    finally:
        shutil.rmtree(project)


def prepare_base(work: Path) -> Path:
    """The built-in base, converted once: `profile` reads its tokenizer and its config."""
    code = (
        "import sys; from pathlib import Path; from skillsengine.modeling.base import load_tokenizer; "
        "from skillsengine.spec.schema import Base; "
        "load_tokenizer(Base(model='smollm2-135m-instruct'), bases=Path(sys.argv[1]), allowed_roots=())"
    )
    subprocess.run([sys.executable, "-c", code, str(work / "bases")], check=True)
    return work / "bases"


def ratios(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Memory and speed of each size against the smallest of its stage and series; growth in bytes for each further row."""
    found = {}
    for stage in STAGES:
        for series in SERIES:
            sizes = sorted((r for r in rows if (r["stage"], r["series"]) == (stage, series)), key=lambda r: r["rows"])
            for row in sizes[1:]:
                least = sizes[0]
                more = (row["peak_memory_mb"] - least["peak_memory_mb"]) * 1e6
                found[f"{stage}, {series}, {row['rows']} to {least['rows']} rows"] = {
                    "peak_memory": round(row["peak_memory_mb"] / least["peak_memory_mb"], 3),
                    "bytes_a_further_row": round(more / (row["rows"] - least["rows"]), 1),
                }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES, help="sizes to measure")
    parser.add_argument("--series", choices=SERIES, nargs="+", default=SERIES)
    parser.add_argument("--work", type=Path, help="folder for the sources and the stores (a temporary one)")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--project", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        print(json.dumps(run_one(given.project, given.stage)))
        return
    # Several processes of one library each would fight for the cores with their threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    rows = {(row["stage"], row["series"], row["rows"]): row for row in read_rows("format_memory")}
    work = Path(tempfile.mkdtemp(prefix="format-memory-", dir=given.work))
    try:
        bases = prepare_base(work)
        for size in given.rows:
            for series in given.series:
                for row in measure(size, series, work, bases):
                    rows[row["stage"], row["series"], row["rows"]] = row
                done = [rows[key] for key in sorted(rows)]
                print(record("format_memory", done, ratios(done)))
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
