"""Parts of the cluster that are killed or stopped while a training is at work: in the end there is one version, and its adapter
is bit for bit the one of an undisturbed training."""

from __future__ import annotations

import re

import psutil
import pytest

from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.opening import open_store
from tests.e2e.cluster.conftest import LONG, Running, adapter_files
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.nightly


def checkpoints(running: Running) -> list[int]:
    """Steps of the checkpoints that the worker has."""
    folders = (open_store(running.settings).root / "checkpoints").glob("*/*")
    return sorted(int(found[0]) for path in folders if (found := re.search(r"\d+$", path.name)))


@pytest.fixture(scope="session")
def undisturbed(running: Running) -> dict[str, str]:
    """File of the adapter -> sha256, of a training that nothing has happened to."""
    running.drop("long", LONG)
    settings = running.run_alone("long", "--until", "finetune")
    (artifact,) = (settings.store_root / "artifacts" / "finetune").glob("*/*")
    return adapter_files(settings, artifact.name)


@pytest.fixture
def at_work(running: Running, undisturbed: dict[str, str]) -> str:
    """A run of `long`, trained anew, in the middle of it."""
    assert checkpoints(running) == []
    run_id = running.client.trigger("long", conf={"force": True})
    wait_for("two checkpoints", lambda: len(checkpoints(running)) >= 2, 1200)
    assert running.platform.states("long", run_id)["finetune"] == "running"
    return run_id


def ends_well(running: Running, run_id: str, undisturbed: dict[str, str], before: int) -> tuple[int, int]:
    """One more version than before, as if nothing had been. (the step that its training went on from, its attempts)."""
    run = running.platform.finish("long", run_id, 1800)
    assert run["state"] == "success", running.platform.states("long", run_id)
    versions = running.versions("long")
    assert [version.number for version in versions] == list(range(1, before + 2))
    latest = max(versions, key=lambda version: version.number)
    assert latest.state == "ready" and adapter_files(running.settings, latest.adapter_digest) == undisturbed
    assert checkpoints(running) == [], "they go when the adapter is there"
    store = open_store(running.settings)
    assert isinstance(store, ObjectStore) and list(store.leftovers()) == [], (
        "nothing half-written, here or in the bucket"
    )
    (step,) = running.client.xcom("long", run_id, "finetune")["steps"]
    tasks = {task["task_id"]: task for task in running.client.task_instances("long", run_id)}
    return int(step["summary"]["resumed_from_step"]), int(tasks["finetune"]["try_number"])


def test_a_killed_gpu_worker_loses_the_steps_since_the_last_checkpoint(
    running: Running, at_work: str, undisturbed: dict[str, str]
) -> None:
    before = len(running.versions("long"))
    killed = running.cluster.kill("gpu-worker")
    assert len(killed) >= 4, "the worker, its pool's process, the task's supervisor, the task"
    wait_for("the end of all of them", lambda: not [process for process in killed if alive(process)], 60)
    last = checkpoints(running)[-1]
    running.cluster.start("gpu-worker")
    resumed, attempts = ends_well(running, at_work, undisturbed, before)
    assert (resumed, attempts) == (last, 2)


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
