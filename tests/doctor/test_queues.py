"""Queues and the broker, by executor. What Celery's own workers say is played here; tests/e2e/cluster has real ones."""

from __future__ import annotations

import pytest

from skillsengine.airflow import workers
from skillsengine.doctor import queues
from skillsengine.doctor.airflow_side import AirflowState
from skillsengine.doctor.queues import examine_queues
from tests.pipeline.project import tiny_experiment

CPU = {"device": "cpu"}


def test_the_scheduler_serves_every_queue() -> None:
    state = AirflowState("http://x", executor="LocalExecutor")
    (finding,) = examine_queues(state, [tiny_experiment(resources={**CPU, "stages": {"format": {"queue": "light"}}})])
    assert finding.level == "ok"
    assert finding.text == "gpu, light: the scheduler itself runs the tasks of every queue (LocalExecutor)"


def test_kubernetes_has_none() -> None:
    (finding,) = examine_queues(AirflowState("http://x", executor="KubernetesExecutor"), [tiny_experiment()])
    assert (finding.level, finding.text) == (
        "ok", "gpu: they mean nothing to KubernetesExecutor; its pod template decides where tasks run"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("executor", "text"),
    [
        (None, "gpu: Airflow does not tell which executor it has, so who serves them is not known"),
        ("EdgeExecutor", "gpu: the workers of EdgeExecutor cannot be asked from here"),
    ],
)
def test_what_cannot_be_looked_at_is_not_claimed(executor: str | None, text: str) -> None:
    (finding,) = examine_queues(AirflowState("http://x", executor=executor), [tiny_experiment()])
    assert (finding.level, finding.text) == ("unknown", text)


def test_celery_without_its_configuration_or_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    state = AirflowState("http://x", executor="CeleryExecutor")
    asked, broker = examine_queues(state, [tiny_experiment()])
    assert (asked.level, broker.level) == ("unknown", "unknown")
    assert asked.text == (
        "gpu: Celery's workers could not be asked: the configuration of Airflow in this environment names no CeleryExecutor"
    )
    assert broker.text.startswith(
        "after which time it hands a task out again is not known: the configuration of Airflow"
    )
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setattr(workers, "_PROVIDER", "no-such-provider")
    asked, broker = examine_queues(state, [tiny_experiment("a"), tiny_experiment("b")])
    assert asked.text == "gpu: Celery's workers could not be asked: this Python lacks no-such-provider"
    assert asked.mend == (
        "run doctor in the environment of a scheduler or worker; there, `airflow celery list-workers` shows the queues"
    )
    assert broker.level == "warning"
    assert broker.text.startswith("a, b: resources.timeout: a task may run for 2d, and after 1d (the default")
    assert broker.mend == (
        "set [celery_broker_transport_options] visibility_timeout to 176400 (seconds) or more for the scheduler and all "
        "workers, or lower resources.timeout"
    )


def test_a_broker_that_waits_long_enough_and_one_that_is_set_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PROVIDER", "no-such-provider")  # or a broker that is not there is asked for 10 s
    state = AirflowState("http://x", executor="CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    seconds = "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"
    monkeypatch.setenv(seconds, "999999")
    *_, broker = examine_queues(state, [tiny_experiment()])
    assert (broker.level, broker.text) == ("ok", "no task may run longer than the broker waits for its end")
    monkeypatch.setenv(seconds, "long")
    *_, broker = examine_queues(state, [tiny_experiment()])
    assert (broker.level, "`long` is no number of seconds" in broker.text) == ("problem", True)


def test_rabbitmq_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PROVIDER", "no-such-provider")  # or a broker that is not there is asked for 10 s
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", "amqp://guest:word@rabbit//")
    *_, broker = examine_queues(AirflowState("http://x", executor="CeleryExecutor"), [tiny_experiment()])
    assert (broker.level, broker.text) == (
        "unknown",
        "after which time it hands a task out again is not known: a broker amqp:// keeps that in its own configuration "
        "(RabbitMQ: `consumer_timeout`, 30 minutes where nobody set it)",
    )


def test_queues_that_no_worker_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CELERY__TASK_ACKS_LATE", "False")
    state = AirflowState("http://x", executor="CeleryExecutor")
    experiment = tiny_experiment(resources={**CPU, "stages": {"format": {"queue": "cpu"}}})
    monkeypatch.setattr(queues, "celery_queues", lambda: {"w1@here": ("default", "cpu")})
    missing, well, _ = examine_queues(state, [experiment])
    assert (missing.level, missing.subject) == ("problem", "queue gpu")
    assert missing.text == (
        "no Celery worker listens to it (they serve cpu, default): tasks of tiny stay queued for ever"
    )
    assert missing.mend == "start one (`airflow celery worker -q gpu`), or mend resources.queue"
    assert (well.level, well.text) == ("ok", "cpu: served; Celery's workers are w1@here")
    monkeypatch.setattr(queues, "celery_queues", dict)
    missing, other, _ = examine_queues(state, [experiment])
    assert {missing.text.partition(":")[0], other.text.partition(":")[0]} == {
        "no Celery worker listens to it (no worker answers)"
    }
