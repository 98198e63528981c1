"""Whether one subject is better than another on the ads that both were scored on, in a sentence."""

from __future__ import annotations

import json
from typing import Any

from skillsengine.pipeline.heavy import import_heavy
from skillsengine.scoring.comparison import compare
from skillsengine.storage.artifact import Artifact


def versus(ours: Artifact, theirs: Artifact, our_name: str, their_name: str) -> str | None:
    """`against the lexicon: the adapter is better by 0.110 (+0.050 to +0.170)`, or that no difference is seen; None where no ad
    with labels is in both evaluations. The interval is that of `scoring.intervals.difference`."""
    found = compare(_predictions(ours), _predictions(theirs))
    if not found.rows:
        return None
    # By name: scipy is imported by those who compare, not by every command.
    intervals = import_heavy("skillsengine.scoring.intervals")
    a, b = (intervals.counts((ad[0], ad[side]) for ad in found.ads) for side in (1, 2))
    told = intervals.describe(intervals.difference(a, b, "f1"), our_name, their_name)
    return f"F1 against {their_name}: {told}"


def _predictions(cell: Artifact) -> list[dict[str, Any]]:
    with cell.file("predictions.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
