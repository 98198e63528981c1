"""The matrix of the demo corpus: a version retrained for each of 12 months, scored on all 18.

    python -m benchmarks.demo_matrix --work DIR                     # two hours on two cores; a stopped run goes on
    python -m benchmarks.demo_matrix --work DIR --until finetune    # the trainings first
    python -m benchmarks.demo_matrix --work DIR --record            # only write down what is there

The demo's own spec with a window of six months and one epoch. Each month's run is that of a backfill of the retrain DAG: it
registers and never promotes. Then the missing cells are filled as `skillsengine backfill` fills them. Written are
results/demo_matrix.json (every cell; `ratios` holds the F1 by the age of a version, the months between the last one that it was
trained on and the one that it is scored on) and docs/images/demo-matrix.png.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._record import RESULTS, record
from skillsengine.cli.matrix_view import draw_matrix
from skillsengine.pipeline.cells import trained_partitions
from skillsengine.pipeline.evaluations import run_evaluation
from skillsengine.pipeline.matrix import Matrix, build_matrix
from skillsengine.pipeline.run import finish_run, open_run, run_stage
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.load import load_spec
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import Progress
from skillsengine.storage.catalog import Catalog

PROJECT = RESULTS.parent.parent
PICTURE = PROJECT / "docs" / "images" / "demo-matrix.png"
DEMO, NAME, RETRAINED = "job-skills-demo", "demo-matrix", 12
_CHANGED = {
    f"name: {DEMO}": f"name: {NAME}\npaused: true\ntracking: {{mode: disabled}}",
    "start_date: 2026-01-01": "start_date: 2025-01-01",
    "  window: 5": "  window: 6",
    "  epochs: 2": "  epochs: 1",
}
_KEPT = ("f1", "f1_low", "f1_high", "precision", "recall", "gold_skills", "predicted_skills", "true_positives", "parse_rate",
         "verbatim_rate", "skills_per_ad")  # fmt: skip


def prepare(work: Path, bases: Path | None) -> tuple[Experiment, Settings]:
    """The project in `work`, and the experiment: the demo's spec with another name, window and number of epochs."""
    (work / "experiments").mkdir(parents=True, exist_ok=True)
    shutil.copytree(PROJECT / "data" / "demo", work / "data" / "demo", dirs_exist_ok=True)
    converted = work / ".skillsengine" / "store" / "bases"
    if bases is not None and not converted.exists():
        converted.parent.mkdir(parents=True, exist_ok=True)
        converted.symlink_to(bases.resolve(), target_is_directory=True)
    spec = work / "experiments" / f"{NAME}.yaml"
    spec.write_text(spec_text(), encoding="utf-8")
    settings = load_settings(work)
    return load_spec(spec).experiment, settings


def spec_text() -> str:
    """The demo's spec, changed where this differs: a file that the pages and the command line read too.

    Raises ValueError where the demo's spec has no such line any more.
    """
    text = (PROJECT / "experiments" / f"{DEMO}.yaml").read_text(encoding="utf-8")
    for line, instead in _CHANGED.items():
        changed = re.sub(rf"^{re.escape(line)}", instead, text, flags=re.MULTILINE)
        if changed == text:
            raise ValueError(f"experiments/{DEMO}.yaml has no line that begins with `{line}`: mend `_CHANGED` here")
        text = changed
    return text


def retrain(experiment: Experiment, settings: Settings, months: Iterable[str], until: str | None) -> None:
    """One version a month, as a backfill of the retrain DAG makes them."""
    for month in months:
        run = open_run(
            experiment,
            dag_id=NAME,
            run_id=f"backfill__{month}",
            settings=settings,
            partition=month,
            trigger="backfill",
        )
        for stage in run.plan.stages:
            for step in run_stage(run, stage, _tell)["steps"]:
                print(
                    f"{month} {step['id']}: {'cached' if step['cached'] else format(step['seconds'], '.0f') + ' s'}",
                    flush=True,
                )
            if stage == until:
                break
        else:
            finish_run(run, "success")


def fill(experiment: Experiment, settings: Settings) -> Matrix:
    """The matrix, once nothing is missing that can be filled."""
    catalog = Catalog.open(settings.catalog_url)
    missing = build_matrix(experiment, settings, catalog).missing()
    if missing:
        run = open_run(
            experiment,
            dag_id=f"{NAME}.evaluations",
            run_id=f"cli__{len(missing)}-{missing[0].version}-{missing[0].partition}",
            settings=settings,
            kind="evaluations",
            cells=[(cell.version, cell.partition) for cell in missing],
        )
        run_evaluation(
            run, _tell, lambda version, key, found: print(f"{version} on {key}: {found['f1']:.3f}", flush=True)
        )
        run.catalog.finish_run(run.id, "success", "filled")
    return build_matrix(experiment, settings, catalog)


def by_age(found: Matrix) -> dict[str, Any]:
    """Micro F1 over all cells whose version is so many months old; negative: months before its window."""
    order = list(found.partitions)
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for row in found.versions:
        window = [order.index(key) for key in trained_partitions(row)]
        for key in order:
            cell, place = found.cells.get((row.number, key)), order.index(key)
            if cell is None or cell.state != "scored":
                continue
            age = place - max(window) if place > max(window) else place - min(window)
            for at, name in enumerate(("gold_skills", "predicted_skills", "true_positives")):
                sums[age][at] += int(cell.metrics[name])
            sums[age][3] += 1
    return {
        str(age): {"f1": round(2 * both / (gold + said), 4), "gold_skills": gold, "cells": cells}
        for age, (gold, said, both, cells) in sorted(sums.items())
        if gold + said
    }


def write_down(found: Matrix) -> None:
    rows: list[dict[str, Any]] = []
    for version in found.versions:
        trained = trained_partitions(version)
        for key in found.partitions:
            cell = found.cells.get((version.number, key))
            if cell is not None:
                numbers = {name: cell.metrics[name] for name in _KEPT if name in cell.metrics}
                told = {"version": version.number, "trained_until": trained[-1], "scored_on": key, "state": cell.state}
                rows.append(told | numbers)
    for cell in found.distinct_baselines():
        told = {"baseline": cell.subject, "version": cell.version, "scored_on": cell.partition}
        rows.append(told | {n: cell.metrics[n] for n in _KEPT if n in cell.metrics})
    draw_matrix(found, "f1", PICTURE)
    record("demo_matrix", rows, {"f1_by_age_in_months": by_age(found)})


def _tell(step: str, progress: Progress) -> None:
    if progress.fraction in (0.0, 1.0):
        print(f"  {step}: {progress.text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="a folder for the project; the same one goes on")
    parser.add_argument("--bases", type=Path, help="folder of converted bases, to save their conversion")
    parser.add_argument("--until", help="stop each month's run after this stage, and fill nothing")
    parser.add_argument("--record", action="store_true", help="compute nothing")
    given = parser.parse_args(arguments)
    experiment, settings = prepare(given.work.resolve(), given.bases)
    months = sorted(path.stem for path in (PROJECT / "data" / "demo").glob("*.jsonl"))[-RETRAINED:]
    if not given.record:
        retrain(experiment, settings, months, given.until)
        if given.until:
            return
        fill(experiment, settings)
    write_down(build_matrix(experiment, settings, Catalog.open(settings.catalog_url)))


if __name__ == "__main__":
    main()
