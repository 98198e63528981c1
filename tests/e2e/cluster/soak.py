"""A soak: many experiments at once on a cluster whose workers, scheduler and tasks are killed at random, by a seed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import statistics
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from tests.e2e.cluster.running import Running
from tests.e2e.cluster.training import task_processes
from tests.e2e.conftest import SPEC, wait_for

WORKERS = ("default-worker", "gpu-worker")
VICTIMS = ("scheduler", *WORKERS, "task", "task", "task")
"""What is killed; of the tasks more, as there are more."""
LIVING = ("api-server", "dag-processor", "triggerer", "redis", "postgres")
"""Parts that nobody kills: their memory is watched. Not the object store's: moto keeps all objects in it."""
SETTINGS = {
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "20",
}
"""Of the scheduler. A message that a killed worker had fetched and not begun is sent again after so long; deploy/ says 600."""
RETRIES = 20
_SAMPLE_SECONDS = 5.0


@dataclass(frozen=True)
class Form:
    """How large a soak is."""

    name: str
    experiments: int
    twice: int
    """So many of them are triggered twice: the second run finds everything made."""
    seconds: float
    """For so long something is killed now and then."""
    pause: tuple[float, float]
    """Seconds between two kills: at least, at most."""
    seed: int = 0


@dataclass
class Soak:
    """One soak under way, and what it saw."""

    running: Running
    form: Form
    kills: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Part -> resident memory of its first process in MB, every few seconds."""
    runs: list[tuple[str, str]] = field(default_factory=list)
    """(experiment, run id)"""
    took: float = 0.0
    """Seconds from the first trigger until the last run had ended."""
    _sampled: float = 0.0

    @property
    def names(self) -> list[str]:
        return [f"soak-{self.form.name}-{number:03d}" for number in range(self.form.experiments)]

    def drop(self) -> None:
        """Write the specs, each with a seed of its own, and wait for their DAGs."""
        for seed, name in enumerate(self.names):
            text = SPEC.format(name=name).replace("checkpoint_steps: 2", f"checkpoint_steps: 2, seed: {seed}")
            text = text.replace("retry_delay: 1s", f"retry_delay: 1s, retries: {RETRIES}")
            (self.running.settings.experiments / f"{name}.yaml").write_text(text, encoding="utf-8")
        for name in self.names:
            wait_for(f"the DAGs of {name}", lambda name=name: self.running.client.dag(name), 1800)  # type: ignore[misc]

    def run(self) -> None:
        """Trigger, kill for the form's time, and wait until every run has ended."""
        chance, began = random.Random(self.form.seed), time.monotonic()
        for name in self.names:
            self.runs.append((name, self.running.client.trigger(name)))
        for name in self.names[: self.form.twice]:
            self.runs.append((name, self.running.client.trigger(name)))
        due = time.monotonic() + chance.uniform(*self.form.pause)
        while time.monotonic() < began + self.form.seconds:
            self.sample()
            if time.monotonic() >= due:
                self.strike(chance)
                due = time.monotonic() + chance.uniform(*self.form.pause)
            time.sleep(0.2)
        open_ = list(self.runs)
        while open_:
            self.sample()
            # One question a second: to ask for all of them again and again keeps the API server from its tasks.
            if self.state(*open_[0]) in ("success", "failed"):
                open_.pop(0)
                continue
            if time.monotonic() > began + self.form.seconds + 7200:
                raise AssertionError(f"these runs have not ended two hours after the last kill: {open_}")
            time.sleep(1.0)
        self.took = time.monotonic() - began

    def state(self, name: str, run_id: str) -> str:
        run = self.running.client.run(name, run_id)
        return str(run["state"]) if run else "gone"

    def strike(self, chance: random.Random) -> None:
        """Kill something, and start it again if nobody else does."""
        victim, cluster = chance.choice(VICTIMS), self.running.cluster
        if victim != "task":
            cluster.kill(victim)
            cluster.start(victim, SETTINGS if victim == "scheduler" else None)
            self.kills[victim] += 1
            return
        tasks = sorted((task for part in WORKERS for task in task_processes(cluster, part)), key=lambda task: task.pid)
        if tasks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(tasks).pid, signal.SIGKILL)
                self.kills[victim] += 1

    def sample(self) -> None:
        """Note the memory, now and then."""
        if time.monotonic() < self._sampled + _SAMPLE_SECONDS:
            return
        self._sampled = time.monotonic()
        for part in LIVING:
            process = self.running.cluster.process(part)
            assert process is not None, f"{part} has ended by itself"
            self.memory[part].append(process.memory_info().rss / 1e6)

    def thirds(self) -> dict[str, tuple[float, float]]:
        """Part -> mean memory in MB of the first and of the last third of the time."""
        found = {}
        for part, samples in self.memory.items():
            third = max(1, len(samples) // 3)
            found[part] = (statistics.mean(samples[:third]), statistics.mean(samples[-third:]))
        return found

    def attempts(self) -> Counter[tuple[str, int]]:
        """(task, attempts) -> tasks of that name that needed so many."""
        tasks = (task for name, run_id in self.runs for task in self.running.client.task_instances(name, run_id))
        return Counter((str(task["task_id"]), int(task["try_number"])) for task in tasks)
