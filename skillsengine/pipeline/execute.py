"""Run one step: cache, lease, build beside, publish, tell the catalog. Every part can be repeated with the same outcome."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from skillsengine.pipeline import divergence, gpus
from skillsengine.pipeline.adapters import input_of, trained_spec
from skillsengine.pipeline.graph import narrow
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.moments import HISTORY, Moments
from skillsengine.pipeline.plan import PlanError, RunOptions, Step, base_roots
from skillsengine.pipeline.shown import tracked
from skillsengine.settings import Settings
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import (
    DIVERGED,
    Diverged,
    HandedOver,
    Progress,
    StageConfig,
    StageContext,
    StageTracker,
    never,
)
from skillsengine.storage.artifact import Artifact, Manifest
from skillsengine.storage.catalog import Catalog, CatalogUnavailable, Lease, LeaseHeld, LeaseLost, StepRow
from skillsengine.storage.owners import this_owner
from skillsengine.storage.store import Store

log = logging.getLogger(__name__)

Observer = Callable[[str, Progress], None]
"""Called with the step's id at each moment worth showing."""

LEASE_SECONDS = 60.0
"""A lease not renewed for so long may be taken over; a dead owner on the same host loses it at once."""
_REPORT_SECONDS = 1.0
_REMOVAL_LOOK_SECONDS = 0.2
_SILENT_SECONDS = 15.0
"""So long a catalog that did not answer is told nothing: it may take seconds each time, and the work goes on meanwhile."""
_LIBRARIES = ("torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets", "scikit-learn", "skillsengine")


@dataclass(frozen=True)
class StepResult:
    """What became of one step."""

    step: Step
    artifact: Artifact
    cached: bool
    seconds: float
    page: str | None = None
    """Address of its W&B run; None where that is not online, and of a cached step."""

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.step.id,
            "digest": self.step.digest,
            "cached": self.cached,
            "seconds": round(self.seconds, 2),
            "summary": dict(self.artifact.summary),
        } | ({"wandb": self.page} if self.page else {})


@dataclass(frozen=True)
class Surroundings:
    """Where a run's steps work."""

    settings: Settings
    store: Store
    catalog: Catalog
    run_pk: int
    group: str
    """Id of the run; with the experiment's name it is the W&B group."""
    options: RunOptions
    observer: Observer | None = None
    connect: Connect = environment_connect
    """Who gives the credentials of a source's connection."""
    partition: str | None = None
    """The run's own, to be told in W&B; None where it has several."""
    stopping: Callable[[], bool] = never
    """Whether the worker was told to stop: see `StageContext.stopping`."""


