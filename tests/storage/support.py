"""What the tests of storage share: a clock, an ordinary run, and work done at the same moment by several real processes."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import pytest

from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import Catalog, RunRow

_fork = multiprocessing.get_context("fork")


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def pin(catalog: Catalog, name: str, **changes: Any) -> RunRow:
    """Pin a run, with departures from an ordinary one."""
    values: dict[str, Any] = {
        "experiment": "job-skills",
        "kind": "retrain",
        "partition": "2026-06",
        "spec": {"name": "job-skills", "lora": {"r": 32}},
        "options": {"rerun": 0},
        "trigger": "scheduled",
        "spec_commit": None,
    }
    return catalog.pin_run("job-skills", name, **(values | changes))


def manifest(digest: str, stage: str = "format", **changes: Any) -> Manifest:
    values: dict[str, Any] = {"version": 1, "key": "2026-03", "config": {}, "inputs": {}, "summary": {"rows": 2}}
    return Manifest(stage=stage, digest=digest, **(values | changes))


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work(0)` ... `work(count - 1)` return, each in a process of its own, all let go at the same moment.

    The first error of one of them fails the test with its traceback.
    """
    barrier = _fork.Barrier(count)
    children, pipes = [], []
    for index in range(count):
        mine, theirs = _fork.Pipe(duplex=False)
        child = _fork.Process(target=_child, args=(barrier, theirs, work, index))
        child.start()
        theirs.close()
        children.append(child)
        pipes.append(mine)
    answers = [pipe.recv() for pipe in pipes]
    for child in children:
        child.join()
    errors = [answer for kind, answer in answers if kind == "error"]
    if errors:
        pytest.fail(f"{len(errors)} of {count} processes failed; the first:\n{errors[0]}")
    return [answer for _, answer in answers]


def _child(barrier: Any, pipe: Connection, work: Callable[[int], Any], index: int) -> None:
    try:
        barrier.wait(20)
        pipe.send(("done", work(index)))
    except BaseException:  # noqa: BLE001 - it is handed to the parent as text
        pipe.send(("error", traceback.format_exc()))


class Hanging:
    """A process that does `work(say)`, tells that it got as far as `say()`, and hangs there until it is killed."""

    def __init__(self, work: Callable[[Callable[[Any], None]], None]) -> None:
        mine, theirs = _fork.Pipe(duplex=False)

        def say(value: Any) -> None:
            theirs.send(value)
            while True:
                multiprocessing.Event().wait(60)

        self.process = _fork.Process(target=work, args=(say,), daemon=True)
        self.process.start()
        theirs.close()
        self.said = mine.recv()

    def kill(self) -> None:
        """As the kernel kills a process that took too much memory. It stays a zombie: nobody has asked for its end."""
        os.kill(int(self.process.pid or 0), 9)
        os.waitid(os.P_PID, int(self.process.pid or 0), os.WEXITED | os.WNOWAIT)
