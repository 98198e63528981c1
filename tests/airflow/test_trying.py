"""The DAG in which people try a version: where it runs, what it takes, and what it keeps to itself."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError

from skillsengine.airflow import trying
from skillsengine.airflow.tasks import ERROR_KEY
from tests.airflow.support import TaskInstance
from tests.pipeline.project import make_project, tiny_experiment


def dag_of(project: str = "/p", **sections: Any) -> DAG:
    return trying.build_try(tiny_experiment(**sections).model_dump_json(), project=project)


def test_it_runs_where_versions_are_scored() -> None:
    own = {"evaluate": {"queue": "big-gpu", "pool": "gpus", "retries": 5, "timeout": "6h"}}
    dag = dag_of(paused=True, owner="ann", tags=["x"], resources={"queue": "cpu", "priority": 3, "stages": own})
    task = dag.get_task("extract")
    assert (task.queue, task.pool, task.retries, task.priority_weight, task.owner) == ("big-gpu", "gpus", 0, 48, "ann")
    assert (dag.dag_id, dag.schedule, dag.is_paused_upon_creation) == ("tiny.try", None, False)
    assert dag.tags == {"skillsengine", "try", "x"}, "and not `retrain`: it is no experiment of its own"
    assert dag_of().get_task("extract").queue == "gpu"


@pytest.mark.parametrize(
    ("asked", "text"),
    [({"text": "a" * 20_001}, "is too long"), ({"text": ""}, "non-empty"), ({"text": "a", "version": 0}, "minimum")],
)
def test_what_its_form_refuses(asked: dict[str, Any], text: str) -> None:
    def filled(asked: dict[str, Any]) -> dict[str, Any]:
        params = dag_of().params
        for name, value in asked.items():
            params[name] = value
        return dict(params.validate())

    with pytest.raises(ParamValidationError, match=text):
        filled(asked)
    assert filled({"text": "a" * 20_000})["version"] is None


def test_the_text_is_not_logged_and_an_error_is_left_for_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(trying, "die_with_parent", lambda parent: None)
    settings = make_project(tmp_path, base=False)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(settings.project))
    for conf, text in (
        ({"text": "a private ad"}, "there is no model `tiny`"),
        ({"text": "a private ad", "words": 1}, "conf: unknown key `words`. This DAG understands text and version."),
    ):
        ti = TaskInstance("tiny.try")
        with pytest.raises(AirflowFailException, match=text):
            dag_of().get_task("extract").execute({"params": conf, "dag_run": SimpleNamespace(conf=conf), "ti": ti})
        assert text in ti.xcoms[None, ERROR_KEY]
    assert "private" not in caplog.text
