"""The pages under uvicorn, as a process of its own: `python -m tests.airflow.ui.serving FOLDER PORT`.

What Airflow is to them is as in the other tests of this folder, so a browser sees them without an Airflow that runs. FOLDER
becomes a project with the past of `answered`, and `token` in it is what a browser of Ann's has as its cookie `_token`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import uvicorn

from tests.airflow.ui.answered import begin, many
from tests.airflow.ui.filling import AirflowTables
from tests.airflow.ui.visiting import pages_app, set_up_airflow
from tests.reporting.past import Past

LONG = "Betriebs" + "wirtschafts" * 12 + "lehre"
"""What has no place to break."""


def serve(project: Path, port: int) -> None:
    set_up_airflow()
    from airflow.api_fastapi.app import get_auth_manager

    (project / "experiments").mkdir(parents=True)
    with AirflowTables() as tables:
        past = begin(tables, project)
    ads, errors = many(23)
    past.version(3, 0.1, "2026-06", ads=ads, errors=errors, more={"missed": 23, "invented": 23, "boundary": 0})
    long = {name: (f"{text}\n{LONG}\n" * 3, [*gold, LONG], [*gold, LONG]) for name, (text, gold, _) in ads.items()}
    past.spec = {**past.spec, "description": "\n".join(f"{LONG} {line}" for line in range(12))}
    past.version(4, 1.0, "2026-06", ads=long, errors=[])
    with_runs(past, tables)
    manager: Any = get_auth_manager()
    ann = next(user for user in manager.get_users() if user.username == "ann")
    (project / "token").write_text(manager.generate_jwt(ann))
    uvicorn.run(pages_app(""), host="127.0.0.1", port=port, log_level="warning")


def with_runs(past: Past, tables: AirflowTables) -> None:
    """One that has succeeded and a newer one that has failed."""
    for run_id, state in (("manual__1", "success"), ("manual__2", "failed")):
        row = past.catalog.pin_run(
            "tiny",
            run_id,
            experiment="tiny",
            kind="retrain",
            partition="2026-06",
            spec=past.spec,
            options={"files": {}},
            trigger="manual",
            spec_commit=None,
        )
        past.catalog.finish_run(row.id, state, f"{LONG} {state}")
        tables.run("tiny", run_id, state)


if __name__ == "__main__":
    os.environ["SKILLSENGINE_PROJECT"] = sys.argv[1]
    serve(Path(sys.argv[1]), int(sys.argv[2]))
