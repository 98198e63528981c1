"""Figures as charts: what `static/charts.js` draws, beside the table and the words that say the same without a picture."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from skillsengine.reporting.figures.lengths import Lengths
from skillsengine.reporting.figures.plain import Table, script_json, to_json
from skillsengine.reporting.figures.scores import Score, Scores
from skillsengine.reporting.figures.training import Training
from skillsengine.reporting.figures.versions import Versions

_ALL = -1
"""Of rows: each stands out."""


@dataclass(frozen=True)
class Files:
    """A table with the addresses of its files, which need no server."""

    table: Table

    @property
    def csv_address(self) -> str:
        return _address("text/csv;charset=utf-8", self.table.csv())

    @property
    def json_address(self) -> str:
        return _address("application/json", to_json(self.table))


@dataclass(frozen=True)
class Chart:
    """One picture."""

    id: str
    """Of its element; also the stem of the files that are downloaded."""
    title: str
    summary: str
    """What it shows, in a sentence, for those who do not see it."""
    data: Mapping[str, Any]
    """`kind` and what that kind draws: `lines`, `bars` or `intervals` (`static/charts.js`)."""
    files: Files
    size: str = "normal"
    """`normal`, or `low` for few rows."""

    @property
    def script(self) -> Markup:
        """The data for a `<script type="application/json">`."""
        return script_json(self.data)


def _address(kind: str, text: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode()}"


def loss(found: Training) -> Chart:
    """Training and validation loss over optimizer steps."""
    train, validation = found.series("loss"), found.series("validation_loss")
    said = f"Training loss goes from {train[0][1]:.2f} to {train[-1][1]:.2f}" if train else "No training loss"
    said += f", validation loss ends at {validation[-1][1]:.2f}" if validation else ""
    return Chart(
        id="loss",
        title="Loss",
        summary=f"{said}, over {found.moments[-1].step if found.moments else 0} optimizer steps.",
        data=_lines(
            "loss (nats a token)",
            [_series("training", train, 1), _series("validation", validation, 2, dots=True)],
            mark={"x": found.best_step, "label": "kept"} if validation and found.best_step else None,
        ),
        files=Files(found.table()),
    )


def learning_rate(found: Training) -> Chart:
    rates = found.series("learning_rate")
    top = max((rate for _, rate in rates), default=0.0)
    return Chart(
        id="learning-rate",
        title="Learning rate",
        summary=f"The learning rate is at most {top:.2g} and ends at {rates[-1][1]:.2g}." if rates else "Not told.",
        data=_lines("learning rate", [_series("learning rate", rates, 3)], begins_at_zero=True),
        files=Files(Table(("step", "learning rate"), tuple(rates))),
    )


def throughput(found: Training) -> Chart | None:
    """Tokens a second over optimizer steps; None where nobody kept them."""
    speeds = found.series("tokens_per_second")
    if len(speeds) < 2:
        return None
    return Chart(
        id="throughput",
        title="Throughput",
        summary=f"Between {min(s for _, s in speeds):.0f} and {max(s for _, s in speeds):.0f} tokens a second.",
        data=_lines("tokens a second", [_series("tokens a second", speeds, 4)], begins_at_zero=True),
        files=Files(Table(("step", "tokens a second"), tuple(speeds))),
    )


def token_lengths(found: Lengths) -> Chart:
    """The histogram, with the chosen cut."""
    edges = _up_to(found.edges, found.max_length)
    return Chart(
        id="token-lengths",
        title="Token lengths",
        summary=(
            f"Half of the {found.rows:,} texts have at most {found.percentiles['50']:,} tokens, the longest "
            f"{found.longest:,}. Texts are cut at {found.max_length:,}: {found.longer}."
        ),
        data={
            "kind": "bars",
            "edges": edges,
            "series": [
                {"name": name, "counts": [*counts, *[0] * (len(edges) - 1 - len(counts))], "tone": tone}
                for tone, (name, counts) in enumerate(found.counts.items(), 1)
            ],
            "x": "tokens of prompt, answer and end of text",
            "y": "texts",
            "mark": {"x": found.max_length, "label": f"cut at {found.max_length:,}"},
        },
        files=Files(found.table()),
    )


def _up_to(edges: Sequence[int], cut: int) -> list[int]:
    """With empty bins up to the cut, unless it is so far away that the bars would be squeezed into a corner."""
    width, found = edges[1] - edges[0], list(edges)
    if cut <= found[-1] + len(edges) * width:
        while found[-1] < cut:
            found.append(found[-1] + width)
    return found


def subjects(found: Scores) -> Chart | None:
    """F1 of the version beside its baselines; None without labels."""
    rows = [(subject.label, subject.f1) for subject in found.subjects if subject.f1 is not None]
    if not rows:
        return None
    return _intervals("subjects", "F1 beside the baselines", "subject", rows, marked=0)


def slices(found: Scores, most: int = 14) -> Chart | None:
    """F1 of the largest slices; None where the ads are in one slice at most."""
    largest = sorted(found.slices, key=lambda each: (-each.ads, each.name))[:most]
    if len(found.slices) < 2:
        return None
    shown = [each for each in found.slices if each in largest]
    chart = _intervals(
        "slices", "F1 by slice", "slice", [(f"{each.kind}: {each.value} ({each.ads})", each.f1) for each in shown]
    )
    return replace(chart, files=Files(found.slice_table()))


def versions(found: Versions, current: int | None = None) -> Chart | None:
    """The metric of each version with its interval; None where fewer than two have it."""
    shown = [each for each in found.versions if "adapter" in each.scores]
    if len(shown) < 2:
        return None
    rows = [(f"@{each.number} · {each.partition or ''}".rstrip(" ·"), each.scores["adapter"]) for each in shown]
    marked = next((place for place, each in enumerate(shown) if each.number == current), _ALL)
    title = f"{_name(found.metric)} by version"
    chart = _intervals("versions", title, "version", rows, standing=True, marked=marked)
    return replace(chart, files=Files(found.table()))


def _intervals(
    id: str,
    title: str,
    what: str,
    rows: Sequence[tuple[str, Score]],
    *,
    standing: bool = False,
    marked: int = _ALL,
) -> Chart:
    """A dot with its interval for each row, lying or `standing`; the row `marked` stands out."""
    best_name, best = max(rows, key=lambda row: row[1].value)
    return Chart(
        id=id,
        title=title,
        summary=f"{len(rows)} rows, each with its 95% interval; the highest is {best_name} with {best.value:.3f}.",
        data={
            "kind": "intervals",
            "standing": standing,
            "marked": marked,
            "rows": [{"name": name, "value": s.value, "low": s.low, "high": s.high} for name, s in rows],
        },
        files=Files(Table((what, "value", "low", "high"), tuple((name, s.value, s.low, s.high) for name, s in rows))),
        size="normal" if standing or len(rows) > 6 else "low",
    )


def _name(metric: str) -> str:
    return "F1" if metric == "f1" else metric.replace("_", " ")


def _series(name: str, points: Sequence[tuple[int, float]], tone: int, *, dots: bool = False) -> dict[str, Any]:
    return {"name": name, "points": points, "tone": tone, "dots": dots or len(points) < 12}


def _lines(
    y: str, series: Sequence[Mapping[str, Any]], *, begins_at_zero: bool = False, mark: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "kind": "lines",
        "series": [each for each in series if each["points"]],
        "x": "optimizer step",
        "y": y,
        "zero": begins_at_zero,
        "mark": mark,
    }
