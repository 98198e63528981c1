"""A training on the gpu worker that something happens to, and what must be true when all is over."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import psutil

from skillsengine.airflow.client import AirflowError
from skillsengine.storage.catalog import Catalog, CatalogUnavailable
from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.opening import open_store
from tests.e2e.cluster.running import WIDE, Running, adapter_files
from tests.e2e.conftest import wait_for
from tools.cluster import PARTS, SECOND, Cluster

EVERY = 8
"""Optimizer steps from one checkpoint to the next."""
LENGTHS = {"long": 80, "longer": 480}
"""Spec -> the optimizer steps of its training."""
TASK = "airflow worker -- "
"""How Airflow names the process in which a task's code runs; its parent is the task's supervisor."""
RESTARTED = ("api-server", "scheduler", "dag-processor", "triggerer")
"""Parts that compose.yaml's `restart: unless-stopped` is needed for."""
_ALONE: dict[str, dict[str, str]] = {}
_STEP = re.compile(r"step (\d+)/")


def train_section(name: str) -> str:
    """The line `train:` of a spec: four steps an epoch."""
    steps = f"epochs: {LENGTHS[name] // 4}, per_device_batch_size: 4, learning_rate: 0.001"
    return f"train: {{{steps}, logging_steps: 10, checkpoint_steps: {EVERY}}}\n"


@dataclass(frozen=True)
class Told:
    """What the catalog knows of the training."""

    step: int
    when: datetime
    attempts: int


@dataclass
class Training:
    """A run that trains anew, and what is known of it."""

    running: Running
    name: str
    run_id: str
    undisturbed: dict[str, str]
    """File of the adapter -> sha256, of a training that nothing has happened to."""
    versions_before: int
    at: float = 0.0
    before: Told | None = None
    last_checkpoint: int = 0
    at_most: int = EVERY
    """Steps that may be done twice."""
    seconds: float = field(default=0.0, init=False)
    restarted: list[str] = field(default_factory=list, init=False)
    """Parts that had ended by themselves, and were started again."""

    @functools.cached_property
    def catalog(self) -> Catalog:
        return Catalog.open(self.running.settings.catalog_url)

    def told(self) -> Told | None:
        """None while the catalog does not answer, and until an attempt has told a step."""
        with contextlib.suppress(CatalogUnavailable):
            run = self.catalog.get_run(self.name, self.run_id)
            for row in self.catalog.steps_of(run.id) if run else ():
                found = _STEP.search(str(row.progress.get("text") or ""))
                if row.stage == "finetune" and found:
                    return Told(int(found[1]), row.updated, row.attempts)
        return None

    def struck(self) -> None:
        """Call when the fault is there: from now on the seconds count."""
        self.at, self.last_checkpoint = time.monotonic(), checkpoints(self.running)[-1]
        self.before = self.told() or self.before

    def look(self) -> None:
        """Call before a fault after which the catalog may not answer."""
        self.before = self.told()

    def goes_on(self, *, anew: bool = False, seconds: float = 1200) -> None:
        """Wait until the training tells another step than before the fault; `anew`: until it does so in another process."""
        old = self.before.attempts if self.before else 0

        def further() -> bool:
            told = self.told()
            return told is not None and (told.attempts > old if anew else told != self.before)

        wait_for("the training to go on", further, seconds)
        self.seconds = time.monotonic() - self.at

    def makes_a_checkpoint(self, count: int = 1, seconds: float = 1200) -> None:
        """Wait until the training has made so many more checkpoints than there were at the fault."""
        want = self.last_checkpoint + count * EVERY
        wait_for(f"the checkpoint of step {want}", lambda: checkpoints(self.running)[-1:] >= [want], seconds)

    def ends_well(self, attempts: Iterable[int], *, moved: bool = False) -> tuple[int, int]:
        """One more version than before, as if nothing had been. (attempts, steps that were done twice).

        `moved`: the training ended on another machine than it began on.
        """
        state = wait_for(f"the end of {self.run_id}", self._ended, 2400)
        assert state == "success", self.running.platform.states(self.name, self.run_id)
        versions = self.running.versions(self.name)
        assert [version.number for version in versions] == list(range(1, self.versions_before + 2))
        latest = max(versions, key=lambda version: version.number)
        assert latest.state == "ready"
        assert adapter_files(self.running.settings, latest.adapter_digest) == self.undisturbed
        self._nothing_is_left(moved)
        (step,) = self.running.client.xcom(self.name, self.run_id, "finetune")["steps"]
        resumed, tries = int(step["summary"]["resumed_from_step"]), self.tries()["finetune"]
        assert tries in attempts, self.running.client.task_log(self.name, self.run_id, "finetune", 1)[-20:]
        if tries == 1 and not moved:
            assert resumed == 0
            return tries, 0
        assert self.before is not None
        assert resumed >= self.last_checkpoint > 0
        repeated = max(0, self.before.step - resumed)
        assert repeated <= self.at_most, f"went on after step {resumed}, had been at step {self.before.step}"
        return tries, repeated

    def _ended(self) -> str | None:
        """The run's state once it is over. Parts that have ended meanwhile are started again, as Docker does it."""
        for part in RESTARTED:
            if not self.running.cluster.running(part):
                self.restarted.append(part)
                self.running.cluster.start(part)
        with contextlib.suppress(AirflowError):  # Airflow's own database may be away
            run = self.running.client.run(self.name, self.run_id)
            return str(run["state"]) if run and run["state"] in ("success", "failed") else None
        return None

    def _nothing_is_left(self, moved: bool) -> None:
        running, store = self.running, open_store(self.running.settings)
        assert isinstance(store, ObjectStore)
        left = list(store.leftovers())
        if moved:
            # The machine that it has left does not hear of its end; housekeeping removes there what nobody goes on from.
            assert left and [each.name for each in left if not (store.root / each.name).exists()] == [], "in the bucket"
            for each in left:
                each.remove()
        else:
            assert left == [], "nothing half-written, here or in the bucket; checkpoints go when the adapter is there"
        wait_for("the end of processes that nobody minds", lambda: strays(running.cluster) == [], 60)
        found = self.catalog.get_run(self.name, self.run_id)
        assert found is not None and found.state == "success" and found.finished is not None
        assert {row.state for row in self.catalog.steps_of(found.id)} <= {"done", "cached"}

    def tries(self) -> dict[str, int]:
        """Task -> its attempts."""
        tasks = self.running.client.task_instances(self.name, self.run_id)
        return {task["task_id"]: int(task["try_number"]) for task in tasks}


