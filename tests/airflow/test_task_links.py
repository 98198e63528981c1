"""Links on a task's page in Airflow, and what a DAG behind the asset of a version is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from skillsengine.airflow import task_links, tasks, work
from skillsengine.airflow.dag import build
from tests.airflow.support import make_context
from tests.pipeline.project import make_project, tiny_experiment

WANDB = "https://wandb.example.com/team/project/runs/1"
ADDRESSES = {
    "Version": "/skillsengine/experiments/tiny?version=1#version",
    "Report": "/skillsengine/experiments/tiny/report?version=1",
    "Weights & Biases": WANDB,
}


def links(task: Any) -> dict[str, str]:
    """As Airflow asks for them when the task is over."""
    return {link.name: link.get_link(operator=task, ti_key=None) for link in task.operator_extra_links}


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The retrain DAG of a project in which the adapter of the run is registered as tiny@1."""
    settings = make_project(tmp_path, base=False)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(settings.project))
    monkeypatch.setattr(tasks, "die_with_parent", lambda parent: None)
    retrain, _ = build(tiny_experiment().model_dump_json(), source="s", digest="d", project=str(settings.project))
    run = retrain.get_task("register")._open(make_context())
    digest, metrics = run.plan.adapter.digest, {"adapter": {"f1": 0.5, "f1_low": 0.4, "f1_high": 0.6, "rows": 8}}
    row = run.catalog.allocate_version(
        "tiny", digest, experiment="tiny", partition="2026-03", run_id=run.id, spec={"name": "tiny"}
    )
    run.catalog.publish_version("tiny", row.number, "a" * 64, tmp_path, metrics, {})
    step = {"id": "register", "digest": "d", "cached": False, "seconds": 1.0, "wandb": WANDB}
    result = {"steps": [step | {"summary": {"version": "tiny@1"}}]}
    done = {name: lambda run, observer: result for name in ("finetune", "register")}
    monkeypatch.setattr(work, "RETRAIN", {**work.RETRAIN, **done})
    return retrain


def test_a_task_leads_to_what_it_has_made(registered: Any) -> None:
    class Event:
        def add(self, asset: Any, extra: Any) -> None:
            added.append((asset.name, extra))

    added: list[tuple[str, dict[str, Any]]] = []
    register, finetune = registered.get_task("register"), registered.get_task("finetune")
    assert links(register) == dict.fromkeys(ADDRESSES, ""), "nothing yet"
    register.execute(make_context() | {"outlet_events": {tasks.model_alias("tiny"): Event()}})
    assert links(register) == ADDRESSES | {"Report": ""}
    told = {"version": "tiny@1", "partition": "2026-03", "f1": 0.5, "f1_low": 0.4, "f1_high": 0.6}
    assert added == [("skillsengine://tiny", told)]
    finetune.execute(make_context())
    assert links(finetune) == dict.fromkeys(ADDRESSES, "") | {"Weights & Biases": WANDB}


def test_the_last_task_leads_to_the_report(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from skillsengine.airflow import report

    monkeypatch.setattr(report, "leave_report", lambda run: "/store/reports/tiny/1.html")
    task = registered.get_task("report")
    task.execute(make_context(states={"format": "success"}))
    assert links(task) == ADDRESSES | {"Weights & Biases": ""}


def test_airflow_keeps_them_with_the_dag(registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = DagSerialization.deserialize_dag(DagSerialization.to_dict(registered)["dag"])
    assert set(kept.get_task("register").extra_links) == set(ADDRESSES)
    monkeypatch.setattr(task_links.conf, "get", lambda *_, **__: "https://host.example.com/team/")
    assert task_links.version_links("tiny", 1) == {"Version": f"/team{ADDRESSES['Version']}"}
