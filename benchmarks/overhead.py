"""What orchestration costs: the time of a run beside the work in it, and beside a bare Airflow DAG of the same shape.

    python -m benchmarks.overhead                       # the embedded Airflow: seven minutes on two cores
    python -m benchmarks.overhead --at-once 10 100      # the same, and a hundred experiments at once: ten minutes more
    python -m benchmarks.overhead --add --at-once 1000  # only that row, beside those of before: two hours
    python -m benchmarks.overhead --celery --fab DIR    # the same in the cluster of compose.yaml, as processes

bare      a DAG of as many tasks in a row as ours has, each a Python function that does nothing, in the same Airflow
cached    our run, when all of its stages are cached: Airflow, the catalog and the store, and no work
whole     our run, when all is to be done, with a tiny Llama; `work` are the seconds that its stages took, by the catalog
at once   so many experiments triggered one after the other without a pause, all cached but `register`, which makes a version of
          each: until the last run is over, with what Airflow's processes and tasks take meanwhile (processor, memory), and what
          its database grows by

A row of one run: seconds from its trigger to its end, the median of the runs, and the shortest and longest. `starting` is the
time between tasks: from the trigger, or the end of a task, to the start of the next one; `in tasks` the rest, without the work.
Processor seconds are those of all of Airflow's processes meanwhile; on a machine that others share they say more than seconds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._overhead_airflows import Airflow, cluster, embedded
from benchmarks._record import read_rows, record

RUNS = 5
WHOLE = 3
BARE = """\
from airflow.sdk import dag, task

@dag(schedule=None)
def bare():
    before = None
    for number in range({tasks}):
        @task(task_id=f"task_{{number}}")
        def nothing():
            pass
        after = nothing()
        if before is not None:
            before >> after
        before = after

bare()
"""
_RANK = 2
"""Of the adapter that all but `whole` find cached."""
_CHAIN = 8
"""Tasks of an experiment's run: format, profile, finetune, evaluate, register, gate, promote, report."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--at-once", type=int, nargs="*", default=[10], metavar="N", help="so many experiments at once")
    parser.add_argument("--add", action="store_true", help="measure only --at-once; the other rows stay as they were")
    parser.add_argument("--celery", action="store_true", help="the cluster, and not the embedded Airflow")
    parser.add_argument("--fab", type=Path, help="folder with FAB's packages, for the cluster")
    given = parser.parse_args()
    kind = "celery" if given.celery else "embedded"
    rows = kept(read_rows("overhead"), kind, [named(count) for count in given.at_once] if given.add else None)
    with tempfile.TemporaryDirectory() as work:
        opened = cluster(Path(work), given.fab) if given.celery else embedded(Path(work))
        with opened as airflow:
            for row in (at_once if given.add else measure)(airflow, given.at_once):
                # Now, and not in the end: a thousand at once may be stopped.
                rows = sorted([*rows, {"airflow": kind, **row}], key=lambda row: str(row["airflow"]), reverse=True)
                record("overhead", rows, ratios(rows))
                print(f"{row['what']}: {row['seconds']:g} s", flush=True)
    print(table(rows))


def kept(rows: Sequence[Mapping[str, Any]], kind: str, anew: Sequence[str] | None) -> list[Mapping[str, Any]]:
    """The rows that stay: those of the other Airflow, and of this one all but those that are measured `anew`; None for all."""
    return [row for row in rows if row["airflow"] != kind or (anew is not None and row["what"] not in anew)]


def measure(airflow: Airflow, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The rows, one after the other."""
    airflow.write_dag("bare", BARE.format(tasks=_CHAIN))
    names = [f"whole{number}" for number in range(WHOLE)]
    whole = []
    for number, name in enumerate(names):
        # Another rank is another adapter: nothing is cached but `format`.
        airflow.write_specs([name], rank=_RANK + number)
        whole.append(airflow.run(name))
    bare, cached = [], []
    for _ in range(RUNS):  # in turn, so that both find the same machine
        bare.append(airflow.run("bare"))
        cached.append(airflow.run(names[0]))
    yield summary("bare", bare)
    yield summary("cached", cached)
    yield summary("whole", whole)
    yield from many_at_once(airflow, counts)


def at_once(airflow: Airflow, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The rows of many at once alone, once one run has made what they find cached."""
    airflow.write_specs(["whole0"], rank=_RANK)
    airflow.run("whole0")
    yield from many_at_once(airflow, counts)


def many_at_once(airflow: Airflow, counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    for count in counts:
        names = [f"many{number}" for number in range(count)]
        airflow.write_specs(names, rank=_RANK)
        yield {"what": named(count), "runs": count} | airflow.run_all(names)


def named(count: int) -> str:
    return f"{count} at once"


def summary(what: str, runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Medians of a kind of run."""
    medians = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
    seconds = [run["seconds"] for run in runs]
    return {"what": what, "runs": len(runs)} | medians | {"shortest": min(seconds), "longest": max(seconds)}


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ours to the bare DAG of the same Airflow."""
    found = {}
    for kind in dict.fromkeys(row["airflow"] for row in rows):
        by = {row["what"]: row for row in rows if row["airflow"] == kind}
        if not {"bare", "cached", "whole"} <= by.keys():
            continue
        bare, cached, whole = by["bare"], by["cached"], by["whole"]
        found[kind] = {
            "cached_to_bare": round(cached["seconds"] / bare["seconds"], 2),
            "whole_without_its_work_to_bare": round((whole["seconds"] - whole["work"]) / bare["seconds"], 2),
            "seconds_a_task_more_than_bare": round((cached["seconds"] - bare["seconds"]) / _CHAIN, 2),
            "cpu_cached_to_bare": round(cached["cpu_seconds"] / bare["cpu_seconds"], 2),
            "cpu_seconds_a_task_more_than_bare": round((cached["cpu_seconds"] - bare["cpu_seconds"]) / _CHAIN, 2),
        }
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One run a row, then many at once."""
    lines = [
        "| Airflow | run | seconds | of it work | starting tasks | in tasks, beside the work | processor seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "work" in row:
            span = f"{row['seconds']:g} ({row['shortest']:g} to {row['longest']:g})"
            parts = f"{row['work']:g} | {row['starting']:g} | {row['in_tasks']:g} | {row['cpu_seconds']:g}"
            lines.append(f"| {row['airflow']} | {row['what']} | {span} | {parts} |")
    lines += [
        "",
        "| Airflow | experiments at once | seconds until the last run is over | processor seconds a run | most memory, MB | "
        "Airflow's database, KB a run |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "work" not in row:
            runs = f"{row['runs']:,}" + (f", {row['failed']} failed" if row.get("failed") else "")
            lines.append(
                f"| {row['airflow']} | {runs} | {row['seconds']:g} | {row['cpu_seconds_a_run']:g} | "
                f"{row['memory_mb']:,} | {row['database_kb_a_run']:g} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
