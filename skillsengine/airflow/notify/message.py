"""What a message says. It is for people who were not there: which experiment, which partition, what happened, where to look."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from skillsengine.masking import mask, mask_shapes

Event = Literal["failure", "deadline", "verdict"]

_ERROR_LINES = 8
_LINE_CHARS = 300


@dataclass(frozen=True)
class About:
    """The run that a message is about."""

    experiment: str
    dag_id: str
    run_id: str
    trigger: str
    """`scheduled`, `manual`, `backfill` or `asset`."""
    partition: str | None = None
    """None for a static source, or where the run never got as far as choosing one."""
    url: str | None = None
    """The run in Airflow's UI; None where Airflow's address is not known."""


@dataclass(frozen=True)
class Message:
    """One message, before it is put into a mail or a POST."""

    event: Event
    about: About
    headline: str
    """What happened, in one line."""
    details: tuple[str, ...] = ()
    """Further lines of plain text, masked."""
    verdict: Mapping[str, Any] | None = None
    """The gate's verdict as numbers, for programs."""

    @property
    def subject(self) -> str:
        """`[skillsengine] job-skills 2026-03: failed in finetune`, in one line whatever the parts hold."""
        where = " ".join(part for part in (self.about.dag_id, self.about.partition) if part)
        return " ".join(f"[skillsengine] {where}: {self.headline}".split())

    @property
    def text(self) -> str:
        link = [self.about.url] if self.about.url else []
        return "\n".join((self._first_line, *self.details, "", self._run, *link))

    @property
    def html(self) -> str:
        """The same as HTML, for a mail."""
        first, run = html.escape(self._first_line), html.escape(self._run)
        # Errors point at places with carets, so their spaces count.
        said = (
            f'<pre style="white-space: pre-wrap">{html.escape(chr(10).join(self.details))}</pre>'
            if self.details
            else ""
        )
        link = f'<a href="{html.escape(self.about.url)}">{run}</a>' if self.about.url else run
        return f"<html><body><p>{first}</p>{said}<p>{link}</p></body></html>"

    def as_json(self) -> dict[str, Any]:
        """What is posted: `text` is the whole message, the rest is for programs."""
        about = self.about
        return {
            "event": self.event,
            "subject": self.subject,
            "text": self.text,
            "experiment": about.experiment,
            "dag_id": about.dag_id,
            "run_id": about.run_id,
            "partition": about.partition,
            "trigger": about.trigger,
            "headline": self.headline,
            "details": list(self.details),
            "verdict": dict(self.verdict) if self.verdict is not None else None,
            "url": about.url,
        }

    @property
    def _first_line(self) -> str:
        partition = f", partition {self.about.partition}" if self.about.partition else ""
        return f"{self.about.dag_id}{partition}: {self.headline}"

    @property
    def _run(self) -> str:
        return f"{self.about.trigger} run {self.about.run_id}"


def failure(about: About, error: str, judged: Message | None = None) -> Message:
    """A run that failed; `error` is `task: what it said`, `judged` the verdict if the gate had spoken by then."""
    task, _, said = error.partition(": ")
    lines = _first_lines(said or error)
    if judged is None:
        return Message("failure", about, f"failed in {task}", lines)
    return Message(
        "failure", about, f"failed in {task}", (*lines, f"Its gate: {judged.headline}."), verdict=judged.verdict
    )


def verdict(about: About, model: str, found: Mapping[str, Any], *, moved: bool) -> Message:
    """What the gate said of a new version; `found` as `pipeline.promotion.run_gate` gives it, `moved` whether it is the champion now."""  # noqa: E501
    number, champion = found["number"], found["champion"]
    name = f"{model}@{number}"
    if moved:
        headline = f"{name} is the new champion"
        said = f"It was {model}@{champion}." if champion is not None else "It is the first one."
    else:
        headline = f"{name} was not promoted" + (", undecided" if found["verdict"] == "undecided" else "")
        said = f"{model}@{champion} stays the champion." if champion is not None else "There is still no champion."
    details = (said, f"Gate: {found['reason']}.")
    return Message("verdict", about, headline, details, dict(found) | {"moved": moved})


def waiting(about: About, model: str, found: Mapping[str, Any], wait: str) -> Message:
    """A promotion that waits for a person's approval, at most for `wait` (as `7d`); `found` as for `verdict`."""
    name, champion = f"{model}@{found['number']}", found["champion"]
    then = f"{model}@{champion} stays the champion" if champion is not None else "there is still no champion"
    details = (
        f"Answer in Airflow, under the run's required actions. Without an answer within {wait} {then}.",
        f"Gate: {found['reason']}.",
    )
    return Message("verdict", about, f"{name} waits for an approval", details, dict(found) | {"moved": False})


def late(about: About, after: str, queued: str, state: str, tasks: Mapping[str, str]) -> Message:
    """A run that is not done so long (`after`, as `6h`) after it was queued. `tasks` maps tasks to their states."""
    done = [task for task, now in tasks.items() if now in ("success", "skipped")]
    under_way = [f"{task} is {_STATES.get(now, now)}" for task, now in tasks.items() if now in _STATES]
    if state in ("success", "failed"):
        headline = f"missed its deadline of {after}" + (" and failed" if state == "failed" else "; it is done by now")
    else:
        headline = f"not done after {after}"
    details = [f"It was queued at {queued}; its state is {state}."]
    if under_way:
        details.append(f"{', '.join(under_way)}.")
    elif state == "queued":
        details.append("No task of it has begun.")
    if tasks:
        details.append(f"Done: {', '.join(done) or 'nothing yet'}.")
    return Message("deadline", about, headline, tuple(details))


_STATES = {
    "running": "running",
    "queued": "waiting for a worker",
    "scheduled": "waiting for a free slot",
    "up_for_retry": "waiting to be tried again",
    "up_for_reschedule": "waiting for its data",
    "deferred": "waiting",
    "awaiting_input": "waiting for a person",
    "failed": "failed",
    "upstream_failed": "not run",
}


def run_url(base: str | None, dag_id: str, run_id: str) -> str | None:
    """The run's page in Airflow's UI."""
    return f"{base.rstrip('/')}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}" if base else None


def _first_lines(error: str) -> tuple[str, ...]:
    lines = [line.rstrip() for line in error.strip().splitlines()]
    shown = [mask(mask_shapes(line))[:_LINE_CHARS] for line in lines[:_ERROR_LINES]]
    if len(lines) > _ERROR_LINES:
        shown.append(f"... and {len(lines) - _ERROR_LINES} more lines in the log of the task")
    return tuple(shown)
