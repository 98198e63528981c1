"""What `airflow celery list-workers` says, and every way in which it says nothing.

None of its workers runs here; a program in the place of `airflow` prints what the real one (3.26, with Redis) did.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from skillsengine.airflow import workers
from skillsengine.airflow.workers import WorkersUnknown, celery_queues

LISTED = '[{"worker_name": "w1@here", "queues": ["default", "cpu"]}]'
DIED = "kombu.exceptions.OperationalError: Error 111 connecting to 127.0.0.1:6398. Connection refused."


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package `airflow`, whose `__main__` is to be written; it stands before the real one."""
    package = tmp_path / "site" / "airflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(importlib.metadata, "version", {"apache-airflow-providers-celery": "3.26.0"}.__getitem__)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AIRFLOW_CONFIG", raising=False)
    return package / "__main__.py"


def test_workers_and_their_queues(airflow: Path, tmp_path: Path) -> None:
    airflow.write_text(
        "import os, sys\n"
        "assert sys.argv[1:] == ['celery', 'list-workers', '--output', 'json'], sys.argv\n"
        "os.makedirs(os.environ['AIRFLOW_HOME'], exist_ok=True)\n"
        "open(os.path.join(os.environ['AIRFLOW_HOME'], 'airflow.cfg'), 'w').close()\n"
        f"print('a warning that goes to standard output')\nprint({LISTED!r})\n"
    )
    assert celery_queues() == {"w1@here": ("default", "cpu")}
    assert not (tmp_path / "home").exists()


def test_the_configuration_that_is_there_is_taken(airflow: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "airflow.cfg").touch()
    airflow.write_text(
        "import json, os\nprint(json.dumps([{'worker_name': os.environ['AIRFLOW_HOME'], 'queues': []}]))\n"
    )
    assert celery_queues() == {str(tmp_path / "home"): ()}


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (f"import sys; print('[]'); sys.exit({DIED!r})", f"`airflow celery list-workers` failed: {DIED}"),
        ("", "`airflow celery list-workers` failed: nothing"),
        ("import time; time.sleep(600)", "`airflow celery list-workers` was not done after 1 s"),
    ],
)
def test_no_answer(airflow: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str) -> None:
    monkeypatch.setattr(workers, "SECONDS", 1.0 if "sleep" in program else 60.0)
    airflow.write_text(program)
    with pytest.raises(WorkersUnknown) as raised:
        celery_queues()
    assert str(raised.value) == said


def test_the_provider_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PROVIDER", "no-such-provider")
    with pytest.raises(WorkersUnknown, match="^this Python lacks no-such-provider$"):
        celery_queues()
