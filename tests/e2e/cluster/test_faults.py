"""Parts of the cluster that are killed while a training is at work: in the end there is one version, its adapter is bit for bit
the one of an undisturbed training, and no process and nothing half-written is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import psutil
import pytest

from tests.e2e.cluster.recorded import Row, keep
from tests.e2e.cluster.training import Training, alive, family, task_processes
from tests.e2e.conftest import wait_for
from tools.cluster import PARTS

pytestmark = pytest.mark.nightly
HERE = "tests/e2e/cluster/test_faults.py"
UNDISTURBED = "the training goes on undisturbed"
AGAIN = "its second attempt goes on after the last checkpoint"


@pytest.mark.parametrize("part", ["scheduler", "dag-processor", "api-server", "redis", "postgres"])
def test_a_killed_part_that_comes_back_disturbs_no_training(at_work: Training, part: str) -> None:
    cluster = at_work.running.cluster
    at_work.look()
    killed = cluster.kill(part)
    at_work.struck()
    wait_for("the end of all of them", lambda: not [process for process in killed if alive(process)], 60)
    if part == "postgres":  # without the catalog a training tells nothing, and waits before its next checkpoint
        cluster.start(part)
        at_work.goes_on()
    else:
        at_work.goes_on()
        at_work.makes_a_checkpoint()
        cluster.start(part)
    attempts, repeated = at_work.ends_well(attempts=[1])
    test = f"{HERE}::{test_a_killed_part_that_comes_back_disturbs_no_training.__name__}[{part}]"
    ended = f"; {', '.join(at_work.restarted)} end too, and are started again" if at_work.restarted else ""
    keep(Row(f"`kill -9` of {part}", UNDISTURBED + ended, attempts, repeated, at_work.seconds, test))


def test_a_killed_gpu_worker_loses_the_steps_since_the_last_checkpoint(at_work: Training) -> None:
    cluster = at_work.running.cluster
    at_work.look()
    killed = cluster.kill("gpu-worker")
    at_work.struck()
    assert len(killed) >= 4, "the worker, two of its own, the task's supervisor, the task"
    wait_for("the end of all of them", lambda: not [process for process in killed if alive(process)], 60)
    cluster.start("gpu-worker")
    at_work.goes_on(anew=True)
    attempts, repeated = at_work.ends_well(attempts=[2])
    test = f"{HERE}::{test_a_killed_gpu_worker_loses_the_steps_since_the_last_checkpoint.__name__}"
    keep(Row("`kill -9` of gpu-worker with its task", AGAIN, attempts, repeated, at_work.seconds, test))


@pytest.mark.parametrize("what", ["task", "supervisor"])
def test_a_killed_process_of_a_task_is_noticed_by_its_worker(at_work: Training, what: str) -> None:
    """The worker lives, so nobody has to wait until the task counts as lost."""
    (task,) = task_processes(at_work.running.cluster, "gpu-worker")
    supervisor = task.parent()
    assert supervisor is not None
    at_work.look()
    os.kill(task.pid if what == "task" else supervisor.pid, signal.SIGKILL)
    at_work.struck()
    wait_for("the task's end", lambda: not alive(task), 30)
    at_work.goes_on(anew=True)
    attempts, repeated = at_work.ends_well(attempts=[2])
    test = f"{HERE}::{test_a_killed_process_of_a_task_is_noticed_by_its_worker.__name__}[{what}]"
    fault = {"task": "`kill -9` of a task's process", "supervisor": "`kill -9` of a task's supervisor"}[what]
    keep(Row(fault, AGAIN, attempts, repeated, at_work.seconds, test))


def test_a_killed_default_worker_repeats_the_task_that_it_had(begun: Training) -> None:
    """The first tasks of a run are the default worker's."""
    cluster = begun.running.cluster
    wait_for("a task on the default worker", lambda: task_processes(cluster, "default-worker"), 600)
    killed = cluster.kill("default-worker")
    begun.at = time.monotonic()
    wait_for("the end of all of them", lambda: not [process for process in killed if alive(process)], 60)
    cluster.start("default-worker")
    wait_for("a second attempt", lambda: max(begun.tries().values()) > 1, 900)
    begun.seconds = time.monotonic() - begun.at
    begun.ends_well(attempts=[1])
    tries = begun.tries()
    assert sorted(tries.values()) == [*[1] * (len(tries) - 1), 2]
    test = f"{HERE}::{test_a_killed_default_worker_repeats_the_task_that_it_had.__name__}"
    keep(Row("`kill -9` of default-worker with its task", "the task is done again", 2, 0, begun.seconds, test))


def test_a_machine_that_goes_away_with_all_parts_goes_on_when_it_is_back(at_work: Training) -> None:
    """All at once but the object store, which stands in for one on other machines: moto's keeps nothing on a disk."""
    cluster = at_work.running.cluster
    parts = [part for part in PARTS if part != "s3"]
    at_work.look()
    everything = [process for part in parts for process in family(cluster, part)]
    for process in everything:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()  # so that none sees another one end
    killed = [process for part in parts for process in cluster.kill(part)]
    at_work.struck()
    assert {process.pid for process in everything if alive(process)} <= {process.pid for process in killed}
    wait_for("the end of all of them", lambda: not [process for process in killed if alive(process)], 60)
    cluster.up()
    at_work.goes_on(anew=True)
    attempts, repeated = at_work.ends_well(attempts=[2])
    test = f"{HERE}::{test_a_machine_that_goes_away_with_all_parts_goes_on_when_it_is_back.__name__}"
    keep(Row("`kill -9` of all parts at once, then a new start", AGAIN, attempts, repeated, at_work.seconds, test))
