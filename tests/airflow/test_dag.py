"""Experiment -> its two DAGs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, CronPartitionTimetable, CronTriggerTimetable, DeadlineReference
from airflow.serialization.serialized_objects import DagSerialization

from skillsengine.airflow.dag import build
from skillsengine.pipeline.upcoming import upcoming
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment

DATED = {"source": "ads/{partition}.jsonl"}
CHAIN = ["format", "profile", "finetune", "evaluate", "register", "gate", "promote", "report"]


def experiment_of(**spec: Any) -> Experiment:
    return Experiment.model_validate({"name": "demo", "schedule": "none", "data": DATED} | spec)


def built(**spec: Any) -> tuple[DAG, DAG]:
    experiment = experiment_of(**spec)
    return build(json.dumps(resolved(experiment)), source="experiments/demo.yaml", digest="d" * 64, project="/p")


def chain(dag: DAG) -> list[str]:
    (task,) = [task for task in dag.tasks if not task.upstream_task_ids]
    order = [task.task_id]
    while task.downstream_task_ids:
        (after,) = task.downstream_task_ids
        task = dag.get_task(after)
        order.append(after)
    return order


def test_names_and_order_of_tasks() -> None:
    retrain, evaluations = built()
    assert retrain.dag_id == "demo" and chain(retrain) == CHAIN
    assert evaluations.dag_id == "demo.evaluations" and chain(evaluations) == ["score", "report"]


SWEPT = ["format", "profile", "trials", "finetune", "select", *CHAIN[3:]]


def test_a_sweep_maps_finetune_over_its_trials() -> None:
    sweep = {"lora.r": [4, 8], "train.learning_rate": [0.1, 0.2]}
    own = {"queue": "huge", "pool": "gpus", "retries": 1, "timeout": "6h"}
    retrain, evaluations = built(sweep=sweep, resources={"queue": "cpu", "stages": {"finetune": own}})
    assert chain(retrain) == SWEPT and chain(evaluations) == ["score", "report"]
    for dag in (
        retrain,
        DagSerialization.deserialize_dag(json.loads(json.dumps(DagSerialization.to_dict(retrain)["dag"]))),
    ):
        finetune, select = dag.get_task("finetune"), dag.get_task("select")
        assert finetune.is_mapped and finetune.max_active_tis_per_dag == 1, "one GPU has one training at a time"
        assert (finetune.queue, finetune.pool, finetune.retries) == ("huge", "gpus", 1)
        assert (select.queue, select.trigger_rule) == ("cpu", "none_failed"), "a trial that diverged is skipped"
    assert weights(retrain) == list(range(1, 11))
    trial = retrain.get_task("finetune").unmap({"trial": "finetune[r=4, learning_rate=0.1]"})
    assert (trial.tried, trial.map_index_template) == ("r=4, learning_rate=0.1", "{{ task.tried }}")
    assert trial.execution_timeout == timedelta(hours=6)
    parallel, _ = built(sweep=sweep | {"parallel": 4})
    assert parallel.get_task("finetune").max_active_tis_per_dag == 4
    assert (
        "| sweep | 4 trials of lora.r and train.learning_rate, the best by validation_loss goes on |" in retrain.doc_md
    )
    assert [task.name for task in upcoming(experiment_of(sweep=sweep), datetime.now(UTC))[0].tasks] == SWEPT


def test_an_approval_stands_between_gate_and_promotion() -> None:
    approving: dict[str, Any] = {"gate": {"approval": "required", "approval_timeout": "2d"}}
    own = {"stages": {"evaluate": {"queue": "huge", "timeout": "6h"}}}
    retrain, evaluations = built(**approving, resources=own)
    with_approval = [*CHAIN[:6], "approve", *CHAIN[6:]]
    assert chain(retrain) == with_approval and chain(evaluations) == ["score", "report"]
    for dag in (
        retrain,
        DagSerialization.deserialize_dag(json.loads(json.dumps(DagSerialization.to_dict(retrain)["dag"]))),
    ):
        assert [dag.get_task(name).queue for name in ("gate", "approve", "promote")] == ["huge", "gpu", "huge"], (
            "who may have to score a version works where `evaluate` does"
        )
    assert retrain.get_task("approve").response_timeout == timedelta(days=2)
    assert retrain.get_task("gate").execution_timeout == timedelta(hours=6)
    assert (
        "| gate | f1 surely better than the champion's (the first version: the untuned base's), and a person's approval |"
        in (retrain.doc_md)
    )
    tasks = upcoming(experiment_of(**approving, resources=own), datetime.now(UTC))[0].tasks
    assert [task.name for task in tasks] == with_approval
    assert {task.name: task.queue for task in tasks}["gate"] == "huge"


def test_only_a_partition_schedule_waits_for_data() -> None:
    retrain, evaluations = built(schedule="partition", start_date="2026-01-01")
    assert chain(retrain) == ["wait_for_data", *CHAIN]
    assert chain(evaluations) == ["wait_for_data", "score", "report"]
    wait = retrain.get_task("wait_for_data")
    assert wait.mode == "reschedule", "it holds no worker slot meanwhile"
    assert wait.timeout == timedelta(days=3).total_seconds() and wait.poke_interval == 60
    retrain, _ = built(schedule="partition", start_date="2026-01-01", data=DATED | {"wait": "30s"})
    assert retrain.get_task("wait_for_data").poke_interval == 10


def test_report_is_a_teardown_that_does_not_decide() -> None:
    for dag in built():
        report = dag.get_task("report")
        assert report.is_teardown and not report.on_failure_fail_dagrun
        assert report.trigger_rule == "all_done_setup_success"


def test_schedules() -> None:
    retrain, evaluations = built()
    assert retrain.schedule is None and evaluations.schedule is None
    retrain, evaluations = built(schedule="0 3 * * 1", start_date="2026-01-01")
    assert isinstance(retrain.timetable, CronTriggerTimetable)
    assert evaluations.schedule is None
    assert retrain.start_date == datetime(2026, 1, 1, tzinfo=UTC)
    retrain, evaluations = built(schedule="partition", start_date="2026-01-01")
    assert isinstance(retrain.timetable, CronPartitionTimetable)
    assert isinstance(evaluations.timetable, CronPartitionTimetable)
    assert not retrain.catchup and not evaluations.catchup


def test_settings_of_the_spec_arrive_at_the_tasks() -> None:
    retrain, evaluations = built(
        owner="ann",
        tags=["hr"],
        paused=True,
        description="First line.\n\nMore.",
        resources={
            "queue": "gpu",
            "pool": "big",
            "retries": 4,
            "retry_delay": "1m",
            "timeout": "1d",
            "stages": {"finetune": {"queue": "huge", "retries": 1, "timeout": "6h"}, "evaluate": {"pool": "small"}},
        },
    )
    finetune, register, score = (
        retrain.get_task("finetune"),
        retrain.get_task("register"),
        evaluations.get_task("score"),
    )
    assert (finetune.queue, finetune.pool, finetune.retries) == ("huge", "big", 1)
    assert finetune.execution_timeout == timedelta(hours=6)
    assert (register.queue, register.pool, register.retries) == ("gpu", "big", 4)
    assert register.execution_timeout == timedelta(days=1)
    assert score.pool == retrain.get_task("evaluate").pool == "small"
    assert (register.retry_delay, register.max_retry_delay) == (timedelta(minutes=1), timedelta(hours=1))
    assert register.retry_exponential_backoff == 2.0
    for dag in (retrain, evaluations):
        assert {task.owner for task in dag.tasks} == {"ann"}
        assert {"skillsengine", "hr"} <= set(dag.tags)
        assert dag.is_paused_upon_creation and dag.description == "First line."


def weights(dag: DAG) -> list[int]:
    """The tasks' weights as the scheduler computes them for its queue, in the order of the chain."""
    scheduled = DagSerialization.deserialize_dag(json.loads(json.dumps(DagSerialization.to_dict(dag)["dag"])))
    tasks = [scheduled.get_task(name) for name in chain(dag)]
    return [task.weight_rule.get_weight(SimpleNamespace(task=task)) for task in tasks]


