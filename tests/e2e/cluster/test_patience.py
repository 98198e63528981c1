"""What a cluster sits out, and what goes from one worker to another, while a training is at work: the promises are those of
test_faults.py."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from tests.e2e.cluster.recorded import Row, keep
from tests.e2e.cluster.running import Running
from tests.e2e.cluster.training import (
    EVERY,
    alive,
    begin,
    checkpoints,
    checkpoints_elsewhere,
    family,
    in_the_middle,
    task_processes,
)
from tests.e2e.conftest import wait_for
from tools.cluster import Cluster

pytestmark = pytest.mark.nightly
HERE = "tests/e2e/cluster/test_patience.py"
SECOND = "gpu-worker-2"
GRACE = 15 * 60
"""Seconds: compose.yaml's `stop_grace_period` of gpu-worker."""
_FAILED = re.compile(r"Failed to send heartbeat.*failed_heartbeats=(\d+)")


@contextlib.contextmanager
def set_otherwise(cluster: Cluster, parts: tuple[str, ...], settings: Mapping[str, str]) -> Iterator[None]:
    """Parts with other settings, and with their own again afterwards."""
    for part in parts:
        cluster.stop(part)
        cluster.start(part, settings)
    cluster.wait_until_well()
    try:
        yield
    finally:
        for part in parts:
            cluster.stop(part)
            cluster.start(part)
        cluster.wait_until_well()


@contextlib.contextmanager
def second_worker(running: Running, more: Mapping[str, str] | None = None) -> Iterator[None]:
    """Another `gpu` worker, as on a machine of its own: its artifacts and checkpoints come from the bucket."""
    own = {"SKILLSENGINE_CACHE": str(running.cluster.folder / "second-cache")}
    running.cluster.start(SECOND, own | dict(more or {}))
    try:
        yield
    finally:
        running.cluster.stop(SECOND)


def said(log: Path, offset: int = 0) -> str:
    """What a log holds behind its first `offset` bytes."""
    with log.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace")


def test_an_api_server_that_is_away_for_longer_than_airflow_allows(running: Running) -> None:
    """docs/cluster.md's settings for ten minutes; only the time between two heartbeats is shorter, and so is the absence."""
    cluster, log = running.cluster, running.cluster.log("gpu-worker")
    patient = {
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "900",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "200",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "2",
    }
    with set_otherwise(cluster, ("scheduler", "gpu-worker"), patient):
        training = in_the_middle(begin(running, "longer"))
        training.look()
        offset = log.stat().st_size
        cluster.kill("api-server")
        training.struck()
        wait_for("more failed heartbeats than Airflow allows", lambda: "4" in _FAILED.findall(said(log, offset)), 300)
        training.goes_on()
        cluster.start("api-server")
        failed = max(map(int, _FAILED.findall(said(log, offset))))
        attempts, repeated = training.ends_well(attempts=[1])
    test = f"{HERE}::{test_an_api_server_that_is_away_for_longer_than_airflow_allows.__name__}"
    outcome = f"{failed} heartbeats fail (Airflow's own limit is 3), the training goes on meanwhile"
    keep(Row("API server away", outcome, attempts, repeated, training.seconds, test))


def test_a_run_that_outlasts_the_brokers_visibility_timeout(running: Running) -> None:
    """Redis does give the task to a second worker; Airflow's API server tells that one that it runs already."""
    cluster, log = running.cluster, running.cluster.log(SECOND)
    short = {"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "10"}
    with set_otherwise(cluster, ("gpu-worker",), short):
        training = in_the_middle(begin(running, "longer"))
        training.look()
        offset = log.stat().st_size if log.exists() else 0
        with second_worker(running, short):
            training.struck()
            wait_for(
                "the second delivery",
                lambda: "already running elsewhere, ignoring redelivered" in said(log, offset),
                300,
            )
            training.goes_on()
            assert task_processes(cluster, SECOND) == []
            attempts, repeated = training.ends_well(attempts=[1])
    test = f"{HERE}::{test_a_run_that_outlasts_the_brokers_visibility_timeout.__name__}"
    outcome = "Redis delivers the task again; the second worker is told that it runs, and lets it be"
    keep(Row("a run longer than `visibility_timeout`", outcome, attempts, repeated, training.seconds, test))


def test_a_worker_that_is_told_to_stop_hands_its_training_over(running: Running) -> None:
    """SIGTERM, as on scale-in: a checkpoint at once, the worker's end within the grace time, and on with another worker."""
    cluster = running.cluster
    training = in_the_middle(begin(running))
    training.look()
    worker = cluster.process("gpu-worker")
    assert worker is not None
    all_of_it = family(cluster, "gpu-worker")
    worker.send_signal(signal.SIGTERM)
    training.struck()
    try:
        with second_worker(running):
            wait_for("the worker's end", lambda: not [process for process in all_of_it if alive(process)], GRACE)
            took = time.monotonic() - training.at
            training.last_checkpoint = checkpoints(running)[-1]
            training.goes_on(anew=True)
            attempts, repeated = training.ends_well(attempts=[1], moved=True)
    finally:
        cluster.stop("gpu-worker")
        cluster.start("gpu-worker")
    assert repeated == 0
    test = f"{HERE}::{test_a_worker_that_is_told_to_stop_hands_its_training_over.__name__}"
    outcome = f"a checkpoint at once, the worker ends after {took:.0f} s, the training goes on with another worker"
    keep(Row("SIGTERM to gpu-worker", outcome, attempts, repeated, training.seconds, test))


def test_a_worker_that_seemed_dead_writes_nothing_when_it_is_back(running: Running) -> None:
    """Two copies of one task: the first is frozen for so long that it counts as lost, then thaws beside the second."""
    cluster = running.cluster
    training = in_the_middle(begin(running, "longer"))
    training.look()
    frozen = family(cluster, "gpu-worker")
    (task,) = task_processes(cluster, "gpu-worker")
    for process in frozen:
        process.suspend()
    training.struck()
    # The newest checkpoint may have been on its way to the bucket.
    training.last_checkpoint, training.at_most = checkpoints_elsewhere(running)[-1], 2 * EVERY
    with second_worker(running):
        try:
            training.goes_on(anew=True)
            assert task_processes(cluster, SECOND)
        finally:
            for process in frozen:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()
        wait_for("the first copy's end", lambda: not alive(task), 300)
        attempts, repeated = training.ends_well(attempts=[2], moved=True)
    test = f"{HERE}::{test_a_worker_that_seemed_dead_writes_nothing_when_it_is_back.__name__}"
    outcome = "a second worker goes on after the last checkpoint; the first one, back, ends without writing"
    keep(
        Row("gpu-worker frozen until it counts as lost, then back", outcome, attempts, repeated, training.seconds, test)
    )
