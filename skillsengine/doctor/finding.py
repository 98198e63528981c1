"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Finding:
    """What was found of one subject."""

    level: Level
    subject: str
    """`store`, `base meta-llama/Llama-2-13b-hf`, `data of job-skills`."""
    text: str
    """What is so."""
    mend: str | None = None
    """What to do about it; None where it is well."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ok(subject: str, text: str) -> Finding:
    return Finding("ok", subject, text)


def warning(subject: str, text: str, mend: str) -> Finding:
    return Finding("warning", subject, text, mend)


def problem(subject: str, text: str, mend: str | None = None) -> Finding:
    """`mend` may be None where `text` is an error that says it itself."""
    return Finding("problem", subject, text, mend)


def gigabytes(size: float) -> str:
    """`26.0 GB`, `269 MB`: decimal units, as disks and the Hub count."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
