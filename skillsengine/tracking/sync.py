"""Send the W&B runs that were kept, by W&B's own `wandb sync`: each once, and what cannot be sent stays.

`wandb sync` ends with success where the server refuses a run, too; that a run is delivered is told by the mark that it leaves
beside the run's log. A run that was cut off is sent from its beginning again, over what W&B has of it.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from skillsengine.tracking.kept import KeptRun, kept_runs
from skillsengine.tracking.server import probe, server_address

SEND_SECONDS = 900.0
"""Longest time for one run."""
_FAILURES = 3
"""So many in a row: the cause is not the run."""
_COMMAND = (sys.executable, "-m", "wandb", "sync", "--include-online")


@dataclass(frozen=True)
class Sent:
    """What came of sending."""

    sent: Mapping[str, str | None]
    """Name of a run's folder -> its page in W&B, where `wandb sync` told it."""
    failed: Mapping[str, str]
    """Name of a run's folder -> why it was not sent; it stays."""
    left: tuple[KeptRun, ...] = ()
    """Runs that were not tried; they stay."""
    stopped: str | None = None
    """Why those were not tried."""
    going_on: int = 0
    """Runs that somebody is at work on: there is nothing to send yet."""

    @property
    def complete(self) -> bool:
        return not self.failed and not self.left


Told = Callable[[KeptRun, str | None, str | None], None]
"""Called after each run with its page, or with why it was not sent."""


def send_kept_runs(
    home: Path,
    env: Mapping[str, str] = os.environ,
    *,
    told: Told | None = None,
    command: Sequence[str] = _COMMAND,
    now: float | None = None,
    seconds: float = SEND_SECONDS,
) -> Sent | None:
    """Send the runs below `<home>/wandb` that have ended and that W&B lacks something of, each for at most `seconds`.

    None without WANDB_API_KEY: then there is nobody to send them to. Never raises for what W&B or the network does.
    """
    if not env.get("WANDB_API_KEY"):
        return None
    kept = kept_runs(home, now=now)
    going_on = sum(run.state == "going on" for run in kept)
    if all(run.state == "going on" for run in kept):
        return Sent({}, {}, going_on=going_on)
    with _alone(home / "wandb" / "sync.lock") as alone:
        # Looked at again: another one may have sent some while this one came for the lock.
        left = [run for run in kept_runs(home, now=now) if run.state == "waiting"]
        if not alone:
            return Sent({}, {}, tuple(left), "another `skillsengine sync` is at work on them", going_on)
        try:
            probe(server_address(env))
        except ConnectionError as error:
            return Sent({}, {}, tuple(left), f"{error}; see WANDB_BASE_URL and HTTPS_PROXY", going_on)
        sent: dict[str, str | None] = {}
        failed: dict[str, str] = {}
        in_a_row = 0
        while left and in_a_row < _FAILURES:
            run = left.pop(0)
            page, why = _send(command, run.folder, env, seconds)
            if why is None:
                sent[run.folder.name], in_a_row = page, 0
            else:
                failed[run.folder.name], in_a_row = why, in_a_row + 1
            if told:
                told(run, page, why)
    stopped = f"{_FAILURES} runs in a row were not sent" if left else None
    return Sent(sent, failed, tuple(left), stopped, going_on)


def _send(command: Sequence[str], run: Path, env: Mapping[str, str], seconds: float) -> tuple[str | None, str | None]:
    """(the run's page, why it was not sent); at least one is None."""
    folder = run.parent
    own = {
        "WANDB_MODE": "online",
        "WANDB_BASE_URL": server_address(env),
        "WANDB_DIR": str(folder.parent),
        # Where the offline run has left the files of its artifacts.
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "WANDB_ERROR_REPORTING": "false",
    }
    process = subprocess.Popen(
        [*command, str(run)],
        env={**env, **own},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # its helper must end with it
    )
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None, f"no end after {seconds:.0f} s"
    except BaseException:  # interrupted, or the task is ended
        os.killpg(process.pid, signal.SIGKILL)
        raise
    lines = [line.strip().removeprefix("wandb: ") for line in said.splitlines() if line.strip()]
    if any(run.glob("*.wandb.synced")):
        pages = [found[1] for line in lines if (found := re.search(r" at (https?://\S+/runs/\S+)$", line))]
        return next(iter(pages), None), None
    errors = [line for line in lines if re.match(r"(ERROR|Error:) ", line) and "error logs at" not in line]
    why = (errors or lines or [f"`wandb sync` ended with {process.returncode} and said nothing"])[-1]
    return None, re.sub(r"^(ERROR|Error:) ", "", why).replace(env["WANDB_API_KEY"], "***")


@contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether no other process sends; while the block runs, none can begin."""
    with lock.open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
