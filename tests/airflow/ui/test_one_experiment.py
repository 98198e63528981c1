"""The page of one experiment: its parts, what each user sees of them, and a training as it goes on."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

from skillsengine.storage.artifact import Manifest
from skillsengine.storage.store import Store
from tests.airflow.ui.filling import AirflowTables, Filled, spec_of, verdict
from tests.airflow.ui.test_all_experiments import text_of

STEPS = {
    "format[2026-05]": ("cached", 0.1),
    "format[2026-06]": ("done", 2.2),
    "profile": ("cached", 0.1),
    "finetune": ("done", 275.0),
    "evaluate[adapter]": ("done", 72.0),
    "register": ("done", 3.0),
}


def part(page: str, id: str) -> str:
    """The text of a section."""
    start = page.index(f'id="{id}"')
    return text_of(page[page.index(">", start) + 1 : page.index("</section>", start)])


@pytest.fixture
def filled(airflow: AirflowTables, project: Path) -> Filled:
    """`skills` with a spec, two runs and two versions; the store has nothing."""
    airflow.experiment(project, "skills", "owner: ann\n", description="Finds skills.")
    filled, spec = Filled(project), spec_of(project, "skills")
    first = filled.run("skills", "r1", spec=spec, steps=STEPS, note="skills@1 · champion")
    filled.version("skills", 0.6, run=first, verdict=verdict(1, reason="better than the base"), champion=True)
    filled.run("skills", "cli__2", spec=spec, steps={"format[2026-06]": ("cached", 0.1)}, trigger="cli", state="failed")
    filled.version("skills", 0.62, verdict=verdict(2, "keep", "no difference is seen"))
    return filled


def test_the_runs_tell_each_stage(visitor: Any, filled: Filled) -> None:
    page = visitor("ann").html("/experiments/skills")
    told = part(page, "runs")
    assert "✓ succeeded 2026-06 manual 2.2 s 1 of 2 cached cached 5 min 72 s 3.0 s – 10 min skills@1 · champion" in told
    assert 'href="/dags/skills/runs/r1" target="_top"' in page and "/runs/cli__2" not in page, (
        "Airflow has no page of it"
    )


def test_versions_with_intervals_and_the_gate_s_reasons(visitor: Any, filled: Filled) -> None:
    ann = visitor("ann")
    page = ann.html("/experiments/skills")
    told = part(page, "versions")
    assert "skills@2 latest" in told and "0.620 0.570 to 0.670 0.100" in told and "keep no difference is seen" in told
    assert told.index("skills@2") < told.index("skills@1 champion")
    assert part(page, "version").startswith("skills@1"), "the champion is told more about"
    assert part(ann.html("/experiments/skills?version=2"), "version").startswith("skills@2")
    assert ann.get("/experiments/skills?version=3").status_code == 404
    assert ann.get("/experiments/skills?version=x").status_code == 422


def test_what_the_store_has_lost_is_said_in_its_place(visitor: Any, filled: Filled) -> None:
    page = visitor("ann").html("/experiments/skills")
    assert "is no longer in the store" in part(page, "training")
    assert "The token lengths are gone" in part(page, "texts")
    assert "no longer in the store" in part(page, "lineage")


def test_the_texts_are_the_profile_s_own(visitor: Any, filled: Filled, project: Path) -> None:
    store, digest = Store(project / ".skillsengine" / "store"), "ab" * 32
    summary = {"max_length": 144, "longest": 139, "rows": 3, "tokens": 300, "context_length": 8192, "rows_cut": 0}
    whole = {"histogram": {"edges": [0, 64, 128, 192], "counts": [1, 1, 1]}, "percentiles": {"50": 100}, "count": 3}
    with store.building("profile", digest) as out:
        (out / "lengths.json").write_text(json.dumps({"all": whole, "train": whole}))
        store.publish(out, Manifest("profile", 2, None, digest, {}, {}, summary))
    row = filled.catalog.allocate_version(
        "skills", "f" * 64, experiment="skills", partition="2026-06", run_id=None, spec={}
    )
    filled.catalog.publish_version("skills", row.number, "f" * 64, "/v", {}, {"profile": digest, "format": {}})
    page = visitor("ann").html(f"/experiments/skills?version={row.number}")
    assert "the longest 139. Texts are cut at 144: none of 3 rows cut." in part(page, "texts")
    assert re.search(r'<script type="application/json">\{"kind": "bars", "edges": \[0, 64, 128, 192\]', page)
    assert 'download="token-lengths.csv"' in page


def test_the_spec_as_written_and_where_each_value_was(visitor: Any, filled: Filled, project: Path) -> None:
    page = visitor("ann").html("/experiments/skills")
    assert '<pre tabindex="0" aria-label="experiments/skills.yaml">name: skills\nschedule: none\n' in page
    told = part(page, "spec")
    assert 'owner "ann" experiments/skills.yaml:5:8' in told and "train.epochs 3.0 default" in told
    (project / "experiments" / "skills.yaml").write_text("name: skills\ndata: {source: other.jsonl}\n")
    told = part(visitor("ann").html("/experiments/skills"), "spec")
    assert "has changed since Airflow parsed it" in told and 'owner "ann" –' in told
    (project / "experiments" / "skills.yaml").unlink()
    assert "The API server does not see experiments/skills.yaml" in part(
        visitor("ann").html("/experiments/skills"), "spec"
    )


def test_a_dag_file_cannot_name_another_file(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    from skillsengine.airflow.dagfile import good_file
    from skillsengine.spec.load import load_spec
    from tests.airflow.support import write_spec

    outside = write_spec(project / "elsewhere", "outside", "owner: x\n")
    loaded = load_spec(outside)
    source = "experiments/../elsewhere/experiments/outside.yaml"
    code = good_file(source=source, text=loaded.text, experiment=loaded.experiment, project=str(project))
    airflow.dag("outside", code=code)
    told = part(visitor("ann").html("/experiments/outside"), "spec")
    assert "does not see" in told and ":5:8" not in told


def test_every_dag_has_the_tab_and_only_ours_have_content(visitor: Any, airflow: AirflowTables, filled: Filled) -> None:
    airflow.dag("nightly.etl", tags=("etl",))
    ann = visitor("ann")
    for dag_id in ("skills", "skills.evaluations"):
        assert part(ann.html(f"/dags/{dag_id}"), "versions")
    other = ann.html("/dags/nightly.etl")
    assert "<code>nightly.etl</code> is a DAG of its own" in other and "skills" not in text_of(other).replace(
        "skillsengine", ""
    )


def test_a_user_sees_what_airflow_lets_them_see(visitor: Any, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

    hidden = {DagAccessEntity.CODE, DagAccessEntity.RUN}
    real = SimpleAuthManager.is_authorized_dag
    monkeypatch.setattr(
        SimpleAuthManager,
        "is_authorized_dag",
        lambda self, **asked: asked.get("access_entity") not in hidden and real(self, **asked),
    )
    red = visitor("red")
    page = red.html("/experiments/skills")
    assert "You may not read the runs of this DAG" in page and "You may not read the code of this DAG" in page
    assert "skills@1" not in page and "schedule: none" not in page
    assert red.get("/experiments/skills/live.json").status_code == 404


def test_a_training_is_told_while_it_goes_on(visitor: Any, filled: Filled, project: Path) -> None:
    ann, catalog = visitor("ann"), filled.catalog
    address = "/experiments/skills/live.json"
    assert ann.get(address).json() == {"run": "cli__2", "state": "failed"}
    run = filled.run("skills", "r3", spec=spec_of(project, "skills"), steps={"profile": ("done", 1.0)}, state=None)
    told = ann.get(address).json()
    assert told["state"] == "running" and told["stage"] is None and told["charts"] == {}
    assert "between two stages" in ann.html("/experiments/skills")
    catalog.start_step(run, "finetune", "finetune", None, "d" * 64)
    history = [{"step": n, "train/loss": 2.0 / n, "train/tokens_per_second": 100.0 + n} for n in (1, 10, 20)]
    moment = {"text": "step 20/54 · loss 0.10", "fraction": 20 / 54, "seconds_left": 120.0, "history": history}
    catalog.update_step(run, "finetune", moment)
    told = ann.get(address).json()
    assert (told["run"], told["stage"], told["text"]) == ("r3", "finetune", "step 20/54 · loss 0.10")
    assert told["fraction"] == 20 / 54 and told["left"] == "about 2 min left"
    (series,) = told["charts"]["live-loss"]["series"]
    assert series["points"] == [[1, 2.0], [10, 0.2], [20, 0.1]], "equal to the catalog's"
    assert told["charts"]["live-throughput"]["series"][0]["points"] == [[1, 101.0], [10, 110.0], [20, 120.0]]
    page = ann.html("/experiments/skills")
    assert "step 20/54 · loss 0.10" in part(page, "now") and 'id="chart-live-loss"' in page
    assert f'<progress max="1" value="{20 / 54}"' in page
    catalog.finish_step(run, "finetune", "done", 100.0, {})
    catalog.finish_run(run, "success", "done")
    assert ann.get(address).json() == {"run": "r3", "state": "success"}
    assert 'id="chart-live-loss"' not in ann.html("/experiments/skills")


def test_a_failed_stage_says_why(visitor: Any, filled: Filled, project: Path) -> None:
    error = "train.per_device_batch_size: 64 rows do not fit into 16 GB."
    steps = {"profile": ("done", 1.0), "finetune": ("failed", 3.0)}
    filled.run("skills", "r4", spec=spec_of(project, "skills"), steps=steps, state="failed", error=error)
    told = part(visitor("ann").html("/experiments/skills"), "runs")
    assert "failed 3.0 s" in told and error in told


def test_of_a_broken_spec_without_a_dag_only_the_problem_is_there(
    visitor: Any, airflow: AirflowTables, project: Path
) -> None:
    airflow.import_error("new", "experiments/new.yaml:1:1: nmae: unknown key")
    page = visitor("ann").html("/experiments/new")
    assert "nmae: unknown key" in html.unescape(page) and "It has no DAG yet." in page
    assert 'id="runs"' not in page and 'id="spec"' not in page
