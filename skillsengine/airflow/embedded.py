"""The embedded Airflow: `up`, `down`, `status`. A real Airflow for one machine, without a question to answer."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from skillsengine.airflow.client import AirflowClient
from skillsengine.airflow.embedded_config import HOST, airflow_home, environment, free_gib, log_folder, write_config
from skillsengine.airflow.embedded_state import State, end_session, read_state, state_file
from skillsengine.settings import Settings

DEFAULT_PORT = 8080
_PORTS_TRIED = 50
_MIN_FREE_GIB = 1.0
_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_HEARTBEATS = ("metadatabase", "scheduler", "dag_processor")


class EmbeddedError(Exception):
    """The embedded Airflow does not start; the text says why, where its logs are, and the mend."""


@dataclass(frozen=True)
class Address:
    """Where the embedded Airflow answers."""

    url: str
    port: int
    pid: int
    """Of the supervisor."""
    logs: Path
    started: bool = True
    """False if it was running already."""


@dataclass(frozen=True)
class Status:
    """How the embedded Airflow is."""

    running: bool
    url: str | None = None
    pid: int | None = None
    healthy: bool = False
    """Whether API, scheduler, DAG processor and database are all well."""
    parts: tuple[tuple[str, str], ...] = ()
    """Part -> `running` or `starting`, with its restarts."""


def up(settings: Settings, port: int | None = None, progress: Callable[[str], None] | None = None) -> Address:
    """Start the embedded Airflow, or find it running, and wait until it is well.

    `port` defaults to 8080 or the next free one. `progress` hears what is waited for. Raises EmbeddedError: a named
    port is taken or differs from that of the one that runs, less than 1 GiB of disk, or a part that does not come up
    (with the last lines of its log).
    """
    tell = progress or (lambda text: None)
    home = airflow_home(settings)
    if (free := free_gib(home)) < _MIN_FREE_GIB:
        raise EmbeddedError(
            f"{home}: only {free:.1f} GiB of disk left, and Airflow needs 1 GiB. Make room, or set SKILLSENGINE_HOME."
        )
    log_folder(settings).mkdir(parents=True, exist_ok=True)
    with _turn(home):
        state = read_state(settings)
        if state and state.alive():
            if port not in (None, state.port):
                raise EmbeddedError(
                    f"the embedded Airflow runs at {state.url} already. Stop it first (`make down`), or leave the port "
                    "out."
                )
            _wait(settings, state, None, tell)
            return Address(state.url, state.port, state.pid, log_folder(settings), started=False)
        if state:
            end_session(state, 0)  # what a killed supervisor may have left behind
            state_file(settings).unlink()
        chosen = _choose_port(port)
        write_config(settings, chosen)
        tell(f"starting Airflow at http://{HOST}:{chosen}")
        log = log_folder(settings) / "supervisor.log"
        with log.open("ab") as out:
            child = subprocess.Popen(
                # Not from the current folder, where a file of the project may be called as a module is.
                [sys.executable, "-P", "-m", "skillsengine.airflow.supervisor", "--port", str(chosen)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(settings, chosen),
                cwd=settings.project,
                start_new_session=True,
            )
        try:
            state = _wait(settings, None, child, tell)
        except BaseException:
            # Not half a platform: what came up is taken down again.
            if started := read_state(settings):
                end_session(started, _STOP_SECONDS)
                state_file(settings).unlink(missing_ok=True)
            child.kill()
            child.wait()
            raise
    return Address(state.url, state.port, state.pid, log_folder(settings))


def down(settings: Settings) -> bool:
    """Stop the embedded Airflow and everything that belongs to it. False if it was not running.

    Tasks under way are ended; they are tried again at the next start, training from its last checkpoint.
    """
    if not airflow_home(settings).is_dir():
        return False
    with _turn(airflow_home(settings)):
        state = read_state(settings)
        if state is None:
            return False
        was = state.alive()
        end_session(state, _STOP_SECONDS)
        state_file(settings).unlink()
        return was


def status(settings: Settings) -> Status:
    """How it is, without waiting for anything."""
    state = read_state(settings)
    if state is None or not state.alive():
        return Status(running=False)
    parts = []
    for name, pid in state.parts.items():
        restarts = state.restarts.get(name, 0)
        parts.append((name, f"running, pid {pid}" + (f", restarted {restarts} times" if restarts else "")))
    return Status(True, state.url, state.pid, not _ailing(state), tuple(parts))


def _ailing(state: State) -> list[str]:
    """The parts that are not well. A heartbeat from before this start is none: Airflow believes it for half a minute."""
    with AirflowClient(state.url) as client:
        health = client.health()
    if health is None:
        return ["api-server"]
    return [part for part in _HEARTBEATS if not _well(part, health.get(part, {}), state.started)]


def _well(part: str, health: Mapping[str, Any], since: float) -> bool:
    beat = health.get(f"latest_{part}_heartbeat")
    fresh = beat is None or datetime.fromisoformat(beat).timestamp() >= since
    return health.get("status") == "healthy" and fresh


def _wait(
    settings: Settings, state: State | None, child: subprocess.Popen[bytes] | None, tell: Callable[[str], None]
) -> State:
    """Until all parts are well. Raises EmbeddedError with the last lines of the logs if they do not become so."""
    until, told, began = time.monotonic() + _START_SECONDS, "", time.time() - 1.0
    while True:
        state = state if child is None else read_state(settings)
        ended = child is not None and child.poll() is not None
        if state and not ended:
            ailing = _ailing(state)
            if not ailing:
                return state
            if (now := f"waiting for {', '.join(ailing)}") != told:
                tell(told := now)
        if ended or (state is not None and child is None and not state.alive()):
            raise EmbeddedError(f"Airflow did not start.\n{_last_lines(settings, began)}")
        if time.monotonic() > until:
            raise EmbeddedError(f"Airflow is not well after {_START_SECONDS:.0f} s.\n{_last_lines(settings, began)}")
        time.sleep(0.3)


def _last_lines(settings: Settings, since: float, count: int = 8) -> str:
    """The ends of the logs that were written to since this start."""
    folder = log_folder(settings)
    parts = []
    for path in sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime):
        if path.stat().st_mtime < since:
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
        parts += [f"--- {path}", *(f"    {line}" for line in lines)]
    return "\n".join(parts) or f"There is nothing in {folder}."


def _choose_port(port: int | None) -> int:
    if port is not None:
        if not _free(port):
            raise EmbeddedError(
                f"port {port} is taken by another program. Name another one, or leave it out: the next free one is "
                "taken."
            )
        return port
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TRIED):
        if _free(candidate):
            return candidate
    raise EmbeddedError(
        f"the ports {DEFAULT_PORT} to {DEFAULT_PORT + _PORTS_TRIED - 1} are all taken. Name a free one."
    )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def _turn(home: Path) -> Iterator[None]:
    """One `up` or `down` at a time."""
    with (home / "up.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