@pytest.mark.parametrize(
    ("resources", "slots"),
    [
        ({"gpus": 4, "pool": "gpu"}, 4),
        ({"gpus": 4, "stages": {"finetune": {"pool": "gpu"}}}, 4),
        ({"gpus": 4, "pool": "gpu", "device": "cpu"}, 1),
        ({"gpus": 4}, 1),  # the common pool counts tasks
    ],
)
def test_a_training_takes_a_slot_of_its_pool_for_each_gpu(resources: dict[str, Any], slots: int) -> None:
    for sweep in ({}, {"sweep": {"lora.r": [4, 8]}}):
        retrain, evaluations = built(resources=resources, **sweep)
        assert retrain.get_task("finetune").pool_slots == slots
        others = [task for task in (*retrain.tasks, *evaluations.tasks) if task.task_id != "finetune"]
        assert {task.pool_slots for task in others} == {1}


def test_a_higher_priority_goes_first_whatever_the_task() -> None:
    dated: dict[str, Any] = {"schedule": "partition", "start_date": "2026-01-01"}
    plain = [weights(dag) for dag in built(**dated)]
    assert plain == [list(range(1, 10)), [1, 2, 3]], "as a chain of tasks has under Airflow's own rules"
    highest: list[int] = max(plain)
    for priority in (2, 3, 1_000_000):
        found = [weights(dag) for dag in built(**dated, resources={"priority": priority})]
        assert min(map(min, found)) > max(highest), "the first task of the one before the last task of the other"
        assert all(row == sorted(row) for row in found), "a run that is nearly done goes first"
        highest = max(found)
    assert max(highest) < 2**31, "what Airflow's database holds"


