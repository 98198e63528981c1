"""A training while it goes on, from what its step tells in the catalog once a second at most: for the page, and for the
script that asks again every few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from skillsengine.airflow.ui.runs import RunView, Stage
from skillsengine.reporting import charts
from skillsengine.reporting.figures.plain import plain
from skillsengine.reporting.figures.training import Training, training_under_way
from skillsengine.reporting.render import took
from skillsengine.storage.catalog import Catalog, StepRow


@dataclass(frozen=True)
class Live:
    """The newest run, if it is under way."""

    run: RunView
    training: Training | None
    """None until it trains, and after that."""

    @property
    def stage(self) -> Stage | None:
        """What it is at."""
        return next((stage for stage in self.run.stages if stage.state == "running"), None)

    @property
    def loss(self) -> charts.Chart | None:
        return _own(charts.loss(self.training)) if self.training and self.training.series("loss") else None

    @property
    def throughput(self) -> charts.Chart | None:
        return _own(charts.throughput(self.training)) if self.training else None


def _own(chart: charts.Chart | None) -> charts.Chart | None:
    """Under a name of its own: the page shows the chart of a version's training too."""
    return None if chart is None else replace(chart, id=f"live-{chart.id}")


def live(runs: Sequence[RunView], catalog: Catalog) -> Live | None:
    """None where the newest run is over."""
    run = next((run for run in runs if run.state == "running" and run.pk is not None), None)
    if run is None or run.pk is None:
        return None
    steps = [step for step in catalog.steps_of(run.pk) if step.stage == "finetune" and step.state == "running"]
    newest = max(steps, key=_updated, default=None)
    return Live(run, training_under_way(newest) if newest else None)


def _updated(step: StepRow) -> Any:
    return step.updated


def as_json(found: Live | None, runs: Sequence[RunView]) -> dict[str, Any]:
    """What the script needs: the newest run's state, what every stage is at, the charts' data."""
    newest = runs[0] if runs else None
    told: dict[str, Any] = {"run": newest.run_id if newest else None, "state": newest.state if newest else None}
    if found is None:
        return told
    shown = {chart.id: plain(chart.data) for chart in (found.loss, found.throughput) if chart is not None}
    at = found.training
    return told | {
        "stage": found.stage.name if found.stage else None,
        "text": found.stage.text if found.stage else "",
        "fraction": at.fraction if at else None,
        "left": f"about {took(at.seconds_left)} left" if at and at.seconds_left else "",
        "stages": [{"name": stage.name, "state": stage.state} for stage in found.run.stages],
        "charts": shown,
    }
