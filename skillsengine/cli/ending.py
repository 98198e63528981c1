"""How a command that works on a run ends when it is stopped: the run is closed in the catalog, and the user is told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from skillsengine.cli.console import err
from skillsengine.pipeline.run import Run, finish_run
from skillsengine.storage.catalog import CatalogUnavailable


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a service manager or a batch system sends it: a command ends as after Ctrl-C."""


def end_as_after_ctrl_c() -> None:
    """Let SIGTERM raise Terminated in the main thread; by default the process is gone at once, its run "running" for good."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


@contextmanager
def closed_if_it_fails(run: Run) -> Iterator[None]:
    """The run is `failed` in the catalog, with the reason, if the block raises.

    Raises typer.Exit with the shells' exit code, 128 and the signal's number, after Ctrl-C or SIGTERM.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        sent = signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT
        _close(run, "stopped by Ctrl-C" if sent is signal.SIGINT else "stopped by SIGTERM")
        err.print("stopped: what was finished is kept, and the same command goes on from there")
        raise typer.Exit(128 + sent) from error
    except BaseException as error:
        _close(run, str(error) or type(error).__name__)
        raise


def _close(run: Run, why: str) -> None:
    """Without a catalog, which may lie on the same full disk, the run stays open; that must not hide what has failed."""
    try:
        finish_run(run, "failed", why)
    except CatalogUnavailable as error:
        err.print(f"the run {run.run_id} stays open in the catalog: {error}", markup=False)
