"""An installation on one machine: a small project, and `skillsengine` in processes of their own that something happens to."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from skillsengine.settings import Settings, load_settings
from skillsengine.spec.schema import STAGES
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import Store
from tests.faults import moments
from tests.pipeline.project import make_project

EVERY = 4
"""Optimizer steps from one checkpoint to the next."""
SPEC = f"""name: tiny
schedule: none
data: {{source: "data/ads/{{partition}}.jsonl", window: 2}}
base: {{model: base}}
lora: {{r: 4, alpha: 8, dropout: 0.1}}
train: {{epochs: 3, per_device_batch_size: 4, learning_rate: 0.01, logging_steps: 1, checkpoint_steps: {EVERY}}}
evaluate: {{max_new_tokens: 8}}
gate: {{min_gold_skills: 1}}
tracking: {{mode: disabled}}
resources: {{device: cpu}}
"""
Happens = Callable[[], None]
_server = multiprocessing.get_context("forkserver")
# They are imported once, in a process without threads, and each command is a fork of it.
_server.set_forkserver_preload(
    ["skillsengine.cli", "transformers.models.llama.modeling_llama", "peft"]
    + [f"skillsengine.stages.{stage}" for stage in STAGES]
)


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    """Of the exit; the negative number of the signal that killed it."""
    said: str
    """Output and errors."""


class Child:
    """`skillsengine WORDS...` in a process of its own."""

    def __init__(self, work: Callable[[], None], log: Path, env: Mapping[str, str], happens: Sequence[Happens]) -> None:
        self.log = log
        self.process = _server.Process(target=_child, args=(work, log, dict(env), tuple(happens)))
        self.process.start()

    @property
    def pid(self) -> int:
        return int(self.process.pid or 0)

    def ended(self, seconds: float = 600) -> Ended:
        """Wait for the end. One that does not come is an error, and the process is killed."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
            raise TimeoutError(f"no end after {seconds:.0f} s: {self.said()[-2000:]}")
        return Ended(int(self.process.exitcode or 0), self.said())

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def until_stopped(self) -> None:
        """Wait until the process has stopped itself."""
        until_true(lambda: psutil.Process(self.pid).status() == psutil.STATUS_STOPPED, self)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)


def until_true(true: Callable[[], bool], child: Child, seconds: float = 300) -> None:
    """Wait for something that a process is to bring about; its end, or none at all, is an error."""
    until = time.monotonic() + seconds
    while not true():
        if not child.process.is_alive() or time.monotonic() > until:
            raise AssertionError(f"it did not happen (exit {child.process.exitcode}): {child.said()[-2000:]}")
        time.sleep(0.05)


def _child(work: Callable[[], None], log: Path, env: dict[str, str], happens: tuple[Happens, ...]) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.environ.clear()
    os.environ.update(env)
    for each in happens:
        each()
    work()


def _command(*words: str) -> None:
    from skillsengine.cli import main

    sys.argv = ["skillsengine", *words]
    main()


def _stages(project: Path, run_id: str, *stages: str) -> None:
    """These stages of a run, as tasks of an orchestrator do them: whoever does one again does it in the same run."""
    from skillsengine.pipeline.run import open_run, run_stage
    from skillsengine.spec.load import load_spec

    settings = load_settings(project)
    experiment = load_spec(settings.experiments / "tiny.yaml").experiment
    run = open_run(experiment, dag_id="tiny", run_id=run_id, settings=settings)
    for stage in stages:
        run_stage(run, stage)


