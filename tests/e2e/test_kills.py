"""Processes that are killed while they work: what is lost, what goes on, what stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from skillsengine.airflow import embedded
from skillsengine.airflow.client import AirflowClient
from skillsengine.airflow.embedded_state import read_state
from skillsengine.settings import Settings, load_settings
from skillsengine.storage.catalog import Catalog
from tests.e2e.conftest import SPEC, Platform, free_port, wait_for
from tests.pipeline.project import make_project

pytestmark = pytest.mark.nightly

LONG = (
    "train: {epochs: 400, per_device_batch_size: 4, learning_rate: 0.001, logging_steps: 10, checkpoint_steps: 100}\n"
)


def write_long(settings: Settings, name: str, seed: int) -> None:
    """A training of some twenty seconds, of its own (`seed`)."""
    text = SPEC.format(name=name)
    train = next(line for line in text.splitlines(keepends=True) if line.startswith("train:"))
    (settings.experiments / f"{name}.yaml").write_text(text.replace(train, LONG.replace("}", f", seed: {seed}}}")))


def checkpoints(settings: Settings) -> list[Path]:
    return sorted((settings.store_root / "checkpoints").glob("*/*"))


def task_process(settings: Settings) -> psutil.Process:
    """The process in which a task's code runs: a child of one of the executor's workers."""
    state = read_state(settings)
    assert state is not None
    scheduler = psutil.Process(state.parts["scheduler"])
    (task,) = [child for worker in scheduler.children() for child in worker.children()]
    return task


def start_long(platform: Platform, name: str, seed: int) -> str:
    """A run whose training has left two checkpoints."""
    write_long(platform.settings, name, seed)
    wait_for("its DAG", lambda: platform.client.dag(name))
    run_id = platform.client.trigger(name)
    wait_for("two checkpoints", lambda: len(checkpoints(platform.settings)) >= 2, 180)
    assert platform.states(name, run_id)["finetune"] == "running"
    return run_id


def resumed(platform: Platform, name: str, run_id: str) -> int:
    """Checks that the run ended well with one version; the step that its training went on from."""
    assert platform.finish(name, run_id, 400)["state"] == "success"
    catalog = Catalog.open(platform.settings.catalog_url)
    assert [version.number for version in catalog.versions(name)] == [1]
    (step,) = platform.client.xcom(name, run_id, "finetune")["steps"]
    assert checkpoints(platform.settings) == []
    return int(step["summary"]["resumed_from_step"])


def test_a_killed_task_is_tried_again_from_its_last_checkpoint(platform: Platform) -> None:
    run_id = start_long(platform, "killed-task", 1)
    last = checkpoints(platform.settings)[-1].name
    os.kill(task_process(platform.settings).pid, signal.SIGKILL)
    assert resumed(platform, "killed-task", run_id) >= 100, last
    tasks = {t["task_id"]: t for t in platform.client.task_instances("killed-task", run_id)}
    assert tasks["finetune"]["try_number"] == 2


def test_a_task_does_not_outlive_its_supervisor(platform: Platform) -> None:
    run_id = start_long(platform, "killed-worker", 2)
    task = task_process(platform.settings)
    started = time.monotonic()
    os.kill(task.ppid(), signal.SIGKILL)
    wait_for("the task's end", lambda: not task.is_running() or task.status() == psutil.STATUS_ZOMBIE, 5)
    print(f"the task ended {time.monotonic() - started:.2f} s after its supervisor")
    # Airflow misses its heartbeat after a while and tries it again.
    assert resumed(platform, "killed-worker", run_id) >= 100


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Platform]:
    """An Airflow of one test's own."""
    make_project(tmp_path / "project")
    settings = load_settings(tmp_path / "project")
    address = embedded.up(settings, free_port())
    try:
        with AirflowClient(address.url) as client:
            yield Platform(settings, client, 0.0)
    finally:
        embedded.down(settings)


def test_a_killed_supervisor_leaves_nothing_behind_and_the_run_goes_on_at_the_next_start(own: Platform) -> None:
    run_id = start_long(own, "restarted", 3)
    state = read_state(own.settings)
    assert state is not None and len(state.members()) > 5
    started = time.monotonic()
    os.kill(state.pid, signal.SIGKILL)
    wait_for("the end of all of them", lambda: not state.members(), 5)
    print(f"all processes ended {time.monotonic() - started:.2f} s after the supervisor")
    assert not embedded.status(own.settings).running
    embedded.up(own.settings, state.port)
    assert resumed(own, "restarted", run_id) >= 100


def test_down_ends_everything_and_up_finds_it_again(own: Platform) -> None:
    run_id = start_long(own, "stopped", 4)
    state = read_state(own.settings)
    assert state is not None
    again = embedded.up(own.settings)
    assert (again.started, again.url) == (False, own.client.url)
    members = state.members()
    started = time.monotonic()
    assert embedded.down(own.settings) is True
    print(f"down took {time.monotonic() - started:.1f} s")
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in members)
    assert embedded.down(own.settings) is False
    embedded.up(own.settings, state.port)
    assert resumed(own, "stopped", run_id) >= 100


def test_a_home_that_is_removed_takes_its_airflow_along(own: Platform) -> None:
    state = read_state(own.settings)
    assert state is not None
    shutil.rmtree(own.settings.home, ignore_errors=True)
    wait_for("the end of all of them", lambda: not state.members(), 60)


def test_a_part_that_dies_is_started_again(own: Platform) -> None:
    before = read_state(own.settings)
    assert before is not None
    assert set(before.parts) == {"api-server", "scheduler", "dag-processor", "triggerer"}
    for pid in before.parts.values():
        os.kill(pid, signal.SIGKILL)

    def back() -> bool:
        now = read_state(own.settings)
        return now is not None and all(now.parts.get(name) not in (None, pid) for name, pid in before.parts.items())

    wait_for("all parts anew", back, 30)
    wait_for("all is well", lambda: embedded.status(own.settings).healthy, 120)
    own.add("after")
