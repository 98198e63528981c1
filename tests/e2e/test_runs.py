"""Runs under the real Airflow, from the trigger to the registered version."""

from __future__ import annotations

import shutil
import time
from typing import Any

import httpx
import pytest

from skillsengine.airflow.client import AirflowError
from skillsengine.airflow.housekeeping import CHORES
from skillsengine.storage.catalog import Catalog
from tests.e2e.conftest import Platform, ask, wait_for
from tests.pipeline.project import write_month

CHAIN = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote", "report")


def log_of(platform: Platform, dag_id: str, run_id: str, task: str, attempt: int = 1) -> str:
    return "\n".join(platform.client.task_log(dag_id, run_id, task, attempt))


def test_a_run_goes_through_and_the_next_one_finds_all_done(platform: Platform) -> None:
    platform.add("whole")
    started = time.monotonic()
    run_id = platform.client.trigger("whole")
    run = platform.finish("whole", run_id)
    first = time.monotonic() - started
    assert platform.states("whole", run_id) == dict.fromkeys(CHAIN, "success"), log_of(
        platform, "whole", run_id, "report"
    )
    catalog = Catalog.open(platform.settings.catalog_url)
    version = catalog.resolve("whole", "latest")
    row = catalog.get_run("whole", run_id)
    assert row is not None and (row.state, row.partition, row.trigger) == ("success", "2026-03", "manual")
    assert run["note"] == row.note and run["note"].startswith("whole@1 · 2026-03 · F1: adapter ")
    assert version.number == 1 and version.state == "ready"
    said = log_of(platform, "whole", run_id, "finetune")
    assert "finetune: step" in said, "progress is in the task's log"
    events = [e for e in platform.client.asset_events() if e["source_dag_id"] == "whole"]
    assert [e["extra"] for e in events] == [{"version": "whole@1"}] or [e["extra"]["version"] for e in events] == [
        "whole@1"
    ]
    xcom = platform.client.xcom("whole", run_id, "register")
    assert xcom["steps"][0]["summary"]["version"] == "whole@1"

    started = time.monotonic()
    again = platform.client.trigger("whole")
    run = platform.finish("whole", again)
    second = time.monotonic() - started
    assert run["state"] == "success" and run["note"] == "unchanged since whole@1"
    assert len([e for e in platform.client.asset_events() if e["source_dag_id"] == "whole"]) == 1
    assert len(catalog.versions("whole")) == 1
    print(f"a run of {len(CHAIN)} tasks: {first:.1f} s, all cached: {second:.1f} s")


@pytest.mark.nightly
def test_a_month_that_a_version_was_not_trained_on_is_scored(platform: Platform) -> None:
    platform.add("scored")
    assert platform.finish("scored", platform.client.trigger("scored"))["state"] == "success"
    write_month(platform.settings.project / "data" / "ads" / "2026-05.jsonl", "2026-05")
    platform.client.trigger(
        "scored.evaluations", run_id="score", conf={"versions": ["1", "champion"], "partition": "2026-05"}
    )
    run = platform.finish("scored.evaluations", "score")
    assert (run["state"], run["note"][:21]) == ("success", "2026-05: scored@1 F1 "), run["note"]
    cells = [
        cell for cell in Catalog.open(platform.settings.catalog_url).cells("scored") if cell.partition == "2026-05"
    ]
    assert sorted(cell.kind for cell in cells) == ["adapter", "base", "lexicon"], "the baselines beside it"


@pytest.mark.nightly
def test_a_smoke_test_registers_nothing(platform: Platform) -> None:
    platform.add("smoke")
    run_id = platform.client.trigger("smoke", conf={"limit": 4})
    run = platform.finish("smoke", run_id)
    assert run["state"] == "success" and run["note"].startswith("done; nothing was registered")
    assert Catalog.open(platform.settings.catalog_url).versions("smoke") == []
    assert [e for e in platform.client.asset_events() if e["source_dag_id"] == "smoke"] == []


