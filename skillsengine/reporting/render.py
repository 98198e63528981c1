"""Templates and the files beside them: how figures become HTML, in a report and on a page alike.

Everything that a template is given is escaped; only the JSON of `plain.script_json` and the package's own scripts and style
sheets are not, since each is made safe where it is made.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from skillsengine.reporting.figures.plain import Missing
from skillsengine.reporting.figures.scores import Score
from skillsengine.scoring.wording import NONE

SCRIPTS = ("chartjs/chart.umd.min.js", "charts.js")
"""In the order in which a page loads them."""
STYLES = ("figures.css", "report.css")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Jinja's, with the templates of this room; an undefined name is an error."""
    made = Environment(
        loader=PackageLoader("skillsengine.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        fixed=fixed, signed=signed, between=between, count=count, share=share, took=took, day=day, value=table_value
    )
    made.tests["missing"] = lambda part: isinstance(part, Missing)
    return made


def static(name: str) -> str:
    """The text of a script or a style sheet of this room, without the address of its map, which nobody has."""
    text = files("skillsengine.reporting").joinpath("static", name).read_text("utf-8")
    return text.partition("//# sourceMappingURL=")[0]


def fixed(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def signed(value: float | None) -> str:
    return NONE if value is None else f"{value:+.3f}"


def share(value: float | None) -> str:
    return NONE if value is None else f"{value:.0%}"


def count(value: float | None) -> str:
    return NONE if value is None else f"{value:,.0f}"


def between(score: Score | None) -> str:
    """`0.638 to 0.801`; empty without an interval."""
    return "" if score is None or score.low is None or score.high is None else f"{score.low:.3f} to {score.high:.3f}"


def took(seconds: float | None) -> str:
    """`0.2 s`, `42 s`, `3 min`, `1 h 20 min`."""
    if seconds is None:
        return NONE
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def day(when: datetime | str | None) -> str:
    """`2026-06-01 10:18 UTC`."""
    if when is None:
        return NONE
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return f"{when:%Y-%m-%d %H:%M} UTC"


def table_value(value: Any) -> str:
    """A value of a `Table`: numbers short enough to be read; the files that are downloaded hold all digits."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
