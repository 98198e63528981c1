"""A real Airflow for a project in a temporary folder."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest

from skillsengine.airflow import embedded
from skillsengine.airflow.client import AirflowClient
from skillsengine.settings import Settings, load_settings
from tests.conftest import PROJECT
from tests.pipeline.project import make_project, tiny_experiment

if TYPE_CHECKING:
    from tests.e2e.browser import Browser

T = TypeVar("T")

SPEC = """\
name: {name}
schedule: none
data: {{source: "data/ads/{{partition}}.jsonl", window: 2}}
base: {{model: base}}
lora: {{r: 4, alpha: 8}}
train: {{epochs: 1, per_device_batch_size: 4, learning_rate: 0.01, logging_steps: 1, checkpoint_steps: 2}}
evaluate: {{max_new_tokens: 8}}
tracking: {{mode: disabled}}
resources: {{device: cpu, retry_delay: 1s}}
"""


@dataclass(frozen=True)
class Platform:
    """A running Airflow, and the project it serves."""

    settings: Settings
    client: AirflowClient
    started_in: float
    """Seconds that `up` took."""

    def write(self, name: str, more: str = "") -> Path:
        path = self.settings.experiments / f"{name}.yaml"
        path.write_text(SPEC.format(name=name) + more, encoding="utf-8")
        return path

    def add(self, name: str, more: str = "") -> None:
        """Drop a spec and wait for its DAGs."""
        self.write(name, more)
        wait_for(f"the DAGs of {name}", lambda: self.client.dag(name) and self.client.dag(f"{name}.evaluations"))

    def finish(self, dag_id: str, run_id: str, seconds: float = 600.0) -> dict[str, Any]:
        """The run, when it is over."""

        def over() -> dict[str, Any] | None:
            run = self.client.run(dag_id, run_id)
            return run if run and run["state"] in ("success", "failed") else None

        return wait_for(f"the run {run_id}", over, seconds)

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        return {task["task_id"]: task["state"] for task in self.client.task_instances(dag_id, run_id)}


def wait_for(what: str, look: Callable[[], T], seconds: float = 180.0) -> T:
    """The first true answer of `look`."""
    until = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        if time.monotonic() > until:
            raise AssertionError(f"{what}: not after {seconds:.0f} s")
        time.sleep(0.1)


def ask(platform: Platform, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the client has no need of but an admin does in the UI."""
    url = platform.client.url
    token = httpx.get(f"{url}/auth/token", trust_env=False).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.request(method, f"{url}/api/v2/{path}", json=body, headers=headers, trust_env=False)
    assert answer.is_success, answer.text
    return dict(answer.json())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(folder: Path) -> Iterator[Platform]:
    """An Airflow for a project in an empty folder."""
    for name in ("SKILLSENGINE_HOME", "SKILLSENGINE_CATALOG", "SKILLSENGINE_PROJECT", "AIRFLOW_HOME"):
        os.environ.pop(name, None)
    os.environ["OMP_NUM_THREADS"] = "1"
    project = folder / "project"
    make_project(project)
    shutil.copytree(PROJECT / "dags", project / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    settings = load_settings(project)
    assert tiny_experiment().data.source in SPEC.format(name="x")
    began = time.monotonic()
    address = embedded.up(settings, free_port())
    try:
        with AirflowClient(address.url) as client:
            yield Platform(settings, client, time.monotonic() - began)
    finally:
        embedded.down(settings)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One Airflow for all tests of a session; each test has specs of its own."""
    with started(tmp_path_factory.mktemp("platform")) as platform:
        yield platform


@pytest.fixture(scope="module")
def browser(platform: Platform) -> Iterator[Browser]:
    """On that Airflow, as its only user."""
    from tests.e2e.browser import browsing

    with browsing(platform.client.url) as browser:
        yield browser
