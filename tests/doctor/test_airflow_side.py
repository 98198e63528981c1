"""Airflow itself and its pools, from the answers of a real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.embedded_config import airflow_home
from skillsengine.airflow.embedded_state import State, write_state
from skillsengine.doctor.airflow_side import AirflowState, examine_pools, look_at_airflow
from skillsengine.doctor.finding import Finding
from skillsengine.doctor.patience import Patience
from skillsengine.settings import Settings, load_settings
from tests.doctor.airflow_server import EXECUTOR, Answers, answering, recorded, silent
from tests.pipeline.project import tiny_experiment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "experiments").mkdir()
    return load_settings(tmp_path)


def _look(settings: Settings, seconds: float = 30.0) -> tuple[list[Finding], AirflowState | None]:
    findings, state, _ = look_at_airflow(settings, Patience(seconds, seconds))
    return findings, state


def test_what_a_real_one_says(settings: Settings) -> None:
    with answering(recorded()) as url:
        (finding,), state = _look(replace(settings, airflow_url=f"{url}/"))
    assert state is not None
    assert finding.level == "ok"
    assert finding.text == f"{url} answers (3.3.2); scheduler and DAG processor are well"
    assert state.pools == {"default_pool": 2}
    assert {name: dag["is_stale"] for name, dag in state.dags.items()} == {
        "gone": True, "gone.evaluations": True, "good": False, "good.evaluations": False
    }  # fmt: skip
    assert [error["filename"] for error in state.errors] == ["new.yaml.py"]
    assert state.executor is None


@pytest.mark.parametrize(
    ("shown", "env", "executor"),
    [
        ("CeleryExecutor,LocalExecutor", None, "CeleryExecutor"),
        (None, "LocalExecutor", "LocalExecutor"),
        (None, None, None),
    ],
)
def test_the_executor_is_airflows_word_else_the_environments(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, shown: str | None, env: str | None, executor: str | None
) -> None:
    answers: Answers = recorded()
    if shown:
        options = [{"key": "executor", "value": shown}]
        answers[EXECUTOR] = (200, {"sections": [{"name": "core", "options": options}]})
    if env:
        monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", env)
    with answering(answers) as url:
        _, state = _look(replace(settings, airflow_url=url))
    assert state is not None
    assert state.executor == executor


def test_the_embedded_one_is_found_and_its_executor_known(settings: Settings) -> None:
    with answering(recorded()) as url:
        airflow_home(settings).mkdir(parents=True)
        write_state(settings, State.of_this_process(int(url.rpartition(":")[2])))
        (finding,), state = _look(settings)
        _, named = _look(replace(settings, airflow_url=url))
    assert state is not None and named is not None
    assert finding.text == f"{url} answers (the embedded one, 3.3.2); scheduler and DAG processor are well"
    assert state.executor == named.executor == "LocalExecutor"


def test_none_is_known_is_no_problem(settings: Settings) -> None:
    (finding,), state = _look(settings)
    assert (finding.level, state) == ("unknown", None)
    assert finding.text == "none is known here, so pools, queues and DAGs were not looked at"
    assert finding.mend == "`make up` (or `skillsengine up`) starts one; SKILLSENGINE_AIRFLOW_URL names yours"


def test_one_that_is_named_and_is_not_there(settings: Settings) -> None:
    (finding,), state = _look(replace(settings, airflow_url="http://ann:secret@127.0.0.1:9"))
    assert (finding.level, state) == ("problem", None)
    assert finding.text == (
        "Airflow at http://127.0.0.1:9: no answer ([Errno 111] Connection refused); so pools, queues and DAGs "
        "were not looked at"
    )
    assert "mend SKILLSENGINE_AIRFLOW_URL" in (finding.mend or "")


def test_one_that_accepts_and_never_answers(settings: Settings) -> None:
    with silent() as url:
        (finding,), state = _look(replace(settings, airflow_url=url), seconds=0.2)
    assert (finding.level, state) == ("problem", None)
    assert finding.text.startswith(f"{url}: no answer within 0 s;")


@pytest.mark.parametrize("body", ["<html>", ["a", "list"]])
def test_another_program_at_the_address(settings: Settings, body: Any) -> None:
    with answering({"/api/v2/monitor/health": (200, body)}) as url:
        (finding,), _ = _look(replace(settings, airflow_url=url))
    assert finding.level == "problem"
    assert finding.text.startswith(f"{url} is not the address of an Airflow 3: GET /api/v2/monitor/health: 200; so")


def test_an_address_without_a_scheme(settings: Settings) -> None:
    (finding,), _ = _look(replace(settings, airflow_url="127.0.0.1:8080"))
    assert finding.text.startswith(
        "127.0.0.1:8080 is no address of an Airflow. Write http://host:port, or https://host/path.;"
    )


def test_a_login_that_it_does_not_take(settings: Settings) -> None:
    answers: Answers = recorded()
    answers["/auth/token"] = (401, {"detail": "no"})
    with answering(answers) as url:
        (finding,), _ = _look(replace(settings, airflow_url=url))
    assert finding.level == "problem"
    assert f"Airflow at {url} gives no token without a password (401)" in finding.text


def test_parts_that_are_ill(settings: Settings) -> None:
    answers: Answers = recorded()
    health = answers["/api/v2/monitor/health"][1]
    health["dag_processor"]["status"] = "unhealthy"
    del health["scheduler"]
    with answering(answers) as url:
        findings, state = _look(replace(settings, airflow_url=url))
    assert state is not None
    assert [(finding.level, finding.text) for finding in findings] == [
        ("problem", f"{url}: its scheduler is missing: no run starts"),
        ("problem", f"{url}: its dag processor is unhealthy: no edit of a spec is seen"),
    ]


def test_pools() -> None:
    state = AirflowState("http://x", pools={"gpu": 1, "shut": 0, "wide": -1, "default_pool": 2})
    cpu = {"device": "cpu"}
    experiments = [
        tiny_experiment("a", resources={**cpu, "pool": "gpu", "stages": {"format": {"pool": "wide"}}}),
        tiny_experiment("b", resources={**cpu, "pool": "none"}),
        tiny_experiment("c", resources={**cpu, "stages": {"register": {"pool": "none"}, "evaluate": {"pool": "shut"}}}),
    ]
    none, shut, well = examine_pools(state, experiments)
    assert (none.level, none.subject) == ("problem", "pool none")
    assert none.text == "Airflow has no such pool: tasks of b, c are never started"
    assert none.mend == 'make it (Admin, Pools; or `airflow pools set none 1 ""`), or mend resources.pool'
    assert (shut.level, shut.text) == ("problem", "it has 0 slots: tasks of c are never started")
    assert (well.level, well.text) == ("ok", "default_pool (2 slots), gpu (1 slot), wide (any number of slots)")


def test_a_pool_with_fewer_slots_than_a_training_has_gpus() -> None:
    state = AirflowState("http://x", pools={"gpu": 2, "wide": -1, "default_pool": 1})
    experiments = [
        tiny_experiment("a", resources={"gpus": 4, "pool": "gpu"}),
        tiny_experiment("b", resources={"gpus": 2, "pool": "gpu"}),
        tiny_experiment("c", resources={"gpus": 4, "pool": "wide"}),
        tiny_experiment("d", resources={"gpus": 4}),
    ]
    narrow, well = examine_pools(state, experiments)
    assert (narrow.level, narrow.subject) == ("problem", "pool gpu")
    assert narrow.text == (
        "it has 2 slots, and a training takes one for each of its GPUs (resources.gpus: 4): those of a are never started"
    )
    assert narrow.mend == (
        'give the pool as many slots as there are GPUs (`airflow pools set gpu 4 ""`), or lower resources.gpus'
    )
    assert (well.level, well.text) == ("ok", "default_pool (1 slot), wide (any number of slots)")
