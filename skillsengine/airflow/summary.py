"""What a task has made, as small tables in its log: numbers below each other, those of neighbours beside each other.

All that a stage tells of itself stands in the manifest of what it made; a log has what one looks for first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skillsengine.scoring.wording import with_half

_COLUMNS = 6
"""Beside each other; more stand below. A log is about 120 characters wide."""
_WIDE = 24
"""Characters of a value, so that a long text does not push its neighbours away."""
_SCORES = (
    "rows",
    "labelled_rows",
    "excluded_trained_on",
    "excluded_near_copies",
    "gold_skills",
    "predicted_skills",
    "precision",
    "recall",
    "f1",
    "overlap_f1",
    "fuzzy_f1",
    "token_f1",
    "missed",
    "invented",
    "boundary",
    "skills_per_ad",
    "verbatim_rate",
    "parse_rate",
    "ads_split",
    "ads_cut",
    "tokens_per_second",
)
"""Of the forty numbers of an evaluation."""
_LEFT_OUT = ("seconds", "subject", "model", "number")
"""The step's own time, and its heading, say as much."""


def steps_told(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The steps of a stage: each with its time, and their numbers."""
    if not steps:
        return []
    if len(steps) == 1:
        (step,) = steps
        return [f"{step['id']}: {_time(step)}", *table({"": _numbers(step)})]
    stage = str(steps[0]["id"]).partition("[")[0]
    columns = {_key(step): {"time": _time(step), **_numbers(step)} for step in steps}
    made = [step["seconds"] for step in steps if not step["cached"]]
    cached = len(steps) - len(made)
    told = [f"{len(made)} done in {sum(made):.1f} s"] if made else []
    return [f"{stage}: {', '.join([*told, *([f'{cached} cached'] if cached else [])])}", *table(columns)]


def scores_told(cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The scores of versions and baselines on a partition."""
    return table({name: _scores(metrics) for name, metrics in cells.items()})


def table(columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lines with a name at their beginning and a value of each column. A count that is 0 everywhere is left out.

    A score has half of its 95% interval behind it. Columns without a heading have none at all.
    """
    names = [name for name in _names(columns.values()) if any(_worth(values, name) for values in columns.values())]
    if not names:
        return []
    lines, keys, left = [], list(columns), max(map(len, names))
    for start in range(0, len(keys), _COLUMNS):
        block = keys[start : start + _COLUMNS]
        shown = {key: [_shown(columns[key], name) for name in names] for key in block}
        width = {key: max(len(key), *map(len, shown[key])) for key in block}
        if any(block):
            lines.append("  ".join(["", " " * left, *(key.rjust(width[key]) for key in block)]).rstrip())
        lines += [
            "  ".join(["", _words(name).ljust(left), *(shown[key][row].rjust(width[key]) for key in block)]).rstrip()
            for row, name in enumerate(names)
        ]
    return lines


def _numbers(step: Mapping[str, Any]) -> Mapping[str, Any]:
    summary: Mapping[str, Any] = step["summary"]
    return _scores(summary) if str(step["id"]).startswith("evaluate") else summary


def _scores(metrics: Mapping[str, Any]) -> Mapping[str, Any]:
    ends = tuple(f"{name}_{end}" for name in _SCORES for end in ("low", "high"))
    return {name: metrics[name] for name in (*_SCORES, *ends) if name in metrics}


def _names(columns: Iterable[Mapping[str, Any]]) -> list[str]:
    """Of all that is a number or a short text, in the order in which it comes."""
    return list(
        dict.fromkeys(
            name
            for values in columns
            for name, value in values.items()
            if isinstance(value, (int, float, str)) and not isinstance(value, bool)
            if name not in _LEFT_OUT and not name.endswith(("_low", "_high"))
        )
    )


def _worth(values: Mapping[str, Any], name: str) -> bool:
    return bool(values.get(name)) or f"{name}_low" in values


def _shown(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None:
        return "–"
    if f"{name}_low" in values:
        return with_half(values, name)
    if isinstance(value, float):
        return f"{value:.4g}"
    told = f"{value:,}" if isinstance(value, int) else str(value)
    return told if len(told) <= _WIDE else f"{told[: _WIDE - 1]}…"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _key(step: Mapping[str, Any]) -> str:
    return str(step["id"]).partition("[")[2].removesuffix("]") or str(step["id"])


def _time(step: Mapping[str, Any]) -> str:
    return "cached" if step["cached"] else f"{step['seconds']:.1f} s"
