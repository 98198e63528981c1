"""`approve`: Airflow's human-in-the-loop task around the pipeline's question. Its server's part stands in tests/e2e."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from skillsengine.airflow import approve
from skillsengine.airflow.approve import ApproveTask
from skillsengine.airflow.dag import build
from skillsengine.pipeline.promotion import run_gate
from skillsengine.pipeline.run import Run, open_run
from skillsengine.spec.schema import Experiment, Notify
from tests.airflow.support import make_context
from tests.pipeline.gating import answers, challenger, champion, said
from tests.pipeline.project import make_project, tiny_experiment
from tests.sinks import PostSink

EXPERIMENT = tiny_experiment(gate={"min_gold_skills": 1, "approval": "required", "approval_timeout": "2d"})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    settings = make_project(tmp_path, base=False)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(settings.project))
    # A test process is no task: it does not end with whoever started it.
    monkeypatch.setattr(approve, "die_with_parent", lambda parent: None)
    run = open_run(EXPERIMENT, dag_id="tiny", run_id="manual__1", settings=settings, trigger="manual")
    answers(run, champion(run), said(20))
    answers(run, challenger(run), said(36))
    return run


def task(run: Run, experiment: Experiment = EXPERIMENT) -> ApproveTask:
    retrain, _ = build(experiment.model_dump_json(), source="s", digest="d", project=str(run.settings.project))
    found = retrain.get_task("approve")
    assert isinstance(found, ApproveTask)
    return found


def context() -> dict[str, Any]:
    return make_context() | {"task_instance": SimpleNamespace(id="7")}


def test_it_asks_and_waits(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **given: asked.append(given))
    run_gate(run)
    with pytest.raises(TaskAwaitingInput) as caught:
        task(run).execute(context())
    assert (caught.value.method_name, caught.value.timeout) == ("execute_complete", timedelta(days=2))
    (question,) = asked
    assert (question["subject"], question["options"], question["defaults"]) == (
        "Promote tiny@2?",
        ["Approve", "Refuse"],
        ["Refuse"],
    )
    assert "Gate: **promote**. tiny@2 has f1 0.947 against" in question["body"]
    assert task(run).template_fields == (), "a `{{…}}` in a spec stays what it is"


def test_who_is_told_verdicts_is_told_that_an_answer_is_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **given: None)
    run_gate(run)
    with PostSink() as sink:
        monkeypatch.setenv(
            "AIRFLOW_CONN_TEAM", json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": sink.port})
        )
        telling = EXPERIMENT.model_copy(update={"notify": Notify(connection="team")})
        with pytest.raises(TaskAwaitingInput):
            task(run, telling).execute(context())
    (post,) = sink.posts
    assert post.body["headline"] == "tiny@2 waits for an approval"
    assert post.body["details"][0] == (
        "Answer in Airflow, under the run's required actions. Without an answer within 2d tiny@1 stays the champion."
    )


def test_without_a_promotion_it_asks_nothing(run: Run) -> None:
    answers(run, champion(run, name="better"), said(40))
    assert run_gate(run)["verdict"] == "keep"
    assert task(run).execute(context()) == {"asked": False}


@pytest.mark.parametrize(
    ("chosen", "user", "told"),
    [
        ("Approve", {"id": "1", "name": "ann"}, {"approved": True, "by": "ann"}),
        ("Refuse", {"id": "1", "name": ""}, {"approved": False, "by": "1"}),
        ("Refuse", None, {"approved": False, "by": None}),
    ],
)
def test_the_answer_is_kept(run: Run, chosen: str, user: Any, told: dict[str, Any]) -> None:
    run_gate(run)
    now = datetime(2026, 7, 1, tzinfo=UTC)
    event = {"chosen_options": [chosen], "params_input": {}, "responded_at": now, "responded_by_user": user}
    assert task(run).execute_complete(context(), event) == {"asked": True, **told}
    assert run.catalog.run_by_id(run.id).data["approval"] == {**told, "number": 2, "champion": 1}


def test_what_a_retry_cannot_heal_ends_it_for_good(run: Run) -> None:
    with pytest.raises(AirflowFailException, match="conf: unknown key `limits`"):
        task(run).execute(make_context(conf={"limits": 3}) | {"task_instance": SimpleNamespace(id="7")})