def test_what_is_wrong_with_a_run_stands_in_its_note_and_its_log(platform: Platform) -> None:
    platform.add("fails")
    asked: dict[str, tuple[dict[str, Any], str]] = {
        "no-data": ({"partition": "2025-07"}, "no data for 2025-07 at data/ads/2025-07.jsonl"),
        "typo": ({"limits": 3}, "conf: unknown key `limits`; did you mean `limit`?"),
    }
    for run_id, (conf, _) in asked.items():
        platform.client.trigger("fails", run_id=run_id, conf=conf)
    for run_id, (_, text) in asked.items():
        run = platform.finish("fails", run_id)
        assert run["state"] == "failed"
        assert run["note"].startswith(f"failed: format: {text}")
        tasks = {t["task_id"]: t for t in platform.client.task_instances("fails", run_id)}
        assert (tasks["format"]["state"], tasks["format"]["try_number"]) == ("failed", 1), "it is not tried again"
        assert tasks["report"]["state"] == "success" and tasks["promote"]["state"] == "upstream_failed"
        said = log_of(platform, "fails", run_id, "format")
        assert text in said
    with pytest.raises(AirflowError, match="400 .*limit"):
        platform.client.trigger("fails", conf={"limit": 0})


@pytest.mark.nightly
def test_a_run_whose_failed_tasks_alone_are_cleared_is_told_anew(platform: Platform) -> None:
    """Airflow does not clear the report with them: it had succeeded."""
    path = platform.write("mended", "gate: {min_gold_skills: 1}\n")
    path.write_text(path.read_text().replace("model: base", "model: later"))
    wait_for("its DAG", lambda: platform.client.dag("mended"))
    catalog = Catalog.open(platform.settings.catalog_url)
    run_id = platform.client.trigger("mended")
    run = platform.finish("mended", run_id)
    assert run["state"] == "failed" and "later" in run["note"]
    states = platform.states("mended", run_id)
    shutil.copytree(platform.settings.project / "base", platform.settings.project / "later")
    cleared = ask(
        platform,
        "POST",
        "dags/mended/clearTaskInstances",
        {"dag_run_id": run_id, "only_failed": True, "reset_dag_runs": True, "dry_run": False},
    )
    assert {task["task_id"] for task in cleared["task_instances"]} == {
        task for task, state in states.items() if state in ("failed", "upstream_failed")
    }
    wait_for("it to go on", lambda: platform.client.run("mended", run_id)["state"] != "failed")  # type: ignore[index]
    run = platform.finish("mended", run_id)
    assert run["state"] == "success" and run["note"].startswith("mended@1 "), run["note"]
    row = catalog.get_run("mended", run_id)
    assert row is not None and (row.state, row.note) == ("success", run["note"])
    report = next(task for task in platform.client.task_instances("mended", run_id) if task["task_id"] == "report")
    assert report["try_number"] == 1, "it ran once"


@pytest.mark.nightly
def test_a_spec_broken_in_mid_run_changes_nothing_that_runs(platform: Platform) -> None:
    platform.add("midway")
    run_id = platform.client.trigger("midway")
    wait_for("the first task", lambda: platform.states("midway", run_id).get("format") == "success", 120)
    platform.write("midway", "train2: {}\n")
    wait_for(
        "the import error", lambda: [e for e in platform.client.import_errors() if e["filename"] == "midway.yaml.py"]
    )
    run = platform.finish("midway", run_id)
    assert run["state"] == "success" and run["note"].startswith("midway@1 ")
    platform.write("midway")
    wait_for("the mend", lambda: not platform.client.import_errors())


@pytest.mark.nightly
def test_a_spec_edited_in_mid_run_is_for_the_next_run(platform: Platform) -> None:
    platform.add("edited")
    run_id = platform.client.trigger("edited")
    wait_for("the first task", lambda: platform.states("edited", run_id).get("format") == "success", 120)
    platform.write("edited", "tokens: {max_length: 64}\n")
    assert platform.finish("edited", run_id)["state"] == "success"
    row = Catalog.open(platform.settings.catalog_url).get_run("edited", run_id)
    assert row is not None and row.spec["tokens"]["max_length"] == "auto"


