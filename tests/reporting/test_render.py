"""What stands beside the templates: colours that can be read, and other people's files byte for byte."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skillsengine.reporting.figures.grid import SHADES
from skillsengine.reporting.figures.scores import Score
from skillsengine.reporting.render import STYLES, between, day, static, table_value, took

CSS = "\n".join(map(static, STYLES))
_PAIR = r"light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)"
VARIABLES = {name: colours for name, *colours in re.findall(rf"--([a-z0-9-]+): {_PAIR};", CSS)}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_what_is_behind_it(theme: int) -> None:
    """WCAG AA: 4.5 for text, 3 for what is drawn."""
    on = [(ink, back) for ink in ("ink", "muted", "link") for back in ("paper", "card", "sunk")]
    on += [(f"{name}-ink", name) for name in ("good", "bad", "open", "edge")]
    low = {
        pair: ratio for pair in on if (ratio := contrast(VARIABLES[pair[0]][theme], VARIABLES[pair[1]][theme])) < 4.5
    }
    low |= {
        (tone, "card"): ratio
        for tone in ("tone-1", "tone-2", "tone-3", "tone-4")
        if (ratio := contrast(VARIABLES[tone][theme], VARIABLES["card"][theme])) < 3
    }
    assert low == {}


def test_each_shade_of_the_matrix_can_be_read_and_told_from_its_neighbour() -> None:
    found = re.findall(rf"\.s(\d) \{{ background: {_PAIR}; color: {_PAIR}; \}}", CSS)
    assert [int(number) for number, *_ in found] == list(range(SHADES))
    for _, light, dark, light_ink, dark_ink in found:
        assert contrast(light, light_ink) >= 4.5 and contrast(dark, dark_ink) >= 4.5
    for theme in (1, 2):
        levels = [luminance(shade[theme]) for shade in found]
        assert sorted(levels, reverse=theme == 1) == levels, "from little to much it only gets darker, or lighter"


@pytest.mark.parametrize(
    "folder", ["skillsengine/reporting/static/chartjs", "tests/vendored/axe-core"], ids=["chart.js", "axe-core"]
)
def test_vendored_files_are_unchanged_and_have_a_licence(project: Path, folder: str) -> None:
    place = project / folder
    [script] = place.glob("*.js")
    told = (place / "README.md").read_text("utf-8")
    assert hashlib.sha256(script.read_bytes()).hexdigest() in told
    assert list(place.glob("LICENSE*"))


def test_a_script_is_shown_without_the_address_of_its_map() -> None:
    assert "sourceMappingURL" not in static("chartjs/chart.umd.min.js")


def test_words() -> None:
    assert [took(s) for s in (None, 0.21, 42, 200, 4800)] == ["–", "0.2 s", "42 s", "3 min", "1 h 20 min"]
    assert (between(Score(0.5, 0.4, 0.61)), between(Score(0.5)), between(None)) == ("0.400 to 0.610", "", "")
    assert day(datetime(2026, 7, 1, 9, 5, tzinfo=UTC)) == day("2026-07-01T09:05:00+00:00") == "2026-07-01 09:05 UTC"
    assert [table_value(v) for v in (None, 0.123456, 12345, "a")] == ["", "0.1235", "12,345", "a"]
