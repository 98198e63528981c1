"""Celery's broker against a task's time-out, from the environment and from airflow.cfg."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.airflow.broker import ConfigError, executor_set, find_broker, timeout_problem
from tests.pipeline.project import tiny_experiment

CELERY = {"AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
SECONDS = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"
EXTRA = "AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"


@pytest.fixture(autouse=True)
def no_airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that says nothing of Airflow, whatever the machine's says."""
    for name in [*os.environ]:
        if name.startswith("AIRFLOW_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))


def _set(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_nothing_is_set() -> None:
    assert executor_set() is None
    assert timeout_problem(tiny_experiment()) is None


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("LocalExecutor", "LocalExecutor"),
        ("airflow.providers.celery.executors.celery_executor.CeleryExecutor", "CeleryExecutor"),
        ("ours:CeleryExecutor,LocalExecutor", "CeleryExecutor"),
        ("LocalExecutor,CeleryExecutor", "LocalExecutor"),
        ("=LocalExecutor;team=CeleryExecutor", "LocalExecutor"),
        ("", None),
    ],
)
def test_the_executor_that_runs_what_asks_for_no_other(
    monkeypatch: pytest.MonkeyPatch, value: str, name: str | None
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", value)
    assert executor_set() == name


def test_a_default_spec_is_longer_than_the_providers_default(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, CELERY)
    assert timeout_problem(tiny_experiment()) == (
        "resources.timeout: a task may run for 2d, and after 1d (the default visibility_timeout) Celery's broker gives it to "
        "a second worker while the first still runs it. Set [celery_broker_transport_options] visibility_timeout to 176400 "
        "(seconds) or more for the scheduler and all workers, or lower resources.timeout."
    )


@pytest.mark.parametrize(
    ("resources", "field"),
    [
        ({"timeout": "23h"}, None),
        ({"timeout": "1d"}, "resources.timeout"),
        ({"timeout": "1h", "stages": {"finetune": {"timeout": "3d"}}}, "resources.stages.finetune.timeout"),
        ({"stages": {name: {"timeout": "1h"} for name in ("format", "profile", "finetune", "evaluate")}}, "resources.timeout"),
        (
            {"stages": {name: {"timeout": "1h"} for name in ("format", "profile", "finetune", "evaluate", "register")}},
            None,
        ),
    ],
)  # fmt: skip
def test_the_longest_stage_counts(
    monkeypatch: pytest.MonkeyPatch, resources: dict[str, object], field: str | None
) -> None:
    _set(monkeypatch, CELERY)
    problem = timeout_problem(tiny_experiment(resources={"device": "cpu", **resources}))
    assert (problem and problem.partition(":")[0]) == field


@pytest.mark.parametrize(
    "values",
    [
        {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"},
        {SECONDS: "180000"},
        {"AIRFLOW__CELERY__TASK_ACKS_LATE": "False"},
        {"AIRFLOW__CELERY__BROKER_URL": "amqp://guest@broker//"},
        {"AIRFLOW__CELERY__BROKER_URL_CMD": "cat /run/secrets/broker"},
        {"AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": "ours.celery_config.CONFIG"},
        {EXTRA: '{"task_acks_late": false}'},
        {EXTRA: '{"broker_transport_options": {"visibility_timeout": 180000}}', SECONDS: "60"},
    ],
)
def test_no_second_delivery_or_none_that_is_known(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    _set(monkeypatch, CELERY | values)
    assert timeout_problem(tiny_experiment()) is None


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sqs", "sentinel"])
def test_brokers_with_a_visibility_timeout(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    _set(monkeypatch, CELERY | {"AIRFLOW__CELERY__BROKER_URL": f"{scheme}://:word@broker:6379/0"})
    problem = timeout_problem(tiny_experiment())
    assert problem is not None
    assert "word" not in problem


def test_what_is_not_asked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, CELERY | {"AIRFLOW__CELERY__BROKER_URL_SECRET": "celery/broker"})
    broker = find_broker()
    assert broker is not None
    assert broker.unknown == "[celery] broker_url comes from a command or a secrets backend, which is not asked"


def test_airflow_cfg_is_read_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "airflow.cfg"
    path.write_text(
        "[core]\nexecutor = CeleryExecutor\n[celery]\nbroker_url = sqs://\n"
        "[celery_broker_transport_options]\nvisibility_timeout = 43200\nurl = 100%\n"
    )
    problem = timeout_problem(tiny_experiment(resources={"device": "cpu", "timeout": "20h"}))
    assert problem is not None
    assert "may run for 20h, and after 12h (visibility_timeout) Celery's broker" in problem
    monkeypatch.setenv(SECONDS, "86400")
    assert timeout_problem(tiny_experiment(resources={"device": "cpu", "timeout": "20h"})) is None
    monkeypatch.setenv("AIRFLOW_CONFIG", str(tmp_path / "none.cfg"))
    assert executor_set() is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({SECONDS: "1d"}, "[celery_broker_transport_options] visibility_timeout: `1d` is no number of seconds; write one, "),
        ({EXTRA: "{'task_acks_late': False}"}, "[celery] extra_celery_config is no JSON object; mend it."),
        ({EXTRA: "[1]"}, "[celery] extra_celery_config is no JSON object; mend it."),
    ],
)  # fmt: skip
def test_a_value_that_is_none(monkeypatch: pytest.MonkeyPatch, values: dict[str, str], told: str) -> None:
    _set(monkeypatch, CELERY | values)
    with pytest.raises(ConfigError) as raised:
        find_broker()
    assert str(raised.value).startswith(told)
    assert timeout_problem(tiny_experiment()) == str(raised.value)


def test_a_damaged_airflow_cfg(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("executor = CeleryExecutor\n")
    problem = timeout_problem(tiny_experiment())
    assert problem == f"{tmp_path / 'airflow.cfg'} cannot be read (File contains no section headers.); mend it."


def test_it_is_cheap() -> None:
    code = (
        "import sys; from skillsengine.airflow.broker import find_broker; find_broker(); "
        "print([name for name in ('airflow', 'celery', 'httpx', 'torch') if name in sys.modules])"
    )
    env = os.environ | CELERY
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
