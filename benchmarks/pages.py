"""How long the Experiments pages take with a large history, and how many queries: 1,000 experiments x 24 versions x 60
partitions.

    python -m benchmarks.pages                    # about 10 minutes, most of them to fill the catalog; 3 GB of disk
    python -m benchmarks.pages --experiments 50   # a look

SQLite, one process, the pages' application behind the real auth manager; each figure is the median of `--loads` loads. A page
is counted as loaded when its last byte is there; a browser then draws it.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks._record import record

HISTORY = 24
MONTHS = [f"{2021 + (n + 11) // 12}-{(n + 11) % 12 + 1:02d}" for n in range(60)]
"""The partitions, 2021-12 to 2026-11; a version's own run is of one of the last 24."""
STEPS = (*(f"format[{n}]" for n in range(5)), "profile", "finetune", "evaluate[adapter]", "register")
VERDICT = {
    "number": 2,
    "champion": 1,
    "metric": "f1",
    "opponent": None,
    "passed_over": {},
    "verdict": "keep",
    "reason": "f1 0.700 against 0.701: within chance",
    "scores": {"challenger": 0.7, "opponent": 0.701, "rows": 24, "gold_skills": 133, "partitions": []},
}
PAGES = {
    "list": "/experiments",
    "list, by F1": "/experiments?sort=f1",
    "list, searched": "/experiments?q=experiment-0042",
    "list, last page": "/experiments?page=99999",
    "one experiment": "/experiments/experiment-0042",
    "live": "/experiments/experiment-0042/live.json",
    "matrix": "/experiments/experiment-0042/matrix",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--loads", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="a folder to fill, or one that was filled before")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pages-") as name:
        folder = (arguments.keep or Path(name)).resolve()
        fresh = not (folder / "project").is_dir()
        os.environ |= {"AIRFLOW_HOME": str(folder / "airflow"), "SKILLSENGINE_PROJECT": str(folder / "project")}
        (folder / "project" / "experiments").mkdir(parents=True, exist_ok=True)
        from tests.airflow.ui.visiting import set_up_airflow

        set_up_airflow()
        if fresh:
            fill(folder / "project", arguments.experiments)
            if arguments.keep:
                print(f"filled: {folder}", flush=True)
        rows = measure(arguments.loads)
    for row in rows:
        print(json.dumps(row))
    if arguments.experiments == 1000:
        record("pages", rows, {})


def fill(project: Path, experiments: int) -> None:
    """Rows as runs would leave them, put in by the thousand."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import insert

    from skillsengine.airflow.dagfile import good_file
    from skillsengine.spec.load import load_spec, resolved
    from skillsengine.storage.catalog import Catalog
    from skillsengine.storage.models import AliasRow, CellRow, ModelRow, RunRow, StepRow, VersionRow
    from tests.airflow.support import write_spec
    from tests.airflow.ui.filling import AirflowTables

    catalog = Catalog.open(f"sqlite:///{project / '.skillsengine' / 'catalog.db'}")
    now = datetime.now(UTC)
    score = {"partition": "2026-06", "rows": 24, "gold_skills": 133, "f1": 0.7, "f1_low": 0.6, "f1_high": 0.8}
    metrics = score | {f"{kind}_{name}": 0.5 for kind in "abcdefgh" for name in ("precision", "recall", "f1")}
    moments = [{"step": n, "train/loss": 1.0, "train/tokens_per_second": 100.0} for n in range(54)]
    with AirflowTables() as airflow:
        for place in range(experiments):
            name = f"experiment-{place:04d}"
            loaded = load_spec(write_spec(project, name))
            spec = resolved(loaded.experiment)
            source = f"experiments/{name}.yaml"
            code = good_file(source=source, text=loaded.text, experiment=loaded.experiment, project=str(project))
            airflow.dag(name, code=code, description=f"Number {place}.", owners=f"owner-{place % 20}")
            airflow.dag(f"{name}.evaluations", tags=("skillsengine", "evaluations"))
            first, shared = place * HISTORY, {"experiment": name, "kind": "retrain", "trigger": "scheduled"}
            runs, steps, versions, cells = [], [], [], []
            for n in range(HISTORY):
                when, run = now - timedelta(days=30 * (HISTORY - n) - 15), first + n + 1
                own = MONTHS[n - HISTORY]
                runs.append(
                    shared
                    | {"id": run, "dag_id": name, "run_id": f"r{n}", "partition": own, "spec": spec, "data": {}}
                    | {"options": {}, "state": "success", "note": "done", "started": when, "finished": when}
                )
                airflow.session.add(
                    DagRun(dag_id=name, run_id=f"r{n}", run_type="scheduled", start_date=when, run_after=when)
                )
                for step in STEPS:
                    stage, _, key = step.partition("[")
                    progress = {"history": moments} if stage == "finetune" else {}
                    steps.append(
                        {"run_id": run, "step_id": step, "stage": stage, "key": key.rstrip("]") or None}
                        | {"digest": f"{run}-{step}", "state": "done", "attempts": 1, "progress": progress}
                        | {"seconds": 60.0, "summary": score, "started": when, "updated": when, "finished": when}
                    )
                adapter = f"{run:064x}"
                versions.append(
                    {"model": name, "number": n + 1, "adapter_digest": adapter, "state": "ready", "experiment": name}
                    | {"partition": own, "run_id": run, "spec": spec, "artifact_digest": adapter, "path": "/v"}
                    | {"metrics": dict.fromkeys(("adapter", "base", "lexicon"), metrics), "lineage": {"format": {}}}
                    | {"verdict": VERDICT, "created": when, "published": when}
                )
                cells += [
                    {"subject": adapter, "kind": "adapter", "experiment": name, "partition": month}
                    | {"data_digest": month, "artifact_digest": f"{run}-{month}", "stage_version": 4, "metrics": score}
                    | {"adapter_digest": adapter, "created": when}
                    for month in MONTHS
                ]
            with catalog._db.writing() as session:
                session.execute(insert(ModelRow), [{"name": name, "last_number": HISTORY, "created": now}])
                for model, rows in ((RunRow, runs), (StepRow, steps), (VersionRow, versions), (CellRow, cells)):
                    session.execute(insert(model), rows)
                alias = {"model": name, "alias": "champion", "number": HISTORY - 3, "moved": now}
                session.execute(insert(AliasRow), [alias, alias | {"alias": "latest", "number": HISTORY}])
            airflow.session.commit()


def measure(loads: int) -> list[dict[str, Any]]:
    from tests.airflow.ui.visiting import Visitor, counting

    logging.disable(logging.INFO)  # a line for each request
    visitor, rows = Visitor("ann"), []
    for name, path in PAGES.items():
        visitor.html(path)
        with counting() as told:
            size = len(visitor.html(path))
        seconds = []
        for _ in range(loads):
            started = time.perf_counter()
            visitor.html(path)
            seconds.append(time.perf_counter() - started)
        rows.append(
            {"page": name, "median_ms": round(statistics.median(seconds) * 1000), "queries": len(told), "bytes": size}
        )
    return rows


if __name__ == "__main__":
    main()
