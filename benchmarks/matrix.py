"""The matrix: what filling it costs, what finding nothing to fill costs, and what one run for many cells saves.

    OMP_NUM_THREADS=1 python -m benchmarks.matrix --bases DIR            # about 12 minutes on two cores
    OMP_NUM_THREADS=1 python -m benchmarks.matrix --only volume          # one series; the other rows stay

Series:
  volume    54 months of 120 ads (`../shared/data/history/hn`) x 3 versions of a seeded tiny Llama. A cell scores a sample of
            `--rows` ads (evaluate.max_rows): what a cell costs beside the model's own work is what counts here
  reality   SmolLM2 on 10 ads a month x 6 months, answers of at most 16 tokens, the lexicon for a baseline
  small     a tiny Llama on 8 ads a month x 6 months, where next to nothing is the model's work: only `grouped`
  airflow   the same under the embedded Airflow: one run for all cells, against Airflow's own backfill, which makes a run for
            each partition

The first two fill the empty matrix, ask again, add a month and change one. `grouped` fills the same cells (of 3 months in
`reality`) in one run and by a run a cell (their samples have other seeds and hold the same ads): what a further run costs is
its fixed cost, what is left of a cell its marginal cost. Adapters are trained for a few steps only, and their scores mean
nothing: the labels of these months are a dictionary's.
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from benchmarks._record import read_rows, record
from skillsengine.pipeline.evaluations import run_evaluation
from skillsengine.pipeline.matrix import build_matrix
from skillsengine.pipeline.run import finish_run, open_run, run_stage
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.load import load_spec
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog

HN = Path(__file__).resolve().parents[2] / "shared" / "data" / "history" / "hn"
SERIES = ("volume", "reality", "small", "airflow")
_TEN = "filled already, ten runs at a time"
TINY_MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07")

SPEC = """\
name: {name}
schedule: {schedule}
start_date: 2013-08-01
data: {{source: "data/{{partition}}.jsonl", window: 1, wait: 1s}}
base: {{model: {base}, quantization: none}}
lora: {{r: 4, alpha: 8}}
tokens: {{max_length: 512}}
train: {{epochs: {epochs}, per_device_batch_size: {batch}, learning_rate: 0.001, sample_predictions: 0}}
evaluate: {{max_new_tokens: {tokens}, max_rows: {rows}}}
tracking: {{mode: disabled}}
resources: {{device: cpu}}
"""


@dataclass(frozen=True)
class Project:
    """A project with its versions, whose newest month is kept back."""

    series: str
    settings: Settings

    @property
    def spec(self) -> Path:
        return self.settings.experiments / f"{self.series}.yaml"

    def experiment(self, *changes: str) -> Experiment:
        return load_spec(self.spec, overrides=changes).experiment

    def month(self, key: str) -> Path:
        return self.settings.project / "data" / f"{key}.jsonl"


def make(work: Path, series: str, months: Mapping[str, str], **spec: Any) -> Project:
    """`months` are the lines of each file."""
    folder = work / series
    (folder / "experiments").mkdir(parents=True)
    (folder / "data").mkdir()
    project = Project(series, load_settings(folder))
    for key, lines in months.items():
        project.month(key).write_text(lines, encoding="utf-8")
    values = {
        "name": series,
        "schedule": "none",
        "base": "base",
        "tokens": 16,
        "rows": "null",
        "epochs": 1,
        "batch": 8,
    } | spec
    project.spec.write_text(SPEC.format(**values), encoding="utf-8")
    return project


def train(project: Project, partitions: Sequence[str]) -> None:
    """A version for each partition, trained on the one before. Its run scores one ad: the cells belong to the first fill."""
    for key in partitions:
        run = open_run(
            project.experiment("evaluate.max_rows=1"),
            dag_id=project.series,
            run_id=f"train-{key}",
            settings=project.settings,
            partition=key,
        )
        for stage in run.plan.stages:
            run_stage(run, stage)
        finish_run(run, "success")


def fill(project: Project, *changes: str, one_by_one: bool = False, last: str | None = None) -> dict[str, Any]:
    """Seconds from the question what is missing to its end, and what was done."""
    started, cpu, catalog = time.monotonic(), time.process_time(), Catalog.open(project.settings.catalog_url)
    experiment = project.experiment(*changes)
    missing = build_matrix(experiment, project.settings, catalog, last=last).missing()
    looked = time.monotonic() - started
    asked = list(dict.fromkeys((cell.version, cell.partition) for cell in missing))
    groups = [[pair] for pair in asked] if one_by_one else [asked] if asked else []
    computed, generating = 0, 0.0

    def told(name: str, key: str, metrics: Mapping[str, Any]) -> None:
        nonlocal generating
        if metrics.get("generated_tokens"):
            generating += metrics["generated_tokens"] / metrics["tokens_per_second"]

    for group in groups:
        run = open_run(
            experiment,
            dag_id=f"{project.series}.evaluations",
            run_id=uuid4().hex,
            settings=project.settings,
            kind="evaluations",
            cells=group,
        )
        computed += run_evaluation(run, told=told)["done"]
        run.catalog.finish_run(run.id, "success", "filled")
    return {
        "seconds": round(time.monotonic() - started, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "of_which_looking": round(looked, 2),
        "of_which_generating": round(generating, 2),
        "cells": computed,
        "runs": len(groups),
    }


def nothing_missing(project: Project) -> dict[str, Any]:
    """The command as somebody types it, its start included."""
    catalog = Catalog.open(project.settings.catalog_url)
    before, started, children = len(catalog.list_runs(limit=10_000)), time.monotonic(), os.times()
    command = [sys.executable, "-m", "skillsengine", "backfill", project.series]
    done = subprocess.run(command, cwd=project.settings.project, capture_output=True, text=True, check=True)
    seconds, now = time.monotonic() - started, os.times()
    cpu = now.children_user + now.children_system - children.children_user - children.children_system
    if "nothing is missing" not in done.stdout:
        raise RuntimeError(f"something was missing: {done.stdout}")
    runs = len(catalog.list_runs(limit=10_000)) - before
    return {"seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2), "cells": 0, "runs": runs}


def course(project: Project, new: tuple[str, str], changed: str) -> Iterator[dict[str, Any]]:
    """First fill, nothing missing, a new month, a changed one."""
    yield {"what": "first fill", **fill(project)}
    yield {"what": "nothing missing", **nothing_missing(project)}
    project.month(new[0]).write_text(new[1], encoding="utf-8")
    yield {"what": "one new month", **fill(project)}
    path = project.month(changed)
    first, *others = path.read_text(encoding="utf-8").splitlines()
    ad = json.loads(first)
    ad["job_description"] += " Apply soon."
    path.write_text("\n".join([json.dumps(ad), *others]) + "\n", encoding="utf-8")
    yield {"what": "one changed month", **fill(project)}


def grouped(project: Project, last: str) -> Iterator[dict[str, Any]]:
    """The same cells of versions up to the month `last`, in one run and by a run each."""
    own = "evaluations.baselines=[]"
    yield {"what": "grouped: one run", **fill(project, own, "evaluate.seed=1", last=last)}
    yield {"what": "grouped: a run a cell", **fill(project, own, "evaluate.seed=2", last=last, one_by_one=True)}


def volume(work: Path, rows: int) -> Iterator[dict[str, Any]]:
    from tests.tiny import make_tiny_base

    months = {path.stem: path.read_text(encoding="utf-8") for path in sorted(HN.glob("*.jsonl"))}
    *early, last = months
    trained = ("2013-09", "2015-06", "2017-06")
    project = make(work, "volume", {key: months[key] for key in early}, rows=rows)
    make_tiny_base(project.settings.project / "base", context=4096)
    train(project, trained)
    yield from course(project, (last, months[last]), "2016-02")


def reality(work: Path, bases: Path | None) -> Iterator[dict[str, Any]]:
    paths = sorted(HN.glob("*.jsonl"))[:8]
    months = {path.stem: "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:10]) for path in paths}
    *early, last = months
    spec = {"base": "smollm2-135m-instruct", "epochs": 0.2, "batch": 2}
    project = make(work, "reality", {key: months[key] for key in early}, **spec)
    project.spec.write_text(project.spec.read_text() + "evaluations: {baselines: [lexicon]}\n")
    if bases is not None:
        project.settings.store_root.mkdir(parents=True)
        (project.settings.store_root / "bases").symlink_to(bases.resolve(), target_is_directory=True)
    train(project, [early[1]])
    yield from course(project, (last, months[last]), early[3])
    yield from grouped(project, early[3])


@contextmanager
def running(project: Project) -> Iterator[Any]:
    """The embedded Airflow of a project, once it has its DAG."""
    from skillsengine.airflow import embedded
    from skillsengine.airflow.client import AirflowClient

    address = embedded.up(project.settings)
    try:
        with AirflowClient(address.url) as client:
            while client.dag(f"{project.series}.evaluations") is None:
                time.sleep(0.5)
            client.set_paused(f"{project.series}.evaluations", False)
            yield client
    finally:
        embedded.down(project.settings)


def over(client: Any, dag_id: str, seen: set[str], count: int) -> list[dict[str, Any]]:
    """The runs that are not in `seen`, when there are `count` of them and all are over."""
    while True:
        runs = [run for run in client.runs(dag_id) if run["dag_run_id"] not in seen and run["run_type"] != "scheduled"]
        if len(runs) == count and all(run["state"] in ("success", "failed") for run in runs):
            return runs
        time.sleep(0.2)


def tiny(work: Path, series: str, schedule: str) -> Project:
    """A version that was trained on the first of TINY_MONTHS."""
    from tests.pipeline.project import write_month
    from tests.tiny import make_tiny_base

    project = make(work, series, {}, schedule=schedule)
    make_tiny_base(project.settings.project / "base")
    for key in TINY_MONTHS:
        write_month(project.month(key), key)
    project.spec.write_text(project.spec.read_text() + "evaluations: {versions: ['1'], baselines: []}\n")
    train(project, [TINY_MONTHS[1]])
    return project


def small(work: Path) -> Iterator[dict[str, Any]]:
    yield from grouped(tiny(work, "small", "none"), TINY_MONTHS[-1])


def under_airflow(work: Path) -> Iterator[dict[str, Any]]:
    project = tiny(work, "airflow", "partition\npaused: true")
    dag_id, scored = f"{project.series}.evaluations", TINY_MONTHS[1:]
    with running(project) as client:

        def timed(what: str, start: Any, runs: int) -> dict[str, Any]:
            # Airflow closes a backfill a while after its last run, and begins no other before.
            while any(not each["completed_at"] for each in client.backfills(dag_id)):
                time.sleep(0.5)
            seen, started = {run["dag_run_id"] for run in client.runs(dag_id)}, time.monotonic()
            start()
            found = over(client, dag_id, seen, runs)
            if any(run["state"] != "success" for run in found):
                raise RuntimeError(f"{what}: {[run['note'] for run in found]}")
            return {"what": what, "seconds": round(time.monotonic() - started, 2), "cells": len(scored), "runs": runs}

        cells = {"cells": [f"1@{key}" for key in scored], "evaluate.max_rows": 100}
        days = (f"{scored[0]}-01", f"{scored[-1]}-01")
        # Other samples of the same 8 ads: the cells of the one are none of the other.
        yield timed("grouped: one run", lambda: client.trigger(dag_id, conf=cells), 1)
        yield timed("grouped: a run a cell", lambda: client.backfill(dag_id, *days), len(scored))
        again = timed(
            "filled already, a run a cell", lambda: client.backfill(dag_id, *days, again="completed"), len(scored)
        )
        yield again | {"cells": 0}
        # As `airflow backfill create` does it, whose default are ten.
        many = timed(
            _TEN,
            lambda: client.backfill(dag_id, *days, again="completed", max_active_runs=10),
            len(scored),
        )
        yield many | {"cells": 0}


def taken(row: Mapping[str, Any]) -> float:
    """Seconds of a row: of the processor where they are known, since others may have been at work beside."""
    return float(row.get("cpu_seconds", row["seconds"]))


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each series: what a further run costs, what a cell costs beside, and how much less all of it is in one run."""
    by = {(row["series"], row["what"]): row for row in rows}
    found: dict[str, Any] = {}
    for series in SERIES:
        one, many = by.get((series, "grouped: one run")), by.get((series, "grouped: a run a cell"))
        told: dict[str, Any] = {}
        if one and many and many["runs"] > 1:
            fixed = (taken(many) - taken(one)) / (many["runs"] - 1)
            told |= {
                "fixed_seconds_a_run": round(fixed, 2),
                "marginal_seconds_a_cell": round((taken(one) - fixed) / one["cells"], 2),
                # Whatever is not the model's own answering, the marginal cost of a cell too.
                "beside_answering_a_run_a_cell_to_one_run": round(_beside(many) / _beside(one), 2),
                "all_a_run_a_cell_to_one_run": round(taken(many) / taken(one), 2),
            }
        if first := by.get((series, "first fill")):
            told["first_fill_seconds_a_cell"] = round(taken(first) / first["cells"], 3)
        if again := by.get((series, "filled already, a run a cell")):
            told["seconds_a_run_of_filled_cells"] = round(taken(again) / again["runs"], 2)
        if again := by.get((series, _TEN)):
            told["the_same_ten_runs_at_a_time"] = round(taken(again) / again["runs"], 2)
        if told:
            found[series] = told
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures as docs/matrix.md has them."""
    by = {(row["series"], row["what"]): row for row in rows}
    lines = [
        "| processor seconds, under Airflow seconds (cells computed, runs) | " + " | ".join(SERIES) + " |",
        "| --- " * (len(SERIES) + 1) + "|",
    ]
    for what in dict.fromkeys(row["what"] for row in rows):
        shown = [
            f"{taken(row):.3g} ({row['cells']}, {row['runs']})" if (row := by.get((series, what))) else ""
            for series in SERIES
        ]
        lines.append(f"| {what} | {' | '.join(shown)} |")
    found = ratios(rows)
    for name in dict.fromkeys(name for told in found.values() for name in told):
        shown = [f"{found[series][name]:.3g}" if name in found.get(series, {}) else "" for series in SERIES]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _beside(row: Mapping[str, Any]) -> float:
    return taken(row) * (1 - float(row.get("of_which_generating", 0.0)) / float(row["seconds"]))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=SERIES, nargs="+", default=SERIES)
    parser.add_argument("--rows", type=int, default=4, help="ads of a cell in `volume`")
    parser.add_argument("--bases", type=Path, help="folder of converted bases, to save their conversion")
    given = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="matrix-"))
    made = {
        "volume": lambda: volume(work, given.rows),
        "reality": lambda: reality(work, given.bases),
        "small": lambda: small(work),
        "airflow": lambda: under_airflow(work),
    }
    try:
        for series in given.only:
            found = []
            for row in made[series]():
                found.append({"series": series, **row, "load": round(os.getloadavg()[0], 1)})
                print(json.dumps(found[-1]), flush=True)
            keep(series, found)
    finally:
        shutil.rmtree(work)
    print(table(read_rows("matrix")))


def keep(series: str, found: Sequence[Mapping[str, Any]]) -> None:
    """Put the rows of one series into the file, in the place of those it has."""
    rows = [*found, *(row for row in read_rows("matrix") if row["series"] != series)]
    rows.sort(key=lambda row: SERIES.index(row["series"]))
    record("matrix", rows, ratios(rows))


if __name__ == "__main__":
    main()
