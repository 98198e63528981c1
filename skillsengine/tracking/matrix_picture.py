"""The matrix as a picture: versions across, partitions downwards, colour and number of each cell's score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

_CELL, _EDGE = 0.55, 2.0
"""Inches of a cell's height, and of the space around the cells."""
_MARKS = {"trained on": ("", "////"), "unlabelled": ("?", ""), "missing": ("·", "")}
"""State -> (text, hatching) of a cell without a score."""


def draw(
    path: Path,
    title: str,
    columns: Sequence[str],
    rows: Sequence[str],
    cells: Mapping[tuple[int, int], tuple[str, Mapping[str, Any]]],
    metric: str,
) -> None:
    """Write a PNG (or what the file's ending says) to `path`.

    `cells`: (row, column) -> (state, metrics), as `pipeline.matrix` has them; a row without cells is a partition without data.
    The scale of a share goes from 0 to the highest one, so that two pictures are not to be compared by colour.
    """
    values = np.full((len(rows), len(columns)), np.nan)
    for place, (_, metrics) in cells.items():
        values[place] = metrics.get(metric, np.nan)
    figure = Figure(
        figsize=(_EDGE + 1.1 * max(2, len(columns)), _EDGE + _CELL * len(rows)), dpi=120, layout="constrained"
    )
    axes = figure.subplots()
    top = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    shown = colormaps["viridis"].with_extremes(bad="#f4f4f4")
    image = axes.imshow(values, cmap=shown, vmin=0.0, vmax=top or 1.0, aspect="auto")
    for (row, column), (state, metrics) in cells.items():
        value = metrics.get(metric)
        if value is not None:
            # Dark fields are those of low scores.
            color = "white" if value < 0.6 * top else "black"
            gold = f"\n{metrics['gold_skills']}" if "gold_skills" in metrics else ""
            low, high = metrics.get(f"{metric}_low"), metrics.get(f"{metric}_high")
            half = "" if low is None or high is None else f" ±{(high - low) / 2:.2f}"
            axes.text(column, row, f"{value:.2f}{half}{gold}", ha="center", va="center", color=color, fontsize=7)
            continue
        text, hatch = _MARKS[state]
        axes.text(column, row, text, ha="center", va="center", color="#555555", fontsize=9)
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch=hatch, edgecolor="#bbbbbb", lw=0))
    axes.set_xticks(range(len(columns)), columns, fontsize=7)
    axes.set_yticks(range(len(rows)), rows, fontsize=7)
    axes.set_ylabel("scored on")
    axes.set_title(title, fontsize=10, loc="left")
    figure.colorbar(image, ax=axes, label=metric)
    legend = (
        "±: half of the 95% interval · below the score: gold skills\nhatched: trained on · dot: missing · ?: unlabelled"
    )
    figure.supxlabel(legend, x=0.02, ha="left", fontsize=6)
    figure.savefig(path)
