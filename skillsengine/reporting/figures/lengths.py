"""How long the training texts are, and where `profile` cut them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from skillsengine.reporting.figures.plain import FigureMissing, Table
from skillsengine.stages.trained_lengths import LENGTHS
from skillsengine.storage.catalog import VersionRow
from skillsengine.storage.store import Store


@dataclass(frozen=True)
class Lengths:
    """A histogram in tokens of prompt, answer and end of text."""

    max_length: int
    """The chosen cut."""
    longest: int
    rows: int
    tokens: int
    """Of all texts as they are trained on."""
    context_length: int
    """What the base was made for."""
    edges: tuple[int, ...]
    """One more than there are bins: bin i holds the lengths from edges[i] on and below edges[i + 1]."""
    counts: Mapping[str, tuple[int, ...]]
    """`train` and, where rows were held out, `validation` -> rows of each bin."""
    percentiles: Mapping[str, int]
    """`50`, `99.5` -> tokens."""
    longer: str
    """What became of the rows beyond the cut: `none of 120 rows cut`."""

    def table(self) -> Table:
        """A row a bin."""
        names = tuple(self.counts)
        return Table(
            ("tokens from", "below", *names),
            tuple(
                (low, high, *(self.counts[name][place] for name in names))
                for place, (low, high) in enumerate(pairwise(self.edges))
            ),
        )


def lengths(version: VersionRow, store: Store) -> Lengths:
    """Those of the texts that a version was trained on. Raises FigureMissing where the store has lost them."""
    digest = version.lineage.get("profile")
    artifact = store.get("profile", digest) if digest else None
    if artifact is None:
        named = f" (profile {digest[:12]})" if digest else ""
        raise FigureMissing(f"the token lengths are gone: their artifact{named} is not in the store.")
    described: Mapping[str, Any] = artifact.json(LENGTHS)
    summary = artifact.summary
    whole = described["all"]
    return Lengths(
        max_length=int(summary["max_length"]),
        longest=int(summary["longest"]),
        rows=int(summary["rows"]),
        tokens=int(summary["tokens"]),
        context_length=int(summary["context_length"]),
        edges=tuple(whole["histogram"]["edges"]),
        counts={
            name: tuple(described[name]["histogram"]["counts"]) for name in ("train", "validation") if name in described
        },
        percentiles=whole["percentiles"],
        longer=_longer(summary),
    )


def _longer(summary: Mapping[str, Any]) -> str:
    rows = summary["rows"]
    if summary.get("rows_dropped"):
        return f"{summary['rows_dropped']:,} of {rows:,} rows dropped"
    if summary.get("rows_split"):
        cut = f", too long sentences cut: {summary['rows_cut']:,}" if summary["rows_cut"] else ""
        return f"{summary['rows_split']:,} of {rows:,} rows split into {summary['parts']:,}{cut}"
    return f"{summary['rows_cut'] or 'none'} of {rows:,} rows cut"
