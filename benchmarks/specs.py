"""A folder of specs, from YAML to DAGs: what it takes to read 10, 100, 1,000 of them, to take in one edit, to start a task.
Side by side with dag-factory, and under the real Airflow.

    python -m benchmarks.specs                           # all of it, about 45 minutes on two cores
    python -m benchmarks.specs --only parse              # processor seconds and memory, with dag-factory: 10 minutes
    python -m benchmarks.specs --only live --counts 10   # latency and rest under the embedded Airflow

dag-factory's current release is installed into a virtual environment of its own, beside the same release of Airflow, unless
`--peer PYTHON` names one that has both. Each figure is the median of `--rounds` processes, ours and the peer's in turn. An
experiment is two DAGs of ten tasks in all; a file of `peer` is one DAG of six tasks, a file of `twin` has the same two DAGs
as ours.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import _specs_live
from benchmarks._record import read_rows, record
from benchmarks._specs_files import write_ours, write_peer, write_twin

PROJECT = Path(__file__).resolve().parent.parent
COUNTS = (10, 100, 1000)
LIVE_COUNTS = (10, 300, 1000)
WHATS = ("full", "edit", "worker")
SIDES = {"ours": write_ours, "peer": write_peer, "twin": write_twin}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", choices=("parse", "live"), help="one of the two parts; the other's rows stay as they were"
    )
    parser.add_argument(
        "--counts", type=int, nargs="+", help=f"numbers of specs (default {COUNTS}, live {LIVE_COUNTS})"
    )
    parser.add_argument("--rounds", type=int, default=3, help="processes for each figure of the first part")
    parser.add_argument("--peer", type=Path, metavar="PYTHON", help="an interpreter that has dag-factory and Airflow")
    arguments = parser.parse_args()
    rows = {(row["part"], row["specs"]): row for row in read_rows("specs")}
    with tempfile.TemporaryDirectory(prefix="specs-") as name:
        work = Path(name)
        if arguments.only != "live":
            peer = arguments.peer or make_peer(work / "peer")
            for count in arguments.counts or COUNTS:
                rows["parse", count] = {"part": "parse", "dag-factory, Airflow": version(peer)} | parse(
                    count, work, peer, arguments.rounds
                )
                print(json.dumps(rows["parse", count]), flush=True)
        if arguments.only != "parse":
            for count in arguments.counts or LIVE_COUNTS:
                folder = work / f"live-{count}"
                folder.mkdir()
                rows["live", count] = {"part": "live", "load": load()} | _specs_live.measure(count, folder)
                print(json.dumps(rows["live", count]), flush=True)
                shutil.rmtree(folder)
    done = [rows[key] for key in sorted(rows)]
    print(table(done), record("specs", done, ratios(done)), sep="\n")


def parse(count: int, work: Path, peer: Path, rounds: int) -> dict[str, Any]:
    """The figures of one number of specs: what -> side -> figure -> median over the rounds."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {what: {side: [] for side in SIDES} for what in WHATS}
    for _ in range(rounds):
        for what in WHATS:
            for side, write in SIDES.items():
                folder = work / side
                write(folder, count)
                found[what][side].append(child(Path(sys.executable) if side == "ours" else peer, side, what, folder))
                shutil.rmtree(folder)
    row: dict[str, Any] = {"specs": count, "load": load()}
    for what in WHATS:
        row[what] = {side: medians(found[what][side]) for side in SIDES}
    return row


def child(python: Path, side: str, what: str, folder: Path) -> dict[str, Any]:
    command = [str(python), "-m", "benchmarks._specs_child", side, what, str(folder)]
    # The last line: Airflow has something to say at its start.
    out = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(out.splitlines()[-1]))


