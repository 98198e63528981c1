"""The F1 of an experiment's versions as a line as small as a word, and the same in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.storage.overviews import Scored

WIDTH, HEIGHT = 120, 26
_EDGE = 3
MOST = 60
"""The newest versions that are drawn."""


@dataclass(frozen=True)
class Sparkline:
    """Drawn in a box of WIDTH x HEIGHT."""

    points: str
    """Of an SVG polyline."""
    last: tuple[float, float]
    champion: tuple[float, float] | None
    text: str
    """What it shows, for those who do not see it."""


def sparkline(versions: Sequence[Scored], champion: Scored | None) -> Sparkline | None:
    """None without a version that has an F1. The line fills the height; with equal scores it lies in the middle."""
    shown = [(version, version.f1) for version in versions if version.f1 is not None][-MOST:]
    if not shown:
        return None
    scores = [score for _, score in shown]
    low, high = min(scores), max(scores)
    step = (WIDTH - 2 * _EDGE) / max(len(shown) - 1, 1)
    places = [
        (
            round(_EDGE + place * step, 1),
            round(
                HEIGHT / 2 if high == low else HEIGHT - _EDGE - (score - low) / (high - low) * (HEIGHT - 2 * _EDGE), 1
            ),
        )
        for place, (_, score) in enumerate(shown)
    ]
    best = next((place for place, (version, _) in zip(places, shown, strict=True) if version == champion), None)
    first, last = shown[0][0], shown[-1][0]
    text = (
        f"F1 {scores[-1]:.3f} of {last.name}, the only version"
        if len(shown) == 1
        else f"F1 of {len(shown)} versions, {first.name} to {last.name}: from {scores[0]:.3f} to {scores[-1]:.3f}, "
        f"between {low:.3f} and {high:.3f}"
    )
    return Sparkline(" ".join(f"{x},{y}" for x, y in places), places[-1], best, text)
