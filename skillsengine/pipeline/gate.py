"""The gate: a challenger becomes the champion if it is surely better than the present one, on the ads that both were scored on;
the first version, if it is surely better than the untuned base.

Surely: the whole interval of the paired difference lies above `gate.margin`, and a permutation test agrees. On fewer than
`gate.min_gold_skills` gold skills nothing is decided, and below a floor nothing is promoted. The rule stands here; what it is
applied to comes from `gate_evidence`, what follows from it is in `promotion`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skillsengine.pipeline.gate_evidence import Evidence
from skillsengine.scoring.metrics import set_scores
from skillsengine.scoring.slices import slice_names
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.spec.schema import Gate

if TYPE_CHECKING:
    from skillsengine.scoring.intervals import Difference


def decide(rule: Gate, evidence: Evidence) -> dict[str, Any]:
    """The verdict: `{"verdict": "promote" | "keep" | "undecided", "reason", "metric", "opponent", "passed_over", "scores"}`.

    `scores` has "rows"; with labels "challenger", "opponent", "gold_skills" and "partitions" (the same four of each, by its
    "partition"); where it came to a comparison "difference", "low", "high" (its interval) and "p_value".
    """
    told: dict[str, Any] = {
        "metric": rule.metric,
        "opponent": evidence.opponent.name,
        "passed_over": dict(evidence.passed_over),
    }
    if not evidence.parts:
        return told | {"verdict": "undecided", "reason": _nothing(evidence), "scores": {"rows": 0}}
    scores = _scores(rule, evidence)
    told["scores"] = scores
    said = (
        f"{evidence.challenger} has {rule.metric} {scores['challenger']:.3f} against {scores['opponent']:.3f} of "
        f"{evidence.opponent.told}, on {scores['rows']} ads with {scores['gold_skills']} gold skills{_where(evidence)}"
    )
    besides = f"; passed over: {_reasons(evidence.passed_over)}" if evidence.passed_over else ""
    if evidence.gold_skills < rule.min_gold_skills:
        few = f"too few to decide: gate.min_gold_skills is {rule.min_gold_skills}"
        end = f", and {evidence.end}" if evidence.end else ""
        return told | {"verdict": "undecided", "reason": f"{said}: {few}{end}{besides}"}
    if low := _below_floors(rule, evidence):
        return told | {"verdict": "keep", "reason": f"{said}, but {low}{besides}"}
    found = _difference(rule, evidence)
    scores |= {
        "difference": found.value,
        "low": found.interval.low,
        "high": found.interval.high,
        "p_value": found.p_value,
    }
    said += f" (difference {found.value:+.3f}, {found.interval.low:+.3f} to {found.interval.high:+.3f})"
    if found.is_one and found.interval.low > rule.margin:
        better = "better" + ("" if evidence.opponent.version else ", and there is no champion yet")
        return told | {"verdict": "promote", "reason": f"{said}: {better}{besides}"}
    if found.is_one and found.value > 0:
        why = f"better, but not surely by more than gate.margin, {rule.margin:g}"
    elif found.is_one:
        why = "worse"
    else:
        why = "no difference that chance could not make"
    return told | {"verdict": "keep", "reason": f"{said}: {why}{besides}"}


def _scores(rule: Gate, evidence: Evidence) -> dict[str, Any]:
    ads = [ad for part in evidence.parts for ad in part.found.ads]
    a, b = (set_scores((ad[0], ad[side]) for ad in ads) for side in (1, 2))
    return {
        "challenger": getattr(a, rule.metric),
        "opponent": getattr(b, rule.metric),
        "rows": evidence.rows,
        "gold_skills": evidence.gold_skills,
        "partitions": [
            {
                "partition": part.partition,
                "challenger": part.found.a,
                "opponent": part.found.b,
                "rows": part.found.rows,
                "gold_skills": part.found.scores_a.gold_skills,
            }
            for part in evidence.parts
        ],
    }


def _difference(rule: Gate, evidence: Evidence) -> Difference:
    # Only here: scipy is imported by the one task that needs it.
    from skillsengine.scoring.intervals import counts, difference, joined

    each = [[counts((ad[0], ad[side]) for ad in part.found.ads) for side in (1, 2)] for part in evidence.parts]
    a, b = joined(*each)
    return difference(a, b, rule.metric, rule.confidence)


def _below_floors(rule: Gate, evidence: Evidence) -> str | None:
    """What of the challenger is below its floor, in words."""
    floors = {"parse_rate": rule.min_parse_rate, "verbatim_rate": rule.min_verbatim_rate}
    for name, floor in floors.items():
        if (value := float(evidence.rates.get(name, 1.0))) < floor:
            return f"its {name.replace('_', ' ')} of {value:.3f} is below gate.min_{name}, {floor:g}"
    return _below_in_a_slice(rule, evidence) if rule.min_slice_scores else None


def _below_in_a_slice(rule: Gate, evidence: Evidence) -> str | None:
    """The same of the slices of its ads, those of all partitions together. One that they do not have is no pass."""
    rows = [row for part in evidence.parts for row in part.answers]
    slices: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row, names in zip(rows, slice_names(rows), strict=True):
        for name in names:
            slices[name].append(row)
    for name, floor in rule.min_slice_scores.items():
        if name not in slices:
            there = f"the slices are {', '.join(sorted(slices))}" if slices else "they are in no slice"
            return f"none of its ads is in the slice `{name}` of gate.min_slice_scores: {there}"
        value = getattr(set_scores((row["gold"], row["predicted"]) for row in slices[name]), rule.metric)
        if value < floor:
            return (
                f"its {rule.metric} of {value:.3f} on the {len(slices[name])} ads of the slice `{name}` is below its floor in "
                f"gate.min_slice_scores, {floor:g}"
            )
    return None


def _where(evidence: Evidence) -> str:
    """Which partitions the ads are of, unless it is the run's own alone."""
    keys = [part.partition for part in evidence.parts]
    return f" of {_listed(keys)}" if len(keys) > 1 or evidence.passed_over else ""


def _nothing(evidence: Evidence) -> str:
    """Why there is nothing to compare on."""
    told = f"there are no ads to compare {evidence.challenger} and {evidence.opponent.told} on: "
    return told + _reasons(evidence.passed_over) + (f"; {evidence.end}" if evidence.end else "")


def _reasons(passed_over: Mapping[str, str]) -> str:
    """`2026-03 and 2026-02: no labels; 2026-01: ...`."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for key, reason in passed_over.items():
        by_reason[reason].append("the test rows" if key == STATIC_KEY else key)
    return "; ".join(f"{_listed(keys)}: {reason}" for reason, keys in by_reason.items())


def _listed(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