def undisturbed(running: Running, name: str) -> dict[str, str]:
    """File of the adapter -> sha256, of a training that nothing has happened to. It is made once."""
    if name not in _ALONE:
        running.drop(name, train_section(name), WIDE)
        settings = running.run_alone(name, "--until", "finetune")
        (artifact,) = (settings.store_root / "artifacts" / "finetune").glob("*/*")
        _ALONE[name] = adapter_files(settings, artifact.name)
    return _ALONE[name]


def begin(running: Running, name: str = "long") -> Training:
    """A run that has just been triggered, to be trained anew."""
    alone = undisturbed(running, name)
    assert checkpoints(running) == []
    before = len(running.versions(name))
    return Training(running, name, running.client.trigger(name, conf={"force": True}), alone, before)


def in_the_middle(training: Training) -> Training:
    """The same, once it trains and has checkpoints to go on from."""
    running = training.running
    wait_for("two checkpoints", lambda: len(checkpoints(running)) >= 2, 1800)
    assert running.platform.states(training.name, training.run_id)["finetune"] == "running"
    return training


def checkpoints(running: Running) -> list[int]:
    """Steps of the checkpoints that the worker has on its disk."""
    folders = (open_store(running.settings).root / "checkpoints").glob("*/checkpoint-*")
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folders)


def checkpoints_elsewhere(running: Running) -> list[int]:
    """Steps of the checkpoints that a worker on another machine finds: those whose sending to the bucket is done."""
    store = open_store(running.settings)
    assert isinstance(store, ObjectStore)
    found = (re.search(r"/checkpoint-(\d+)/kept\.json$", listed.key) for listed in store.bucket.list("checkpoints/"))
    return sorted(int(each[1]) for each in found if each)


def task_processes(cluster: Cluster, part: str) -> list[psutil.Process]:
    """The processes in which tasks of a worker run now."""
    worker, found = cluster.process(part), []
    for process in worker.children(recursive=True) if worker else ():
        with contextlib.suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).startswith(TASK) and alive(process):
                found.append(process)
    return found


def family(cluster: Cluster, part: str) -> list[psutil.Process]:
    process = cluster.process(part)
    return [process, *process.children(recursive=True)] if process else []


def alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def strays(cluster: Cluster) -> list[str]:
    """Processes that were started with the cluster's settings and belong to no part that runs."""
    minded = {process.pid for part in (*PARTS, *SECOND) for process in family(cluster, part)} | {os.getpid()}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.environ().get("SKILLSENGINE_HOME") == str(cluster.home) and alive(process):
                parents = {process.pid, *(parent.pid for parent in process.parents())}
                if not parents & minded:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:120]}")
    return found
