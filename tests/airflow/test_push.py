"""The task `push`: who has one, where it stands, and which of its failures are tried again."""

from __future__ import annotations

from skillsengine.airflow import work
from skillsengine.tracking.hub import PushError
from tests.airflow.test_dag import built


def test_only_an_experiment_with_a_repository_has_the_task() -> None:
    assert "push" not in built()[0].task_ids
    retrain, evaluations = built(register={"hub": "talent/job-skills"})
    assert "push" in retrain.task_ids
    assert "push" not in evaluations.task_ids


def test_a_hub_that_is_away_keeps_no_champion_from_its_place() -> None:
    retrain, _ = built(register={"hub": "talent/job-skills"})
    push = retrain.get_task("push")
    assert push.upstream_task_ids == {"register"}
    assert push.downstream_task_ids == {"report"}
    assert retrain.get_task("gate").upstream_task_ids == {"register"}
    assert retrain.get_task("report").upstream_task_ids == {"promote", "push"}


def test_a_hub_that_does_not_answer_is_asked_again_and_a_missing_token_is_not() -> None:
    assert not work.permanent(PushError("the Hub could not be reached", retry=True))
    assert work.permanent(PushError("no token"))


def test_what_the_log_says_of_it() -> None:
    told = {"version": "tiny@1", "url": "https://hub/talent/job-skills/tree/v1"}
    assert work.describe({"pushed": True, **told}) == ["pushed to https://hub/talent/job-skills/tree/v1"]
    assert work.describe({"pushed": False, **told}) == ["not pushed: stands there already"]
    assert work.describe({"pushed": False, "reason": "a smoke test"}) == ["not pushed: a smoke test"]