@dataclass
class Installation:
    """A project with its home; `env` is what the environment has beside it."""

    project: Path
    home: Path
    env: dict[str, str] = field(default_factory=dict)
    logs: int = 0

    @classmethod
    def make(cls, folder: Path, home: Path | None = None, **env: str) -> Installation:
        """A new one below `folder`."""
        make_project(folder / "project")
        (folder / "project" / "experiments" / "tiny.yaml").write_text(SPEC)
        return cls(folder / "project", home or folder / "home", env)

    @property
    def spec(self) -> Path:
        return self.project / "experiments" / "tiny.yaml"

    @property
    def steps_file(self) -> Path:
        return self.project / "steps.txt"

    @property
    def environment(self) -> dict[str, str]:
        own = {"SKILLSENGINE_PROJECT": str(self.project), "SKILLSENGINE_HOME": str(self.home), "COLUMNS": "500"}
        return {**os.environ, **own, **self.env}

    def start(self, *words: str, happens: Sequence[Happens] = ()) -> Child:
        """Begin `skillsengine WORDS...`."""
        return self._child(partial(_command, *words), happens)

    def start_stages(self, run_id: str, *stages: str, happens: Sequence[Happens] = ()) -> Child:
        """Begin these stages of the run of that id, which another process may be at work on."""
        return self._child(partial(_stages, self.project, run_id, *stages), happens)

    def _child(self, work: Callable[[], None], happens: Sequence[Happens]) -> Child:
        self.logs += 1
        log = self.project / f"command-{self.logs}.log"
        return Child(work, log, self.environment, [partial(moments.tell_steps, self.steps_file), *happens])

    def run(self, *happens: Happens, seconds: float = 600) -> Ended:
        """`skillsengine run` of the spec, to its end."""
        return self.start("run", str(self.spec), happens=happens).ended(seconds)

    @property
    def steps(self) -> list[int]:
        """The optimizer steps that were done so far, by all processes."""
        return [int(line) for line in self.steps_file.read_text().split()] if self.steps_file.exists() else []

    @property
    def repeated(self) -> int:
        """Steps that were done more than once."""
        return sum(count - 1 for count in Counter(self.steps).values())

    @property
    def settings(self) -> Settings:
        """As the commands have them. Beside the home and the project they ask the environment of the test."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            return load_settings(self.project)
        finally:
            os.environ.clear()
            os.environ.update(before)

    @property
    def store(self) -> Store:
        return open_store(self.settings)

    @property
    def catalog(self) -> Catalog:
        return Catalog.open(self.settings.catalog_url)

    @property
    def versions(self) -> list[VersionRow]:
        return self.catalog.versions("tiny")

    def adapter(self) -> bytes:
        """The weights of the only adapter."""
        store = self.store
        (digest,) = (digest for stage, digest in store.artifacts() if stage == "finetune")
        artifact = store.get("finetune", digest)
        assert artifact is not None
        return artifact.file("adapter/adapter_model.safetensors").read_bytes()


@dataclass(frozen=True)
class Whole:
    """What a run leaves that nothing has happened to."""

    adapter: bytes
    artifacts: tuple[tuple[str, str], ...]
    """(stage, digest)"""
    steps: int
    calls: int
    """That the product's code makes in `finetune`."""


def check(installation: Installation, whole: Whole, *, at_most: int = EVERY) -> int:
    """All is as if nothing had happened: one version, the same artifacts and adapter, all whole, nothing half-written.

    Returns how many steps were done twice, of which there may be `at_most` so many.
    """
    store = installation.store
    assert [(version.number, version.state) for version in installation.versions] == [(1, "ready")]
    assert tuple(sorted(store.artifacts())) == whole.artifacts
    for stage, digest in whole.artifacts:
        artifact = store.get(stage, digest)
        assert artifact is not None and store.verify(artifact) == []
    assert installation.adapter() == whole.adapter
    left = [each.name for each in store.leftovers() if not each.name.startswith("checkpoints/")]
    assert left == [], "checkpoints of a training that was killed after its end are housekeeping's"
    assert set(installation.steps) == set(range(1, whole.steps + 1))
    assert installation.repeated <= at_most
    return installation.repeated


def make_whole(folder: Path) -> Whole:
    """Let a run go through undisturbed."""
    installation = Installation.make(folder)
    calls: Any = installation.project / "calls.txt"
    ended = installation.run(partial(moments.count_calls, calls))
    assert ended.code == 0, ended.said
    store = installation.store
    return Whole(
        installation.adapter(), tuple(sorted(store.artifacts())), len(installation.steps), int(calls.read_text())
    )
