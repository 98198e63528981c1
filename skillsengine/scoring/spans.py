"""Span scores, as the papers have them: where in the ad a skill stands, on ads whose labels carry offsets.

A predicted skill is a string, and stands for each of its verbatim occurrences in the ad (`places.occurrences`). nervaluate
counts as SemEval-2013 task 9 does (Segura-Bedmar et al., 2013, section 4):

strict    same borders (and same type; there is one type here)     exact     same borders
partial   an overlap counts half                                    type      any overlap counts

All skills are of one type, so `strict` and `exact` are equal here; both are told since papers name either.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from nervaluate import Evaluator

from skillsengine.scoring.intervals import Counts, interval
from skillsengine.scoring.places import Span

Ads = Sequence[tuple[Sequence[Span], Sequence[Span]]]
"""(gold, predicted) spans, one pair an ad."""
_TYPE = "SKILL"
_NAMES = {"strict": "strict", "exact": "exact", "partial": "partial", "ent_type": "type"}


def strict_counts(ads: Ads) -> Counts:
    """What the strict scores are made of, ad by ad, for intervals and differences."""
    each = ((set(gold), set(predicted)) for gold, predicted in ads)
    rows = [(len(gold), len(predicted), len(gold & predicted)) for gold, predicted in each]
    return np.asarray(rows, np.int64).reshape(len(rows), 3)


def span_summary(ads: Ads) -> dict[str, float | int]:
    """`span_scores`, how many ads they are of ("span_ads"), and the ends of the 95% interval of the strict F1."""
    ends = interval(strict_counts(ads), "f1")
    return {
        "span_ads": len(ads),
        **span_scores(ads),
        "span_strict_f1_low": ends.low,
        "span_strict_f1_high": ends.high,
    }


def span_scores(ads: Ads) -> dict[str, float]:
    """{"span_strict_precision", "..._recall", "..._f1", and the same of exact, partial and type}; 0.0 where it would divide by
    zero."""
    gold = [[_entity(span) for span in spans] for spans, _ in ads]
    predicted = [[_entity(span) for span in spans] for _, spans in ads]
    if not any(gold) and not any(predicted):
        return {f"span_{name}_{score}": 0.0 for name in _NAMES.values() for score in ("precision", "recall", "f1")}
    # Without the loader's name it looks into the first ad to guess it, which fails where that one has no skill.
    overall = Evaluator(gold, predicted, tags=[_TYPE], loader="dict").evaluate()["overall"]
    return {
        f"span_{name}_{score}": float(getattr(overall[theirs], score))
        for theirs, name in _NAMES.items()
        for score in ("precision", "recall", "f1")
    }


def _entity(span: Span) -> dict[str, object]:
    # nervaluate's end is the last character: two spans that only touch must not overlap.
    return {"label": _TYPE, "start": span[0], "end": span[1] - 1}