def test_a_deadline_counts_from_when_a_run_is_queued() -> None:
    notify = {"connection": "team", "to": ["ann@example.com"], "deadline": "6h"}
    for dag in built(notify=notify):
        (alert,) = dag.deadline
        assert (alert.reference, alert.interval) == (DeadlineReference.DAGRUN_QUEUED_AT, timedelta(hours=6))
        assert alert.callback.path == "skillsengine.airflow.notify.deadline.missed"
        assert alert.callback.kwargs == {
            "experiment": "demo",
            "connection": "team",
            "to": ["ann@example.com"],
            "after": "6h",
            "failures_are_told": True,
        }
        assert DagSerialization.to_dict(dag)["dag"]["deadline"]
    for silent in ({"connection": "team"}, {"connection": None, "deadline": "6h"}, {}):
        assert not any(dag.deadline for dag in built(notify=silent))


def test_the_text_tells_who_is_told() -> None:
    retrain, _ = built(
        notify={"connection": "team", "to": ["ann@example.com"], "on": ["failure", "deadline"], "deadline": "6h"}
    )
    assert "| tells | failure, deadline over `team` to ann@example.com |" in retrain.doc_md
    assert "| deadline | 6h after it was due |" in retrain.doc_md
    retrain, _ = built()
    assert "tells" not in retrain.doc_md


@pytest.mark.parametrize(
    ("data", "window", "schedule"),
    [
        ({"period": "day"}, "trains on the 6 days before the run's own", "one run a day, when the day is over (UTC)"),
        ({"period": "week", "window": 1}, "trains on the week before", "one run a week, when the week is over (UTC)"),
        ({"period": "quarter"}, "trains on the 6 quarters before", "one run a quarter, when the quarter is over (UTC)"),
    ],
)
def test_the_text_speaks_of_the_period(data: dict[str, Any], window: str, schedule: str) -> None:
    retrain, evaluations = built(schedule="partition", start_date="2026-01-01", data=DATED | data)
    assert window in retrain.doc_md
    for dag in (retrain, evaluations):
        assert schedule in dag.doc_md
        assert f"The {data['period']} to run for" in dag.params.get_param("partition").description


def test_a_source_with_a_date_column_is_dated() -> None:
    retrain, _ = built(
        schedule="partition", start_date="2026-01-01", data={"source": "ads.csv", "date_column": "posted"}
    )
    assert chain(retrain) == ["wait_for_data", *CHAIN] and "partition" in retrain.params
    assert "`ads.csv` by its column `posted`, trains on the 6 months" in retrain.doc_md


def test_a_waiting_run_holds_up_no_other_but_no_stage_runs_twice() -> None:
    retrain, _ = built()
    assert retrain.max_active_runs > 1
    assert all(task.max_active_tis_per_dag == 1 for task in retrain.tasks if task.task_id in CHAIN[:-1])


def test_the_text_tells_the_main_settings_and_ends_with_the_digest() -> None:
    retrain, evaluations = built(
        description="What it is {{ for }}.", base={"model": "some/base|x", "quantization": "nf4"}
    )
    doc = retrain.doc_md
    assert "What it is {{ for }}." in doc and "trains on the 6 months before the run's own" in doc
    assert "| training | 3 epochs of 4 rows a step, learning rate 0.0002, linear |" in doc
    assert "`some/base\\|x`, nf4, on cuda" in doc and "r 32, alpha 64" in doc
    for dag in (retrain, evaluations):
        assert dag.doc_md.endswith("Spec `experiments/demo.yaml`, digest `dddddddddddddddd`")


def test_forms() -> None:
    retrain, evaluations = built()
    assert [name for name in retrain.params if "." not in name] == ["partition", "limit", "force"]
    assert [*retrain.params][3:5] == ["data.window", "tokens.max_length"]
    assert [*evaluations.params] == ["partition", "versions", "cells", "evaluate.max_rows"]
    assert evaluations.params["versions"] == ["champion", "latest"]
    retrain, evaluations = built(data={"source": "ads"})
    assert not {"partition", "data.window"} & {*retrain.params, *evaluations.params}


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({"partition": "2026-06", "limit": 3, "force": True}, True),
        ({}, True),
        ({"partition": "2026-13"}, False),
        ({"partition": "June"}, False),
        ({"limit": 0}, False),
        ({"limit": "3"}, False),
        ({"force": "yes"}, False),
        ({"train.epochs": 1, "tokens.max_length": 64, "evaluate.max_rows": None}, True),
        ({"train.epochs": 0}, False),
        ({"base.quantization": "nf3"}, False),
    ],
)
def test_the_form_is_typed(values: dict[str, Any], fits: bool) -> None:
    retrain, _ = built()
    params = DagSerialization.deserialize_dag(DagSerialization.to_dict(retrain)["dag"]).params.deep_merge(values)
    if fits:
        params.validate()
    else:
        with pytest.raises(ValueError, match="Invalid input"):
            params.validate()


def test_nothing_of_a_spec_is_a_template() -> None:
    for dag in built(description="{{ 1 / 0 }}", prompt={"template": "{{ x }} {text}"}):
        assert all(not task.template_fields for task in dag.tasks)


def test_an_edit_changes_the_serialized_dag() -> None:
    one, _ = built()
    experiment = Experiment.model_validate({"name": "demo", "schedule": "none", "data": DATED})
    other, _ = build(json.dumps(resolved(experiment)), source="experiments/demo.yaml", digest="e" * 64, project="/p")
    assert DagSerialization.to_dict(one) != DagSerialization.to_dict(other)
