"""The scores of a version on its model card, each with its interval: beside its baselines, by spans, and slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NONE = "–"
_SUBJECTS = ("adapter", "base", "lexicon")
_MOST_SLICES = 12


def scores_section(metrics: Mapping[str, Mapping[str, Any]], shots: int) -> str:
    """From its heading on; `metrics` and `shots` are those of `CardFacts`."""
    names = {
        "adapter": "**this adapter**",
        "base": f"the untuned base, {shots}-shot",
        "lexicon": "a lexicon of the training labels",
    }
    lines = [
        "| | precision | recall | F1 | verbatim | parsed | ads | gold skills | left out |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for subject in _SUBJECTS:
        if summary := metrics.get(subject):
            shares = [_scored(summary, key) for key in ("precision", "recall", "f1", "verbatim_rate", "parse_rate")]
            counts = [str(summary.get(key, NONE)) for key in ("rows", "gold_skills")]
            left_out = sum(summary.get(key, 0) for key in ("excluded_trained_on", "excluded_near_copies"))
            lines.append("| " + " | ".join([names[subject], *shares, *counts, str(left_out)]) + " |")
    tested = next((str(m["partition"]) for m in metrics.values() if m.get("partition")), None)
    on = {None: "the test rows", "all": "the source's test rows"}.get(tested, f"partition {tested}")
    own = metrics.get("adapter", {})
    text = f"""## Scores

On {on}. Set-level, micro-averaged over normalized skills per ad, with the 95% interval in brackets (bootstrap over
ads); *verbatim*: the share of predicted skills that stand in the ad letter by letter; *parsed*: the share of answers that
were a readable list; *left out*: ads that were not scored because the adapter was trained on them, or on near copies of
them."""
    return "\n\n".join(part for part in (text, "\n".join(lines), _spans(own), _slices(own)) if part)


def _scored(summary: Mapping[str, Any], key: str) -> str:
    """A share, with its interval where the evaluation has one: `0.712 [0.640, 0.779]`."""
    value, low, high = (summary.get(name) for name in (key, f"{key}_low", f"{key}_high"))
    if value is None:
        return NONE
    return f"{value:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def _spans(summary: Mapping[str, Any]) -> str:
    """The adapter's span scores, where the labels carry offsets."""
    if "span_ads" not in summary:
        return ""
    shown = {name: _scored(summary, f"span_{name}_f1") for name in ("strict", "partial", "type")}
    return (
        f"Where skills stand, on the {summary['span_ads']} ads whose labels carry offsets (F1 of spans as in SemEval-2013 task "
        f"9): strict {shown['strict']}, partial {shown['partial']}, any overlap {shown['type']}."
    )


def _slices(summary: Mapping[str, Any]) -> str:
    """The adapter's F1 on parts of the ads."""
    found = sorted(summary.get("slices", {}).items(), key=lambda item: (-item[1]["ads"], item[0]))
    # By what they are cut by, and there by size.
    shown = sorted(found[:_MOST_SLICES], key=lambda item: item[0].partition("=")[0])
    if not shown:
        return ""
    rows = [
        f"| {_cell(name)} | {told['ads']} | {told['gold_skills']} | {_scored(told, 'f1')} |" for name, told in shown
    ]
    more = f" The {len(shown)} largest of {len(found)}:" if len(found) > len(shown) else ""
    return f"Slices of the ads, by length and by what the data says of them.{more}\n\n" + "\n".join(
        ["| slice | ads | gold skills | F1 |", "| --- | --- | --- | --- |", *rows]
    )


def _cell(text: str) -> str:
    """Text of the data as a cell of a table."""
    return text.replace("|", "\\|")
