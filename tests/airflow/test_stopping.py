"""A worker that is told to stop, and the task below it that sees it."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from celery.signals import worker_shutting_down

from skillsengine.airflow.preload import FOR_TASKS
from skillsengine.airflow.stopping import connect, mark, stopping_here
from tools.composed import read_services

_TASK = """
import sys
from skillsengine.airflow.stopping import stopping_here

stopping = stopping_here()
for line in sys.stdin:
    print(stopping(), flush=True)
"""


def test_a_task_sees_the_mark_of_the_worker_above_it_and_of_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    # As below a worker: a shell stands between, as a task's supervisor does.
    command = ["sh", "-c", f'"{sys.executable}" -c "$TASK"; true']
    env = os.environ | {"TASK": _TASK}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as task:
        assert task.stdin is not None and task.stdout is not None

        def ask() -> str:
            task.stdin.write("?\n")
            task.stdin.flush()
            return str(task.stdout.readline())

        assert ask() == "False\n"
        other = "import os; from skillsengine.airflow.stopping import mark; mark()"
        subprocess.run([sys.executable, "-c", other], check=True)
        assert ask() == "False\n", "that one is no ancestor"
        mark()
        assert ask() == "True\n"
        task.stdin.close()


def test_it_can_be_asked_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    stopping = stopping_here()
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    assert pickle.loads(pickle.dumps(stopping)) == stopping
    assert {path.parent for path in stopping.marks} == {tmp_path / "stopping"}


def test_celery_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    connect()
    worker_shutting_down.send(sender="gpu-worker", sig="SIGTERM", how="Warm", exitcode=0)
    (made,) = (tmp_path / "stopping").iterdir()
    assert f":{os.getpid()}:" in made.name


def test_a_mark_that_cannot_be_left_does_not_keep_the_worker_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "file"))
    connect()
    worker_shutting_down.send(sender="gpu-worker", sig="SIGTERM", how="Warm", exitcode=0)
    assert "the trainings of this worker are not told that it stops" in caplog.text


@pytest.mark.parametrize("worker", ["default-worker", "gpu-worker"])
def test_the_clusters_workers_have_celery_connect_it(worker: str, project: Path) -> None:
    config = json.loads(read_services(project)[worker].environment["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    before = len(worker_shutting_down.receivers or ())
    for name in config["imports"]:
        importlib.reload(importlib.import_module(name))
    assert len(worker_shutting_down.receivers) == max(before, 1), "once, however often"


def test_a_workers_forks_find_loaded_what_each_task_needs_and_nothing_heavy(project: Path) -> None:
    config = json.loads(read_services(project)["gpu-worker"].environment["AIRFLOW__CELERY__EXTRA_CELERY_CONFIG"])
    code = f"import sys, {', '.join(config['imports'])}; print(*sys.modules)"

    def loaded(**settings: str) -> set[str]:
        run = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ | settings
        )
        return set(run.stdout.split())

    by_settings = {"boto3.session", "psycopg"}
    place = {"SKILLSENGINE_PROJECT": str(project), "SKILLSENGINE_STORE": "s3://bucket/store"}
    afar = loaded(**place, SKILLSENGINE_CATALOG="postgresql+psycopg://somebody@127.0.0.1:9/catalog")
    assert set(FOR_TASKS) | by_settings < afar
    assert not {"torch", "transformers", "datasets", "pandas", "wandb"} & afar
    for wrong in (
        {"SKILLSENGINE_PROJECT": str(project / "no such folder")},
        place | {"SKILLSENGINE_CATALOG": "no address"},
        place | {"SKILLSENGINE_CATALOG": "postgresql+nodriver://somebody@127.0.0.1/catalog"},
    ):
        here = loaded(**wrong)
        assert set(FOR_TASKS) < here and not by_settings & here, "a worker starts, and its tasks say what is wrong"
