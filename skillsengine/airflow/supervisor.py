"""Keeps the parts of the embedded Airflow running: `python -m skillsengine.airflow.supervisor`, started by
`embedded.up`.

The API server starts first: a scheduler whose tasks cannot reach it fails them. A part that dies is started again
after a growing pause. SIGTERM ends them in reverse order; whatever ends this process, the kernel ends them with it.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from skillsengine.airflow.client import AirflowClient
from skillsengine.airflow.embedded_state import State, read_state, write_state
from skillsengine.settings import SUPERVISOR, load_settings

log = logging.getLogger("skillsengine.supervisor")

# The triggerer is for deferrable operators of the user's own DAGs, and without it the UI shows a part as broken.
PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
_COMMANDS = {
    # Task logs lie on this machine's disk, where the API server reads them: no log server is needed, and Airflow's own
    # would listen on all interfaces.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
_ENVIRONMENTS = {
    "api-server": {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": "skillsengine.airflow.embedded_config.API_CONNECT_ARGS"
    },
}
"""What one part is told otherwise than the others."""
_GRACE_SECONDS = 10.0
"""How long a part may take to end before it is killed. Tasks under way end with it and are tried again at the next
start."""
_STEADY_SECONDS = 60.0
"""A part that ran for so long starts without a pause when it dies."""
_LONGEST_PAUSE = 60.0
_GIVE_UP = 4
"""Times that the API server may die before it ever answered."""
_LOG_BYTES = 20 << 20


@dataclass
class Part:
    """One supervised process."""

    name: str
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    pause: float = 1.0
    due: float = field(default=0.0)
    """When it may start again."""

    def start(self) -> None:
        command = _COMMANDS.get(self.name, (self.name,))
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "skillsengine.airflow.part", *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=os.environ | {SUPERVISOR: str(os.getpid())} | _ENVIRONMENTS.get(self.name, {}),
                process_group=0,  # so that its forks can be ended with it
            )
        self.started = time.monotonic()
        log.info("%s: started, pid %d", self.name, self.process.pid)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def mind(self) -> None:
        """Start it, or start it again when its pause is over."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due:
                self.start()
        elif (code := self.process.poll()) is not None:
            self.pause = 1.0 if now - self.started > _STEADY_SECONDS else min(self.pause * 2, _LONGEST_PAUSE)
            log.warning("%s: ended with %s; starts again in %.0f s", self.name, code, self.pause)
            self.end_group(signal.SIGKILL)  # what it forked
            self.process, self.due, self.restarts = None, now + self.pause, self.restarts + 1
        self.cut_log()

    def end_group(self, sig: signal.Signals) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, sig)
            except ProcessLookupError:
                return

    def stop(self) -> None:
        """End it politely, then for certain."""
        if self.process is None:
            return
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                log.info("%s: did not end within %.0f s", self.name, _GRACE_SECONDS)
        self.end_group(signal.SIGKILL)
        self.process.wait()
        log.info("%s: ended", self.name)
        self.process = None

    def cut_log(self) -> None:
        """Keep one older piece of a log that grew too long; the writer appends, so emptying the file is safe."""
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.with_suffix(".log.1").write_bytes(self.log.read_bytes())
            os.truncate(self.log, 0)


class Supervisor:
    """The loop. `healthy` tells whether the API answers, `wanted` whether this supervisor is still the one in charge."""

    def __init__(
        self,
        parts: list[Part],
        healthy: Callable[[], bool],
        save: Callable[[list[Part]], None],
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.parts, self._healthy, self._save, self._wanted = parts, healthy, save, wanted
        self._stopping = False

    def stop_soon(self, signum: int, frame: FrameType | None) -> None:
        self._stopping = True

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the exit code: 1 if the API server never came up."""
        try:
            if not self._first():
                return 1
            while not self._stopping:
                if not self._wanted():
                    log.warning("the home was removed or has another supervisor; this one ends")
                    return 0
                before = [part.process for part in self.parts]
                for part in self.parts:
                    part.mind()
                if before != [part.process for part in self.parts]:
                    self._save(self.parts)
                time.sleep(0.5)
            return 0
        finally:
            for part in reversed(self.parts):
                part.stop()

    def _first(self) -> bool:
        """Bring the API server up before anything else."""
        api = self.parts[0]
        while not self._stopping:
            before = api.process
            api.mind()
            if before is not api.process:
                self._save(self.parts)
            if api.restarts >= _GIVE_UP:
                log.error("%s ended %d times before it answered; giving up", api.name, api.restarts)
                return False
            if api.alive() and self._healthy():
                log.info("%s answers after %.1f s", api.name, time.monotonic() - api.started)
                return True
            time.sleep(0.3)
        return True


def migrate(home: Path) -> int:
    """Make or upgrade Airflow's own database, unless this version of Airflow has done so. Returns the exit code."""
    version, done = importlib.metadata.version("apache-airflow-core"), home / "migrated"
    if (home / "airflow.db").exists() and done.exists() and done.read_text(encoding="utf-8") == version:
        return 0
    with (home / "logs" / "migrate.log").open("ab") as file:
        code = subprocess.run(
            [sys.executable, "-P", "-m", "skillsengine.airflow.part", "db", "migrate"],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {SUPERVISOR: str(os.getpid())},
            check=False,
        ).returncode
    if code == 0:
        done.write_text(version, encoding="utf-8")
    return code


def main() -> int:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, required=True)
    port: int = arguments.parse_args().port
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every look at the API's health
    settings = load_settings()
    home = Path(os.environ["AIRFLOW_HOME"])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    state = State.of_this_process(port)
    write_state(settings, state)
    if (code := migrate(home)) != 0:
        log.error("`airflow db migrate` ended with %d", code)
        return 1
    client = AirflowClient(state.url)

    def save(parts: list[Part]) -> None:
        pids = {part.name: part.process.pid for part in parts if part.process}
        write_state(settings, state.with_parts(pids, {part.name: part.restarts for part in parts}))

    def wanted() -> bool:
        written = read_state(settings)
        return written is not None and (written.pid, written.started) == (state.pid, state.started)

    parts = [Part(name, home / "logs" / f"{name}.log") for name in PARTS]
    supervisor = Supervisor(parts, lambda: client.health() is not None, save, wanted)
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, supervisor.stop_soon)
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
