"""Scores of `peers` from what the sides wrote, with intervals, and the table of them.

Four measures, each of all test ads and of those that are no near copy of a training ad:

paragraphs   set F1: skills of a paragraph, normalized
ads          set F1: skills of a whole ad
joined       set F1: skills of a whole ad, where what was found in its paragraphs is taken for what is in it
spans        strict span F1 on whole ads: the same first and last character; both layers of marks count, as one type. A skill
             stands for all of its verbatim occurrences (`scoring.places`), but where the side itself told where it stands

Ads are drawn for the intervals, a paragraph with all others of its ad.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._peers_ads import Ad, read_lines
from skillsengine.scoring.intervals import (
    Counts,
    Difference,
    Interval,
    counts,
    describe,
    difference,
    interval,
    score_of,
)
from skillsengine.scoring.metrics import parse_rate, verbatim_rate
from skillsengine.scoring.places import Span, occurrences

SIDES = ("ours", "base", "spacy", "lexicon", "esco")
MEASURES = ("paragraphs", "ads", "joined", "spans")
SHOWN = ("paragraphs", "ads", "spans")
COPIES = ("with", "without")
"""Ads that are near copies of training ads."""


@dataclass(frozen=True)
class Said:
    """What a side found in the test ads."""

    paragraphs: Mapping[str, list[str]]
    """Paragraph's id -> skills."""
    ads: Mapping[str, list[str]]
    """Ad's id -> skills."""
    spans: Mapping[str, list[Span]]
    """Ad's id -> where they stand."""
    parsed: tuple[bool, ...]
    """Of each paragraph, whether the answer was a list; empty for a side that writes none."""
    about: Mapping[str, Any]
    """How the side was made."""


def read_said(ads: Sequence[Ad], folder: Path, side: str) -> Said | None:
    """What a side wrote; None where it is not done."""
    made = folder / f"{side}.json"
    if not made.is_file():
        return None
    rows = read_lines(folder / f"{side}-paragraphs.jsonl")
    parts = {row["id"]: row["skills"] for row in rows}
    whole = {row["id"]: row for row in read_lines(folder / f"{side}-ads.jsonl")}
    skills = {ad.id: whole[ad.id]["skills"] for ad in ads}
    spans = {}
    for ad in ads:
        own = whole[ad.id].get("spans")
        spans[ad.id] = occurrences(ad.text, skills[ad.id]) if own is None else [(start, end) for start, end in own]
    parsed = tuple(row["parsed"] for row in rows if "parsed" in row)
    return Said(parts, skills, spans, parsed, json.loads(made.read_text(encoding="utf-8")))


def counted(ads: Sequence[Ad], said: Said, measure: str) -> Counts:
    """Shape (ads, 3): gold, found, and both, of each ad."""
    if measure == "ads":
        return counts((ad.skills, said.ads[ad.id]) for ad in ads)
    if measure == "spans":
        return _rows(_span_counts(ad.spans, said.spans[ad.id]) for ad in ads)
    if measure == "joined":
        found = {ad.id: [skill for part in ad.paragraphs for skill in said.paragraphs[part.id]] for ad in ads}
        return counts((ad.skills, found[ad.id]) for ad in ads)
    parts = [counts((part.skills, said.paragraphs[part.id]) for part in ad.paragraphs) for ad in ads]
    return _rows(part.sum(axis=0).tolist() for part in parts)


def _rows(ads: Iterable[Sequence[int]]) -> Counts:
    return np.asarray(list(ads), np.int64).reshape(-1, 3)


def _span_counts(gold: Iterable[Span], found: Iterable[Span]) -> tuple[int, int, int]:
    told = set(found)
    marked = set(gold)
    return len(marked), len(told), len(marked & told)


def row_of(ads: Sequence[Ad], said: Said, side: str) -> dict[str, Any]:
    """A side's line of the results: {"side", "about", "parse_rate", "verbatim_rate", "counts": {measure: text}, "scores":
    {measure: {copies: {"ads", "gold", "found", "both", "precision", "recall", "f1", "f1_low", "f1_high"}}}}; the counts are
    of each ad, so that sides can be compared whose predictions were not made on one machine."""
    scores: dict[str, Any] = {}
    written: dict[str, str] = {}
    for measure in MEASURES:
        its = counted(ads, said, measure)
        written[measure] = " ".join(",".join(map(str, row)) for row in its.tolist())
        scores[measure] = {copies: _scores(its[_chosen(ads, copies)]) for copies in COPIES}
    verbatim = verbatim_rate((said.paragraphs[part.id], part.text) for ad in ads for part in ad.paragraphs)
    rates = {"parse_rate": _short(parse_rate(said.parsed))} if said.parsed else {}
    about = {"side": side, "about": dict(said.about), **rates, "verbatim_rate": _short(verbatim)}
    return {**about, "counts": written, "scores": scores}


