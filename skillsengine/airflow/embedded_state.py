"""Which processes the embedded Airflow of a home consists of: the state file, and what of it is true."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self

import psutil

from skillsengine.airflow.embedded_config import HOST, airflow_home
from skillsengine.settings import Settings


@dataclass(frozen=True)
class State:
    """What the supervisor wrote down about itself."""

    pid: int
    """Of the supervisor; it leads a session of its own, and all its processes belong to that."""
    started: float
    """Seconds since the epoch, as the system tells: with the pid it names one process for good."""
    port: int
    parts: Mapping[str, int] = field(default_factory=dict)
    """Part -> pid."""
    restarts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_this_process(cls, port: int) -> Self:
        return cls(os.getpid(), psutil.Process().create_time(), port)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def with_parts(self, parts: Mapping[str, int], restarts: Mapping[str, int]) -> State:
        return replace(self, parts=dict(parts), restarts=dict(restarts))

    def alive(self) -> bool:
        """Whether that very supervisor runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < 1.0
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    def members(self) -> list[psutil.Process]:
        """Every process of the supervisor's session, whoever its parent is by now."""
        found = []
        for process in psutil.process_iter():
            try:
                # Started later, too: a session's number may be another one's after a reboot.
                if os.getsid(process.pid) == self.pid and process.create_time() >= self.started - 1.0:
                    found.append(process)
            except (ProcessLookupError, PermissionError, psutil.Error):
                continue  # it ended while we looked, or is another user's
        return [process for process in found if process.status() != psutil.STATUS_ZOMBIE]


def state_file(settings: Settings) -> Path:
    return airflow_home(settings) / "supervisor.json"


def write_state(settings: Settings, state: State) -> None:
    path = state_file(settings)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(asdict(state)), encoding="utf-8")
    beside.replace(path)


def read_state(settings: Settings) -> State | None:
    """None where nothing was ever started, or the last one was ended."""
    path = state_file(settings)
    return State(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def end_session(state: State, seconds: float) -> None:
    """End the supervisor, wait for it to end its parts, and kill what is left of its session after `seconds`."""
    if state.alive():
        os.kill(state.pid, signal.SIGTERM)
    until = time.monotonic() + seconds
    while state.alive() and time.monotonic() < until:
        _reap(state.pid)
        time.sleep(0.1)
    for _ in range(3):  # a process may fork while we go through the list
        left = state.members()
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        if not left:
            return
        psutil.wait_procs(left, timeout=5)


def _reap(pid: int) -> None:
    """Take note of the supervisor's end if it is a child of this very process (as after `up` in one program)."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
