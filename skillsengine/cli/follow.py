"""Follow a run in the terminal: a line for each finished step, and where the present one is."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from skillsengine.cli.console import progress_line, seconds_text
from skillsengine.pipeline.summaries import summary_line
from skillsengine.stages.contract import Progress
from skillsengine.storage.catalog import Catalog, StepRow

if TYPE_CHECKING:
    from skillsengine.airflow.client import AirflowClient

UNDER_WAY = ("queued", "running")
"""States of a run that is not over."""
_POLL_SECONDS = 1.0
_LINE_SECONDS = 15.0
"""Where the output is no terminal, progress is a line at most this often."""


class Follower:
    """Reads the catalog, so it shows a run of any process, and outlives a retry of its tasks."""

    def __init__(self, catalog: Catalog, dag_id: str, run_id: str, console: Console) -> None:
        self._catalog, self._dag_id, self._run_id, self._console = catalog, dag_id, run_id, console
        self._told: dict[str, tuple[str, int]] = {}
        self._last_line = 0.0
        self._last_text = ("", "")
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status = self._console.status("waiting for the first task")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status:
            self._status.stop()

    def look(self) -> None:
        """Show what is new since the last look."""
        run = self._catalog.get_run(self._dag_id, self._run_id)
        if run is None:
            return
        for step in self._catalog.steps_of(run.id):
            now = (step.state, step.attempts)
            if step.state == "running":
                self._progress(step)
            elif self._told.get(step.step_id) != now:
                self._finished(step)
            self._told[step.step_id] = now

    def _finished(self, step: StepRow) -> None:
        marks = {"done": ("✔", "green"), "cached": ("✔", "green"), "failed": ("✘", "red")}
        mark, color = marks.get(step.state, ("·", "dim"))
        took = "cached" if step.state == "cached" else seconds_text(step.seconds or 0.0)
        told = step.error if step.state == "failed" else summary_line(step.stage, step.summary)
        line = Text.assemble(
            (f"{mark} ", color), (f"{step.step_id:<22}", "bold"), (f"{took:>8}  ", ""), (str(told), "dim")
        )
        self._console.print(line)

    def _progress(self, step: StepRow) -> None:
        shown = step.progress
        text = progress_line(Progress(shown.get("text", ""), shown.get("fraction"), shown.get("seconds_left")))
        again = f" (attempt {step.attempts})" if step.attempts > 1 else ""
        if self._status:
            self._status.update(Text(f"{step.step_id}{again}: {text}"))
            return
        now = time.monotonic()
        if text and (step.step_id, text) != self._last_text and now - self._last_line >= _LINE_SECONDS:
            self._last_line, self._last_text = now, (step.step_id, text)
            self._console.print(Text(f"… {step.step_id}{again}: {text}"))


def follow(client: AirflowClient, catalog: Catalog, dag_id: str, run_id: str, console: Console) -> str:
    """Show a run of Airflow until it is over. Returns its state there; raises AirflowError."""
    with Follower(catalog, dag_id, run_id, console) as follower:
        while True:
            follower.look()
            run = client.run(dag_id, run_id)
            state = str(run["state"]) if run else "gone"
            if state not in UNDER_WAY:
                follower.look()
                return state
            time.sleep(_POLL_SECONDS)
