"""What the gate said of a version and why, and what followed from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from skillsengine.reporting.figures.plain import Table
from skillsengine.storage.catalog import Catalog, VersionRow


@dataclass(frozen=True)
class OnPartition:
    """Both scores on the labelled ads of one partition."""

    partition: str
    challenger: float
    opponent: float
    ads: int
    gold_skills: int


@dataclass(frozen=True)
class Move:
    """One move of an alias to a version or away from it."""

    when: datetime
    alias: str
    old: int | None
    new: int
    reason: str


@dataclass(frozen=True)
class Verdict:
    """The gate's answer."""

    version: str
    verdict: str
    """`promote`, `keep` or `undecided`."""
    title: str
    """What came of it: `promoted`, `not promoted`, `better, not promoted`, `undecided`."""
    good: bool | None
    """Whether the version went through; None where nothing was decided."""
    reason: str
    metric: str
    opponent: str | None
    """`job-skills@3`, or `the untuned base`."""
    challenger_score: float | None
    opponent_score: float | None
    difference: float | None
    low: float | None
    """Of the difference's interval (`gate.confidence`)."""
    high: float | None
    p_value: float | None
    ads: int | None
    gold_skills: int | None
    partitions: tuple[OnPartition, ...]
    passed_over: Mapping[str, str]
    """Partition -> why it told nothing."""
    outcome: str | None
    """Why it was not promoted although the gate said so; None otherwise."""
    approved_by: str | None
    moves: tuple[Move, ...]
    """Of aliases, oldest first."""

    def table(self) -> Table:
        return Table(
            ("partition", "challenger", "opponent", "ads", "gold skills"),
            tuple((p.partition, p.challenger, p.opponent, p.ads, p.gold_skills) for p in self.partitions),
        )


def verdict(version: VersionRow, catalog: Catalog) -> Verdict | None:
    """None where the gate has not judged the version."""
    told = version.verdict
    if told is None:
        return None
    data: Mapping[str, Any] = {} if version.run_id is None else catalog.run_by_id(version.run_id).data
    scores: Mapping[str, Any] = told.get("scores") or {}
    promotion = data.get("promotion") or {}
    moved = bool(promotion.get("moved")) or data.get("promoted") == version.number
    held_back = told["verdict"] == "promote" and not moved
    title, good = _title(told["verdict"], moved)
    return Verdict(
        version=version.name,
        verdict=told["verdict"],
        title=title,
        good=good,
        reason=told["reason"],
        metric=told["metric"],
        opponent=_opponent(told, version.model),
        challenger_score=scores.get("challenger"),
        opponent_score=scores.get("opponent"),
        difference=scores.get("difference"),
        low=scores.get("low"),
        high=scores.get("high"),
        p_value=scores.get("p_value"),
        ads=scores.get("rows"),
        gold_skills=scores.get("gold_skills"),
        partitions=tuple(
            OnPartition(p["partition"], p["challenger"], p["opponent"], p["rows"], p["gold_skills"])
            for p in scores.get("partitions", ())
        ),
        passed_over=dict(told.get("passed_over") or {}),
        outcome=promotion.get("reason") if held_back else None,
        approved_by=(data.get("approval") or {}).get("by"),
        moves=_moves(version, catalog),
    )


def _title(said: str, moved: bool) -> tuple[str, bool | None]:
    if said == "promote":
        return ("promoted", True) if moved else ("better, not promoted", None)
    return ("not promoted", False) if said == "keep" else ("undecided", None)


def _opponent(told: Mapping[str, Any], model: str) -> str | None:
    if told.get("opponent") == "base":
        return "the untuned base"
    if told.get("opponent"):
        return str(told["opponent"])
    return f"{model}@{told['champion']}" if told.get("champion") else None


def _moves(version: VersionRow, catalog: Catalog) -> tuple[Move, ...]:
    moves = [m for m in catalog.alias_moves(version.model) if version.number in (m.number, m.old_number)]
    return tuple(Move(m.moved, m.alias, m.old_number, m.number, m.reason) for m in moves)
