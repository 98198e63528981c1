"""One thing that was looked at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Level = Literal["ok", "unknown", "warning", "problem"]
Group = Literal["settings", "machine", "Airflow", "specs"]


@dataclass(frozen=True)
class Finding:
    """What was found of one subject."""

    level: Level
    """`unknown`: it could not be looked at from here, and nothing is claimed about it."""
    subject: str
    """`store`, `base meta-llama/Llama-2-13b-hf`, `data of job-skills`."""
    text: str
    """What is so."""
    mend: str | None = None
    """What to do about it; None where it is well."""
    group: Group = "machine"

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ok(subject: str, text: str) -> Finding:
    return Finding("ok", subject, text)


def unknown(subject: str, text: str, mend: str) -> Finding:
    """`mend`: how it can be looked at."""
    return Finding("unknown", subject, text, mend)


def warning(subject: str, text: str, mend: str) -> Finding:
    return Finding("warning", subject, text, mend)


def problem(subject: str, text: str, mend: str | None = None) -> Finding:
    """`mend` may be None where `text` is an error that says it itself."""
    return Finding("problem", subject, text, mend)


def of_group(group: Group, findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield replace(finding, group=group)


def listed(names: Collection[str]) -> str:
    """`a, b, c and 4 more`."""
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def gigabytes(size: float) -> str:
    """`26.0 GB`, `269 MB`: decimal units, as disks and the Hub count."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
