"""What the page *Try it* shows: who answers, and the answer with its skills marked in the text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.airflow.ui.attempts import Attempt
from skillsengine.airflow.ui.readable import Readable
from skillsengine.reporting.figures.marks import Elsewhere, Segment, mark_skills
from skillsengine.serving.client import Server, ServerError
from skillsengine.settings import Settings
from skillsengine.storage.catalog import VersionRow


@dataclass(frozen=True)
class Door:
    """The `skillsengine serve` of the installation."""

    url: str
    serves: str | None
    """`job-skills@7`; None where it cannot be asked."""
    problem: str
    """Why it cannot."""


@dataclass(frozen=True)
class Answer:
    """The skills of a text."""

    version: str
    segments: tuple[Segment, ...]
    elsewhere: tuple[Elsewhere, ...]
    """Skills that do not stand in the text word for word."""
    skills: Sequence[str]
    parsed: bool
    seconds: float
    loading_seconds: float | None
    """None where the version was in memory."""
    by: str
    """Who answered."""
    cut: bool = False
    """Asked by the template that marks ads."""

    @property
    def json(self) -> str:
        """As `skillsengine extract` writes it."""
        told = {"version": self.version, "skills": list(self.skills), "parsed": self.parsed}
        return json.dumps(told, ensure_ascii=False, indent=1)


@dataclass(frozen=True)
class TryView:
    """One page."""

    name: str
    model: str
    versions: Sequence[VersionRow]
    """Those that can be chosen, the newest first."""
    champion: int | None
    chosen: int | None
    may_ask: bool
    door: Door | None
    text: str
    attempt: Attempt | None
    answer: Answer | None
    failed: str
    """What the server said instead of an answer."""


def choices(found: Readable) -> list[VersionRow]:
    """The versions that are published, of those that may be read; the newest first."""
    return [row for _, row in sorted(found.rows.items(), reverse=True) if row.state == "ready"]


def look_at_server(settings: Settings) -> tuple[Server | None, Door | None]:
    """The server that is asked, and what it tells of itself; None for both where none is named."""
    try:
        server = Server.of(settings)
    except ServerError as error:
        return None, Door("", None, str(error))
    if server is None:
        return None, None
    try:
        served = server.look()
    except ServerError as error:
        return None, Door(server.url, None, str(error))
    if not served.ready:
        return None, Door(server.url, None, f"{server.url} is ending, and takes nothing more.")
    return server, Door(server.url, served.version, "")


def answered(
    text: str, version: str, skills: Sequence[str], *, parsed: bool, seconds: float, loading: float | None, by: str
) -> Answer:
    segments, elsewhere = mark_skills(text, None, skills)
    return Answer(version, segments, elsewhere, skills, parsed, seconds, loading, by)


def answer_of(attempt: Attempt) -> Answer | None:
    """Of a run that is done."""
    told = attempt.answer
    if told is None:
        return None
    return answered(
        attempt.text,
        str(told["version"]),
        [str(skill) for skill in told["skills"]],
        parsed=bool(told["parsed"]),
        seconds=float(told["seconds"]),
        loading=float(told["loading_seconds"]),
        by="a run in Airflow",
    )
