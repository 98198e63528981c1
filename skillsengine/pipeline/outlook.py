"""All that is known before a run: its steps, what is cached and why not, what it would take, the DAGs, and what to mind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from skillsengine.pipeline.estimate import Memory, memory_by_quantization
from skillsengine.pipeline.explain import Why, explain
from skillsengine.pipeline.forecast import Figure, Forecast, forecast
from skillsengine.pipeline.history import History
from skillsengine.pipeline.libraries import other_versions
from skillsengine.pipeline.plan import Plan, Sources, Step
from skillsengine.pipeline.shapes import shape_of
from skillsengine.pipeline.source_rows import SourceRows
from skillsengine.pipeline.upcoming import UpcomingDag, upcoming
from skillsengine.settings import Settings
from skillsengine.sources.keys import is_complete, key_of, previous
from skillsengine.spec.schema import Experiment, format_duration
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store


@dataclass(frozen=True)
class Outlook:
    """What `plan` tells of one spec."""

    plan: Plan
    window: tuple[str, ...]
    """Keys of the partitions to train on."""
    steps: tuple[tuple[Step, Why | None], ...]
    """Each step with None where it is cached."""
    forecast: Forecast
    dags: tuple[UpcomingDag, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    memory_by_quantization: Mapping[str, Memory] = field(default_factory=dict)
    """What the training would take with each `base.quantization`; empty where it is not known."""

    @property
    def to_run(self) -> list[str]:
        """Ids of the steps that are not cached, as far as is known."""
        return [step.id for step, why in self.steps if why is not None and step.id not in self.plan.unknown]

    @property
    def cached(self) -> list[str]:
        return [step.id for step, why in self.steps if why is None]

    def warned(self, warning: str) -> Outlook:
        """With one warning more, of somebody who knows what the pipeline cannot."""
        return replace(self, warnings=(*self.warnings, warning))

    def as_json(self) -> dict[str, Any]:
        """Plain data; None for what is not known."""
        return {
            "experiment": self.plan.experiment.name,
            "partition": self.plan.partition,
            "window": list(self.window),
            "steps": [self._step(step, why) for step, why in self.steps],
            "to_run": len(self.to_run),
            "cached": len(self.cached),
            "unknown": len(self.plan.unknown),
            "estimate": _estimate(self.forecast) | {"memory_by_quantization": self._by_quantization()},
            "dags": [dag.as_json() for dag in self.dags],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def _by_quantization(self) -> dict[str, dict[str, int | None]]:
        return {
            name: {"total_bytes": None if memory.total is None else round(memory.total), "card_gb": memory.card}
            for name, memory in self.memory_by_quantization.items()
        }

    def _step(self, step: Step, why: Why | None) -> dict[str, Any]:
        unknown = step.id in self.plan.unknown
        return {
            "id": step.id,
            "stage": step.stage,
            "key": step.key,
            "version": step.definition.version,
            "digest": None if unknown else step.digest,
            "cached": None if unknown else why is None,
            "reason": None if why is None else str(why),
            "changes": [] if why is None else list(why.changes),
            "seconds": _json(self.forecast.seconds.get(step.id)),
        }


def look_ahead(
    plan: Plan,
    sources: Sources,
    settings: Settings,
    store: Store,
    catalog: Catalog,
    now: datetime,
    *,
    trusted: bool = False,
    rows: SourceRows | None = None,
) -> Outlook:
    """`sources` are those that `plan` was made of. Raises StoreError and CatalogUnavailable."""
    rows = rows or SourceRows()
    history = History.of(plan.experiment.name, catalog, store)
    steps = tuple(explain(plan, store, catalog, history=history, rows=rows))
    to_run = [step.id for step, why in steps if why is not None and step.id not in plan.unknown]
    shape = shape_of(plan.experiment, settings, trusted=trusted)
    foreseen = forecast(plan, to_run, shape, store, history, rows)
    longest = int(foreseen.max_length.value) if foreseen.max_length else None
    return Outlook(
        plan,
        sources.window,
        steps,
        foreseen,
        upcoming(plan.experiment, now),
        (*plan.notes, *_of_the_world(plan.experiment, sources, history, now)),
        tuple(other_versions((step for step, why in steps if why is None), store)),
        memory_by_quantization(shape, plan.experiment, longest) if shape else {},
    )


def _of_the_world(experiment: Experiment, sources: Sources, history: History, now: datetime) -> Iterator[str]:
    """What only the data and the clock can say of a spec."""
    start, period = experiment.start_date, experiment.data.period
    if start is None or sources.span is None:
        return
    oldest, newest = sources.span
    if key_of(start, period) < oldest:
        yield (
            f"start_date is {start}, data begins {oldest}: a backfill finds no data for the {period}s before it, and nothing "
            "to train on for that one"
        )
    first_run = previous(key_of(now.date(), period), 1, period)[0]
    starts = experiment.effective_schedule == "partition" and not experiment.paused
    if starts and not history.runs and is_complete(key_of(start, period), now, period):
        waits = f" (no data yet: it waits {format_duration(experiment.data.wait)} for it)" if newest < first_run else ""
        yield f"never run: as soon as Airflow sees the spec it runs {first_run}, the newest {period} that is over{waits}"


def _estimate(found: Forecast) -> dict[str, Any]:
    memory = found.memory
    return {
        "rows": _json(found.rows),
        "train_rows": _json(found.train_rows),
        "validation_rows": _json(found.validation_rows),
        "tokens": _json(found.tokens),
        "optimizer_steps": _json(found.steps),
        "max_length": _json(found.max_length),
        "base_parameters": found.base_parameters,
        "trainable_parameters": found.trainable_parameters,
        "memory_bytes": None
        if memory is None
        else {
            "base": round(memory.base),
            "adapter": round(memory.adapter),
            "activations": None if memory.activations is None else round(memory.activations),
            "of_a_token": round(memory.of_a_token),
            "framework": round(memory.framework),
            "held": None if memory.activations is None else round(memory.held * memory.activations),
            "total": None if memory.total is None else round(memory.total),
        },
        "tokens_per_second": _json(found.speed),
        "measured_memory_bytes": _json(found.measured_memory),
        "seconds": round(found.total_seconds, 1) if found.seconds else None,
        "untimed": list(found.untimed),
    }


def _json(figure: Figure | None) -> dict[str, Any] | None:
    if figure is None:
        return None
    return figure.as_json() | {"value": round(figure.value, 1) if figure.value % 1 else int(figure.value)}