@pytest.mark.nightly
def test_a_dated_spec_runs_at_once_and_waits_for_its_data(platform: Platform) -> None:
    """The newest complete month is last month, for which this project has no data yet."""
    path = platform.settings.experiments / "dated.yaml"
    platform.write("dated")
    text = path.read_text().replace("schedule: none\n", "schedule: partition\nstart_date: 2026-01-01\n")
    path.write_text(text.replace("window: 2", "window: 2, wait: 3s"))
    wait_for("its DAG", lambda: platform.client.dag("dated"))
    (run,) = wait_for("its run", lambda: platform.client.runs("dated"))
    assert run["run_type"] == "scheduled" and run["partition_key"]
    run = platform.finish("dated", run["dag_run_id"])
    assert run["state"] == "failed"
    assert run["note"].startswith(f"failed: wait_for_data: no data for {run['partition_key']} at data/ads/")
    assert "after waiting for 3s. Put the data there and clear this task to go on" in run["note"]
    # By hand the newest month that has data is taken, and for a month of its own a key.
    for run_id, partition in (("newest", None), ("february", "2026-02")):
        platform.client.trigger("dated", run_id=run_id, partition=partition)
    newest = max(path.stem for path in (platform.settings.project / "data" / "ads").glob("*.jsonl"))
    for run_id, partition in (("newest", newest), ("february", "2026-02")):
        assert platform.finish("dated", run_id)["state"] == "success"
        row = Catalog.open(platform.settings.catalog_url).get_run("dated", run_id)
        assert row is not None and row.partition == partition


@pytest.mark.nightly
def test_a_backfill_registers_but_never_promotes(platform: Platform) -> None:
    path = platform.write("past", "paused: false\n")
    text = path.read_text().replace("schedule: none\n", "schedule: partition\nstart_date: 2026-02-01\n")
    path.write_text(text.replace("window: 2", "window: 2, wait: 1s"))
    wait_for("its DAG", lambda: platform.client.dag("past"))
    client = platform.client
    assert client.backfill("past", "2026-01-01", "2026-03-31", max_active_runs=3)

    def backfilled() -> list[dict[str, Any]]:
        found = [run for run in client.runs("past") if run["run_type"] == "backfill"]
        return found if len(found) == 3 else []

    runs = wait_for("its runs", backfilled)
    notes = {r["partition_key"]: platform.finish("past", r["dag_run_id"])["note"] for r in runs}
    assert set(notes) == {"2026-01", "2026-02", "2026-03"}
    assert "2026-01 is before start_date 2026-02-01 of `past`" in notes["2026-01"]
    assert notes["2026-02"].startswith("past@") and notes["2026-03"].startswith("past@")
    catalog = Catalog.open(platform.settings.catalog_url)
    assert catalog.alias("past", "champion") is None and catalog.alias("past", "latest") == 2


def test_the_platforms_own_dag_runs(platform: Platform) -> None:
    wait_for("its DAG", lambda: platform.client.dag("skillsengine.housekeeping"))
    (run,) = wait_for("its first run", lambda: platform.client.runs("skillsengine.housekeeping"))
    platform.finish("skillsengine.housekeeping", run["dag_run_id"])
    states = platform.states("skillsengine.housekeeping", run["dag_run_id"])
    assert states == dict.fromkeys(CHORES, "success")


def test_the_api_answers_on_loopback_only(platform: Platform) -> None:
    import psutil

    from skillsengine.airflow.embedded_state import read_state

    state = read_state(platform.settings)
    assert state is not None
    listening = [
        connection.laddr.ip
        for process in state.members()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]
    assert httpx.get(f"{state.url}/", trust_env=False).status_code == 200
