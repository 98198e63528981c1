"""The distribution of text lengths: percentiles, a histogram, and the picture of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

Lengths = NDArray[np.int32]
"""Shape (texts,), in tokens."""

PERCENTILES = ("50", "90", "95", "99", "99.5", "100")
_BINS = 40
_COLOURS = {"train": "#3b6ea5", "validation": "#e0a030"}


def at_percentile(lengths: Lengths, percentile: float) -> int:
    """The smallest length that at least `percentile` (0 to 100) percent of `lengths` (not empty) do not exceed.

    It is one of them and no mean of two, so that the share of cut rows can be relied on.
    """
    # Rounded first: 99.5 percent of 200 must not become the 200th by a float's last digit.
    rank = max(math.ceil(round(len(lengths) * percentile / 100, 9)), 1) - 1
    return int(np.partition(lengths, rank)[rank])


def describe(lengths: Lengths, *, of: Lengths) -> dict[str, Any]:
    """Statistics of `lengths` (not empty).

    The histogram's edges fit `of`, so that parts of one whole share them: `counts[i]` lengths lie in
    [edges[i], edges[i + 1]).
    """
    edges = bin_edges(of)
    counts = np.bincount((lengths - edges[0]) // (edges[1] - edges[0]), minlength=len(edges) - 1)
    total = int(lengths.sum(dtype=np.int64))
    return {
        "count": len(lengths),
        "min": int(lengths.min()),
        "mean": round(total / len(lengths), 2),
        "max": int(lengths.max()),
        "tokens": total,
        "percentiles": {name: at_percentile(lengths, float(name)) for name in PERCENTILES},
        "histogram": {"edges": edges, "counts": counts.tolist()},
    }


def bin_edges(lengths: Lengths) -> list[int]:
    """Edges of at most 40 bins as wide as a power of two, from below the shortest to above the longest."""
    low, high, width = int(lengths.min()), int(lengths.max()), 1
    while high // width - low // width >= _BINS:
        width *= 2
    return list(range(low // width * width, (high // width + 1) * width + 1, width))


def as_table(described: Mapping[str, Mapping[str, Any]], max_length: int) -> tuple[list[str], list[list[Any]]]:
    """(columns, rows) of the histogram of `train` and `validation`: a row a bin, with whether it lies within `max_length`."""
    edges = described["all"]["histogram"]["edges"]
    none = {"histogram": {"counts": [0] * (len(edges) - 1)}}
    parts = [described.get(name, none)["histogram"]["counts"] for name in _COLOURS]
    columns = ["tokens_from", "tokens_below", *_COLOURS, "within_max_length"]
    bins = zip(edges[:-1], edges[1:], *parts, strict=True)
    return columns, [[low, high, *counts, high - 1 <= max_length] for low, high, *counts in bins]


def draw(described: Mapping[str, Mapping[str, Any]], max_length: int, longer: str, path: Path) -> None:
    """Write the histogram of `train` and `validation`, stacked, with the chosen length: a PNG of 1080 x 600 pixels.

    `longer` says what became of the rows beyond it.
    """
    # Not pyplot: it keeps every figure in a global list, and a worker lives long.
    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    whole = described["all"]
    edges = whole["histogram"]["edges"]
    width = edges[1] - edges[0]
    below = [0] * (len(edges) - 1)
    for name, colour in _COLOURS.items():
        if name in described:
            counts = described[name]["histogram"]["counts"]
            label = f"{name} ({described[name]['count']} rows)"
            axes.bar(edges[:-1], counts, width, bottom=below, align="edge", color=colour, label=label, linewidth=0)
            below = [low + count for low, count in zip(below, counts, strict=True)]
    told = f"max_length {max_length}: {longer}"
    if max_length <= edges[-1] + 2 * len(edges) * width:
        axes.axvline(max_length, color="#b03030", linestyle="--", linewidth=1.5, label=told)
    else:  # far beyond the longest: drawing it would squeeze the bars into a corner
        axes.plot([], [], color="#b03030", linestyle="--", label=f"{told} (off the chart)")
    percentiles = whole["percentiles"]
    axes.set_title(f"Half of the texts have at most {percentiles['50']} tokens, the longest {whole['max']}", loc="left")
    axes.set_xlabel("tokens of prompt, answer and end of text")
    axes.set_ylabel(f"rows per {width} tokens" if width > 1 else "rows")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(edgecolor="none", framealpha=0.9)
    figure.savefig(path, format="png", metadata={"Software": None})