class Reporter:
    """Thins a stage's progress out: numbers go to the tracker, at most one moment a second to the catalog and to people."""

    def __init__(
        self,
        step: Step,
        around: Surroundings,
        tracker: StageTracker | None,
        kept: Iterable[Mapping[str, Any]] = (),
        page: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """`kept` are the moments of an earlier attempt, which this one goes on from; `page` is the W&B run's address. Without a
        tracker only the catalog and people are told; once there is a newer attempt than `attempt`, no catalog."""
        self._step, self._around, self._tracker, self._last = step, around, tracker, 0.0
        self._page, self._attempt = page, attempt
        self._numbers: dict[str, float] = {}
        self._moments = Moments(kept)

    def __call__(self, progress: Progress) -> None:
        if progress.metrics:
            if self._tracker is not None:
                self._tracker.log(progress.metrics, progress.step)
            self._numbers |= progress.metrics
            self._moments.add(progress.step, progress.metrics)
        now = time.monotonic()
        if now < self._last + _REPORT_SECONDS and progress.fraction != 1.0:
            return
        self._last = now
        shown: dict[str, Any] = {
            "text": progress.text,
            "fraction": progress.fraction,
            "seconds_left": progress.seconds_left,
        }
        if self._numbers:
            shown["metrics"] = dict(self._numbers)
        if moments := self._moments.as_json():
            shown[HISTORY] = moments
        if self._page:
            shown["wandb"] = self._page
        try:
            self._around.catalog.impatient().update_step(
                self._around.run_pk, self._step.id, shown, attempt=self._attempt
            )
        except CatalogUnavailable as error:
            # The next moment holds all that this one did.
            log.warning("%s: the progress is not told: %s", self._step.id, error)
            self._last = time.monotonic() + _SILENT_SECONDS
        if self._around.observer:
            self._around.observer(self._step.id, progress)


@contextmanager
def held(catalog: Catalog, digest: str, waiting: Callable[[LeaseHeld], bool]) -> Iterator[Callable[[], None] | None]:
    """Hold the lease of `digest` and renew it beside the work. A catalog that does not answer stops nobody before the guard.

    Yields a guard that raises LeaseLost once another attempt has taken over, or None where `waiting`, asked each time the
    lease is found held by a live attempt, says that the wait is over because the other's result is there.
    """
    lease: Lease | None = None
    while lease is None:
        try:
            lease = catalog.acquire(digest, this_owner(), LEASE_SECONDS)
        except LeaseHeld as other:
            if waiting(other):
                yield None
                return
            time.sleep(2.0)
    stop, mine = threading.Event(), lease

    def renew() -> None:
        while not stop.wait(LEASE_SECONDS / 4):
            try:
                catalog.impatient().renew(mine)
            except LeaseLost:
                return  # the guard finds the same and raises it where the work is done
            except CatalogUnavailable as error:
                # The next beat may get through; if none does, the lease runs out and the guard says so.
                log.warning("the lease of %s was not renewed: %s", mine.digest[:12], error)

    thread = threading.Thread(target=renew, name=f"lease-{digest[:8]}", daemon=True)
    thread.start()
    try:
        yield lambda: catalog.check(mine)
    finally:
        stop.set()
        thread.join()
        try:
            catalog.impatient().release(mine)
        except CatalogUnavailable as error:
            # It ends with this process, or with its time; what was made is published or not, whatever becomes of it.
            log.warning("the lease of %s was not given back: %s", mine.digest[:12], error)


def execute(step: Step, around: Surroundings) -> StepResult:
    """Bring about the artifact of `step`, or find that it is there.

    Raises what the stage raises; nothing is published then, but the record that a trial of a sweep diverged, which is raised
    again by the next call. Inputs must be there: PlanError names one that is not.
    """
    store, catalog, started = around.store, around.catalog, time.monotonic()
    row = catalog.start_step(around.run_pk, step.id, step.stage, step.key, step.digest)

    def found() -> StepResult | None:
        _wait_for_removal(catalog, [step.digest])
        artifact = store.get(step.stage, step.digest)
        if artifact is None:
            diverged = divergence.kept(step, store)
            if diverged is not None:
                catalog.finish_step(
                    around.run_pk, step.id, "failed", time.monotonic() - started, {}, error=f"{diverged}"
                )
                raise diverged
            return None
        catalog.finish_step(around.run_pk, step.id, "cached", time.monotonic() - started, dict(artifact.summary))
        return StepResult(step, artifact, True, time.monotonic() - started)

    if result := found():
        return result

    def waiting(other: LeaseHeld) -> bool:
        if other.removing:
            return False  # what is there still is about to go
        log.info("%s: another attempt is at work (%s); waiting for its result", step.id, other)
        return store.get(step.stage, step.digest) is not None or divergence.kept(step, store) is not None

    with held(catalog, step.digest, waiting) as guard:
        # Another attempt may have published between the first look and the lease.
        if result := found():
            return result
        if guard is None:
            raise LeaseLost(f"{step.id}: the artifact of the other attempt has vanished; run the stage again.")
        try:
            # A wait is no work: what later runs expect goes by what was measured.
            started += _take_gpus(step, around, guard, row)
            artifact, page = _build(step, around, guard, row)
        except CatalogUnavailable:
            raise  # it was waited for, and cannot be told either
        except HandedOver:
            raise  # nothing has failed
        except BaseException as error:
            if isinstance(error, Diverged) and step.trial is not None:
                divergence.keep(step, error, store)
            _tell_failure(step, around, row, time.monotonic() - started, error)
            raise
    seconds = time.monotonic() - started
    catalog.finish_step(around.run_pk, step.id, "done", seconds, dict(artifact.summary), attempt=row.attempts)
    return StepResult(step, artifact, False, seconds, page)


def _tell_failure(step: Step, around: Surroundings, row: StepRow, seconds: float, error: BaseException) -> None:
    """A catalog that does not answer now, on the same full disk perhaps, must not hide what has failed."""
    try:
        around.catalog.impatient().finish_step(
            around.run_pk, step.id, "failed", seconds, {}, error=f"{error}", attempt=row.attempts
        )
    except CatalogUnavailable as unavailable:
        log.warning("%s: the catalog was not told that it failed: %s", step.id, unavailable)


def _wait_for_removal(catalog: Catalog, digests: Collection[str]) -> None:
    """Until none of these artifacts is being removed (`storage.uses` tells why); that takes a moment."""
    while gone := catalog.removing(digests):
        log.info("waiting until %s is removed", ", ".join(sorted(digest[:12] for digest in gone)))
        time.sleep(_REMOVAL_LOOK_SECONDS)


def _take_gpus(step: Step, around: Surroundings, guard: Callable[[], None], row: StepRow) -> float:
    """Take the GPUs of a step that computes on them, before anything is imported that would look for some; returns the seconds
    that it waited. Raises LeaseLost if another attempt has taken over meanwhile."""
    definition, resources = step.definition, step.spec.resources
    if resources.device != "cuda" or "resources.device" not in definition.reads:
        return 0.0
    count = resources.gpus if "resources.gpus" in definition.uses else 1
    began, report = time.monotonic(), Reporter(step, around, None, _kept(row), attempt=row.attempts)

    def waiting(text: str) -> None:
        guard()
        report(Progress(text))

    gpus.take(count, around.settings.home / "gpus", f"{step.spec.name}/{around.group} {step.id}", waiting)
    return time.monotonic() - began


def _kept(row: StepRow) -> Iterable[Mapping[str, Any]]:
    """The moments of the attempts before."""
    kept: Iterable[Mapping[str, Any]] = row.progress.get(HISTORY, ())
    return kept


def _build(step: Step, around: Surroundings, guard: Callable[[], None], row: StepRow) -> tuple[Artifact, str | None]:
    """(the artifact, the address of its W&B run where that is online)."""
    module = import_heavy(step.definition.module)
    if step.definition.version != module.VERSION:
        raise PlanError(
            f"{step.definition.module}.VERSION is {module.VERSION}, pipeline/graph.py says {step.definition.version}: "
            "raise both together, or digests would not tell old output from new. If the package was upgraded while Airflow "
            "ran, its scheduler and workers still hold the old one: restart them, and clear the run."
        )
    _wait_for_removal(around.catalog, [*step.inputs.values(), *(digest for _, digest in step.along.values())])
    inputs = {name: _input(around.store, name, digest, step) for name, digest in step.inputs.items()}
    inputs |= {name: _input(around.store, stage, digest, step) for name, (stage, digest) in step.along.items()}
    for artifact in inputs.values():
        around.store.require_whole(artifact)
    settings, experiment = around.settings, step.spec
    if step.stage == "register":
        experiment = trained_spec(experiment, inputs["finetune"])
    roots = base_roots(experiment, settings, trusted=around.options.trusted)
    with (
        tracked(experiment, settings.home, around.group, step.id, step.digest, around.partition) as tracker,
        around.store.building(step.stage, step.digest) as out,
        around.store.keeping(step.digest, guard) as (checkpoints, keep),
    ):
        for artifact in inputs.values():
            tracker.used(artifact, experiment.name)
        context = StageContext(
            report=Reporter(step, around, tracker, _kept(row), tracker.url, row.attempts),
            guard=guard,
            tracker=tracker,
            checkpoints=checkpoints,
            keep_checkpoint=keep,
            bases=around.store.bases,
            allowed_roots=roots,
            digest=step.digest,
            connect=around.connect,
            stopping=around.stopping,
        )
        config = StageConfig(
            spec=narrow(experiment, step.definition),
            key=step.key,
            files=step.files,
            limit=around.options.limit,
            version_number=_version_number(step, experiment, around),
        )
        try:
            summary = module.run(config, inputs, out, context)
        except Exception:
            if not out.is_dir():
                guard()  # who has taken over has cleared the folder away: then that is what happened
            raise
        guard()
        manifest = Manifest(
            stage=step.stage,
            version=step.definition.version,
            key=step.key,
            digest=step.digest,
            config=step.config,
            inputs=step.inputs,
            summary=summary,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            environment=environment(),
        )
        artifact = around.store.publish(out, manifest)
        tracker.summary(summary)
        page = tracker.url
        if step.stage == "register":
            tracker.registered(artifact)
        else:
            tracker.made(artifact, experiment.name)
    around.store.drop_checkpoints(step.digest)
    place = around.store.place_of(step.stage, step.digest)
    size = sum(entry.size for entry in artifact.manifest.files.values())
    around.catalog.record_artifact(step.digest, step.stage, step.key, place, size)
    return artifact, page


def _input(store: Store, name: str, digest: str, step: Step) -> Artifact:
    artifact, stage = input_of(store, name, digest), name.partition("[")[0]
    if artifact is None and step.stage == "select":
        artifact = store.get(DIVERGED, digest)
    if artifact is None:
        raise PlanError(
            f"the {stage} artifact {digest[:12]} is not in the store {store.place}: run stage `{stage}` of this run first."
        )
    return artifact


def _version_number(step: Step, trained: Experiment, around: Surroundings) -> int | None:
    if step.stage != "register":
        return None
    run = around.catalog.run_by_id(around.run_pk)
    version = around.catalog.allocate_version(
        step.spec.model_name,
        step.inputs["finetune"],
        experiment=step.spec.name,
        partition=run.partition,
        run_id=around.run_pk,
        spec=resolved(trained),
    )
    return version.number


def environment() -> Mapping[str, str]:
    """Library -> version and the machine, for the lineage."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