def compared(ads: Sequence[Ad], row: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a peer with `ours_minus_it` {"f1", "low", "high", "p"} beside each of its scores, ad by ad; without them where
    one of the two was recorded without its counts."""
    scores: dict[str, Any] = {}
    for measure in MEASURES:
        mine, its = _read_counts(ours, measure), _read_counts(row, measure)
        for copies in COPIES:
            told = {name: value for name, value in row["scores"][measure][copies].items() if name != "ours_minus_it"}
            if mine is not None and its is not None:
                chosen = _chosen(ads, copies)
                apart = difference(mine[chosen], its[chosen], "f1")
                told["ours_minus_it"] = {
                    "f1": _short(apart.value),
                    "low": _short(apart.interval.low),
                    "high": _short(apart.interval.high),
                    "p": _short(apart.p_value),
                }
            scores.setdefault(measure, {})[copies] = told
    return {**row, "scores": scores}


def _chosen(ads: Sequence[Ad], copies: str) -> NDArray[np.bool_]:
    """Shape (ads,)."""
    return np.asarray([copies == "with" or not ad.near_copy for ad in ads], np.bool_)


def _read_counts(row: Mapping[str, Any], measure: str) -> Counts | None:
    written = row.get("counts", {}).get(measure)
    return None if written is None else _rows([int(number) for number in ad.split(",")] for ad in written.split())


def _scores(its: Counts) -> dict[str, Any]:
    gold, found, both = its.sum(axis=0).tolist()
    span = interval(its, "f1")
    values = {name: _short(float(score_of(its.sum(axis=0), name))) for name in ("precision", "recall", "f1")}
    return {
        "ads": len(its),
        "gold": gold,
        "found": found,
        "both": both,
        **values,
        "f1_low": _short(span.low),
        "f1_high": _short(span.high),
    }


def _short(value: float) -> float:
    return round(value, 4)


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What may be quoted: ours to each peer, in words."""
    found: dict[str, Any] = {}
    for row in rows:
        for measure in MEASURES:
            for copies in COPIES:
                apart = row["scores"][measure][copies].get("ours_minus_it")
                if apart:
                    found[f"ours to {row['side']}, {measure}, {copies} near copies"] = _in_words(apart, row["side"])
    return found


def _in_words(apart: Mapping[str, float], side: str) -> str:
    return describe(_difference(apart), "ours", side)


def _difference(apart: Mapping[str, float]) -> Difference:
    return Difference(apart["f1"], Interval(apart["low"], apart["high"]), apart["p"])


TITLES = {
    "ours": "ours: SmolLM2-135M, LoRA",
    "base": "its base, four examples",
    "spacy": "spaCy NER",
    "lexicon": "training labels, looked up",
    "esco": "ESCO names, looked up",
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """What docs/scoring.md quotes, in Markdown: F1 with its 95% interval, and ours minus it where that is a difference. A peer
    that was not compared with ours ad by ad says so."""
    by = {row["side"]: row for row in rows}
    lines: list[str] = []
    for copies in COPIES:
        number = rows[0]["scores"]["ads"][copies]["ads"]
        which = f"all {number} ads" if copies == "with" else f"the {number} that are no near copies"
        lines += [
            f"| {which} | paragraphs, set F1 | whole ads, set F1 | whole ads, strict span F1 |",
            "| --- " * 4 + "|",
        ]
        for side in SIDES:
            if side in by:
                cells = [_cell(by[side]["scores"][measure][copies], side) for measure in SHOWN]
                lines.append(f"| {TITLES[side]} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(told: Mapping[str, Any], side: str) -> str:
    shown = f"{told['f1']:.3f} ({told['f1_low']:.3f} to {told['f1_high']:.3f})"
    if "ours_minus_it" not in told:
        return shown if side == "ours" else f"{shown}; not compared ad by ad"
    apart = _difference(told["ours_minus_it"])
    return f"{shown}; ours {apart.value:+.3f}" if apart.is_one else f"{shown}; no difference seen"
