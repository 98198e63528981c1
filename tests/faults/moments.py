"""What happens to a process at an exact moment of its work: before or after the n-th call of a function of the product.

Each is called in the child before the command begins (`installation.Installation`), and wraps the function that it names. What
the function does stays as it is.
"""

from __future__ import annotations

import functools
import importlib
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from types import FrameType
from typing import Any


@dataclass(frozen=True)
class Moment:
    """Before (or after) the `nth` call of `where` in the process, counted from 1."""

    where: str
    """`module:name` or `module:Class.name`."""
    nth: int = 1
    after: bool = False

    def __str__(self) -> str:
        name = self.where.partition(":")[2]
        return f"{'after' if self.after else 'before'} {name} {self.nth}"

    def then(self, happens: Callable[[], None]) -> None:
        """Have it happen then, in this process."""
        module_name, _, path = self.where.partition(":")
        holder: Any = importlib.import_module(module_name)
        *outer, name = path.split(".")
        for each in outer:
            holder = getattr(holder, each)
        function, calls = getattr(holder, name), 0

        @functools.wraps(function)
        def wrapped(*args: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            now = calls == self.nth
            if now and not self.after:
                happens()
            answer = function(*args, **named)
            if now and self.after:
                happens()
            return answer

        setattr(holder, name, wrapped)


def kill(moment: Moment) -> None:
    """The process sends itself SIGKILL."""
    moment.then(lambda: os.kill(os.getpid(), signal.SIGKILL))


def fall_asleep(moment: Moment) -> None:
    """The process stops until somebody sends SIGCONT. Not while its lease is renewed: a process that stops in a transaction
    holds the lock of SQLite, and everybody else waits and says so."""
    from skillsengine.storage.leases import Lease, Leases

    renew, renewing = Leases.renew, threading.Lock()

    def one_at_a_time(self: Leases, lease: Lease) -> Lease:
        with renewing:
            return renew(self, lease)

    def stop() -> None:
        with renewing:
            os.kill(os.getpid(), signal.SIGSTOP)

    Leases.renew = one_at_a_time  # type: ignore[method-assign]
    moment.then(stop)


def fill(moment: Moment, disk: Path) -> None:
    """The disk is full from then on: another program has written a file `filler` of all that was free."""
    moment.then(lambda: fill_up(disk))


def fill_up(disk: Path) -> None:
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            while True:
                try:
                    if file.write(b"x" * size) < size:
                        break
                except OSError:
                    break


def kill_at_call(count: int) -> None:
    """SIGKILL at the `count`-th call that the product's own code makes or is made while `finetune` runs."""
    _counted(lambda calls: calls == count and os.kill(os.getpid(), signal.SIGKILL))


def count_calls(into: Path) -> None:
    """Write the number of those calls into a file, at the end of `finetune`."""
    _counted(lambda calls: False, lambda calls: into.write_text(str(calls)))


def _counted(at: Callable[[int], Any], end: Callable[[int], Any] = lambda calls: None) -> None:
    from skillsengine.stages import finetune

    function = finetune.run

    def counting(*args: Any) -> Any:
        calls = 0

        def profile(frame: FrameType, event: str, _: Any) -> None:
            nonlocal calls
            if event in ("call", "c_call") and "/skillsengine/" in frame.f_code.co_filename:
                calls += 1
                at(calls)

        sys.setprofile(profile)
        try:
            return function(*args)
        finally:
            sys.setprofile(None)
            end(calls)

    finetune.run = counting


def tell_steps(into: Path) -> None:
    """Write each optimizer step that is done as a line of a file."""
    at_steps(lambda number: _append(into, number))


def wait_at_step(step: int, told: Path, go: Path) -> None:
    """After an optimizer step say so by the file `told`, and wait for the file `go`; the lease is renewed meanwhile."""
    at_steps(lambda number: _wait(told, go) if number == step else None)


def wait(moment: Moment, told: Path, go: Path) -> None:
    """The same at any moment."""
    moment.then(lambda: _wait(told, go))


def _wait(told: Path, go: Path) -> None:
    told.touch()
    until = time.monotonic() + 600
    while not go.exists() and time.monotonic() < until:
        time.sleep(0.05)


def at_steps(happens: Callable[[int], None]) -> None:
    """Have it happen after each optimizer step, with its number."""
    from skillsengine.pipeline.execute import Reporter

    call = Reporter.__call__

    def told(self: Reporter, progress: Any) -> None:
        if progress.step is not None and " · loss " in progress.text:
            happens(progress.step)
        call(self, progress)

    Reporter.__call__ = told  # type: ignore[method-assign]


def _append(path: Path, number: int) -> None:
    with path.open("a") as file:
        file.write(f"{number}\n")


def shorten_leases(seconds: float) -> None:
    from skillsengine.pipeline import execute

    execute.LEASE_SECONDS = seconds


def impatient_tracking() -> None:
    """W&B is waited for as long as a test can wait, and not for minutes."""
    from skillsengine.tracking import server, tracker

    server.PROBE_SECONDS = 3.0
    tracker.INIT_SECONDS = 15.0
    tracker.FINISH_SECONDS, tracker._GRACE = 5.0, 3.0


def no_more_files(moment: Moment) -> None:
    """The process may open no file any more; what is open stays."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    moment.then(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard)))


def move_clock(by: Path) -> None:
    """The clock that the product reads is away from the machine's by as many seconds as the file says at that moment. The
    monotonic one goes on as ever."""
    from skillsengine.pipeline import execute
    from skillsengine.storage import database

    real = time.time

    def offset() -> float:
        return float(by.read_text())

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=offset())

    time.time = lambda: real() + offset()
    database.datetime = execute.datetime = Moved  # type: ignore[misc,attr-defined]


def jump(by: Path, seconds: float) -> None:
    """From now on it is away by so much."""
    beside = by.with_suffix(".new")
    beside.write_text(str(seconds))
    beside.replace(by)