def medians(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {key: round(statistics.median(row[key] for row in rows), 6) for key in rows[0]}


def make_peer(folder: Path) -> Path:
    """A virtual environment with dag-factory's current release and our release of Airflow."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    airflow = importlib.metadata.version("apache-airflow")
    subprocess.run(
        [str(python), "-m", "pip", "install", "-q", f"apache-airflow=={airflow}", "dag-factory", "psutil"], check=True
    )
    return python


def version(peer: Path) -> str:
    asked = "from importlib.metadata import version as v; print(*(v(of) for of in ('dag-factory', 'apache-airflow')))"
    return subprocess.run([str(peer), "-c", asked], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def load() -> float:
    """Processes that shared the machine in the last minute."""
    return round(os.getloadavg()[0], 1)


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What may be quoted: dag-factory's seconds to ours, and how our worker's parse grows."""
    parsed = {row["specs"]: row for row in rows if row["part"] == "parse"}
    told: dict[str, Any] = {}
    for count, row in parsed.items():
        told[f"{count} specs"] = {
            f"{what}, {side} to ours": round(row[what][side]["seconds"] / row[what]["ours"]["seconds"], 2)
            for what in WHATS
            for side in ("peer", "twin")
        } | {f"full without serializing, {side} to ours": read(row, side) for side in ("peer", "twin")}
    if len(parsed) > 1:
        seconds = [row["worker"]["ours"]["seconds"] for row in parsed.values()]
        told["our worker's parse, most to fewest specs"] = round(seconds[-1] / seconds[0], 2)
    return told


def read(row: dict[str, Any], side: str) -> float:
    """How many times as long as ours it takes to load, compile and parse."""
    return round(parsed_seconds(row, side) / parsed_seconds(row, "ours"), 2)


def parsed_seconds(row: dict[str, Any], side: str) -> float:
    full = row["full"][side]
    return float(full["compile_seconds"] + full["parse_seconds"])


def table(rows: Sequence[dict[str, Any]]) -> str:
    """What docs/scale.md quotes, in Markdown."""
    parsed = [row for row in rows if row["part"] == "parse"]
    live = [row for row in rows if row["part"] == "live"]
    lines = [
        "| processor seconds | specs | skillsengine | dag-factory, one DAG of six tasks | dag-factory, the same two DAGs |"
    ]
    lines.append("| --- | --- | --- | --- | --- |")
    for row in parsed:
        seconds = [f"{parsed_seconds(row, side):.3g}" for side in SIDES]
        lines.append(f"| all files to DAGs: load, compile, parse | {row['specs']:,} | {' | '.join(seconds)} |")
    for what, title in _TITLES.items():
        for row in parsed:
            seconds = [f"{row[what][side]['seconds']:.3g}" for side in SIDES]
            lines.append(f"| {title} | {row['specs']:,} | {' | '.join(seconds)} |")
    for row in parsed:
        memory = [f"{row['full'][side]['memory_mb']:.0f}" for side in SIDES]
        lines.append(
            f"| MB that a process takes to parse the files in turn | {row['specs']:,} | {' | '.join(memory)} |"
        )
    lines += ["", "| under the embedded Airflow | " + " | ".join(f"{row['specs']:,} specs" for row in live) + " |"]
    lines.append("| --- |" + " --- |" * len(live))
    for key, title in _LIVE_TITLES.items():
        shown = [f"{row[key]['median']} (at most {row[key]['longest']})" for row in live]
        lines.append(f"| seconds from {title} (of {_specs_live.ROUNDS}) | {' | '.join(shown)} |")
    for key, title in _CPU_TITLES.items():
        lines.append(f"| {title} | {' | '.join(str(row[key]) for row in live)} |")
    return "\n".join(lines) + "\n"


_TITLES = {
    "full": "the same, and serialized by Airflow",
    "edit": "one edit: read, parse, serialize what it touches",
    "worker": "parse at a task's start",
}
_LIVE_TITLES = {
    "new_seconds": "a new file to its DAG in the API",
    "edit_seconds": "an edit to the new text in the API",
    "import_error_seconds": "a mistake to its import error in the API",
}
_CPU_TITLES = {
    "rest_cpu_seconds_a_minute": "processor seconds a minute that the DAG processor takes at rest",
    "first_parse_cpu_seconds_a_spec": "processor seconds a spec that its start takes, its own included",
}


if __name__ == "__main__":
    main()
