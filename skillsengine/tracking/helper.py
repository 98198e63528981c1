"""W&B's helper process (`wandb-core`), which writes a run's log and sends it: it is given up when it does not come to an end.

W&B's own time-out for the end of a run does not hold while an artifact cannot be sent: the helper tries that again for hours.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

log = logging.getLogger(__name__)
_NAME = "wandb-core"
_GIVEN_UP = ("filestream: fatal error", "sender: failed to log artifact")


class HelperGivenUp(Exception):
    """The helper did not end its work in time and was killed. What it wrote is kept."""


class Refused(Exception):
    """The server has refused what the helper sent, and the helper says nothing of it. What it wrote is kept."""


def require_sent(folder: Path) -> None:
    """Raise Refused where the helper's own log of an ended run, in the run's `folder`, tells that it gave something up: with a
    key that is refused in mid-run it ends as if all had been sent. Raises OSError."""
    told = folder / "logs" / "debug-internal.log"
    if not told.is_file():
        return
    with told.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                message = str(json.loads(line)["msg"])
            except (ValueError, KeyError, TypeError):
                continue  # cut off, or not one of its records
            if message.startswith(_GIVEN_UP):
                raise Refused(message)


@contextmanager
def given_up_after(seconds: float) -> Iterator[None]:
    """Kill the helper of this process if the block takes longer. Raises HelperGivenUp then, whatever the block raised."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        for child in psutil.Process().children():
            try:
                if child.name() == _NAME:
                    child.kill()
            except psutil.NoSuchProcess:
                continue

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if late.is_set():
            raise HelperGivenUp(f"no end after {seconds:.0f} s") from error
        raise
    finally:
        timer.cancel()
        if late.is_set():
            forget()


def forget() -> None:
    """Let W&B start a new helper when the next run begins; the one that there was may be dead, or hold a run's id as taken."""
    try:
        import wandb

        wandb.teardown(exit_code=1)
    except Exception as error:  # noqa: BLE001 - whatever W&B raises, the stage goes on
        log.info("W&B: its helper process does not stop by itself. %s: %s", type(error).__name__, error)
