"""Runs and steps in the catalog."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from skillsengine.storage.catalog import Catalog, CatalogError
from tests.storage.support import Clock, at_once, pin


def test_a_run_is_what_its_first_call_said(catalog: Catalog, clock: Clock) -> None:
    first = pin(catalog, "manual-1", options={"limit": {"rows": 8}})
    clock.forward(60)
    again = pin(catalog, "manual-1", spec={"name": "edited"}, partition="2026-07", trigger="cli")
    assert again.id == first.id
    assert again.spec == {"name": "job-skills", "lora": {"r": 32}}
    assert (again.partition, again.trigger, again.options) == ("2026-06", "scheduled", {"limit": {"rows": 8}})
    assert again.started == first.started == clock.time - timedelta(seconds=60)
    assert (again.state, again.note, again.error, again.finished) == ("running", "", None, None)
    assert pin(catalog, "manual-2").id != first.id
    found = catalog.get_run("job-skills", "manual-1")
    assert found is not None
    assert found.spec == first.spec
    assert catalog.get_run("job-skills", "manual-9") is None


def test_many_processes_pin_one_run(catalog: Catalog) -> None:
    def work(index: int) -> tuple[int, dict[str, object]]:
        row = pin(catalog, "scheduled-1", spec={"from": index})
        return row.id, row.spec

    answers = at_once(8, work)
    assert len({id for id, _ in answers}) == 1
    assert len({str(spec) for _, spec in answers}) == 1
    assert len(catalog.list_runs()) == 1


def test_a_run_ends_with_a_note(catalog: Catalog, clock: Clock, run_id: int) -> None:
    clock.forward(5)
    catalog.finish_run(run_id, "failed", "finetune failed", error="no row")
    row = catalog.run_by_id(run_id)
    assert (row.state, row.note, row.error) == ("failed", "finetune failed", "no row")
    assert row.finished == clock.time
    assert row.finished.tzinfo is not None


def test_data_is_put_beside_what_is_there(catalog: Catalog, run_id: int) -> None:
    catalog.set_run_data(run_id, verdict="promote", f1=0.5)
    catalog.set_run_data(run_id, f1=0.6, odd=float("nan"), nested=({"x": float("inf")},))
    data = catalog.run_by_id(run_id).data
    assert data == {"verdict": "promote", "f1": 0.6, "odd": None, "nested": [{"x": None}]}


def test_many_processes_put_data_on_one_run(catalog: Catalog, run_id: int) -> None:
    at_once(6, lambda index: catalog.set_run_data(run_id, **{f"key{index}": index}).id)
    assert catalog.run_by_id(run_id).data == {f"key{index}": index for index in range(6)}


def test_runs_are_listed_newest_first(catalog: Catalog) -> None:
    ids = [pin(catalog, f"r{index}", experiment="even" if index % 2 == 0 else "odd").id for index in range(6)]
    assert [row.id for row in catalog.list_runs()] == ids[::-1]
    assert [row.id for row in catalog.list_runs("even", limit=2)] == [ids[4], ids[2]]


def test_the_course_of_a_step(catalog: Catalog, clock: Clock, run_id: int) -> None:
    catalog.start_step(run_id, "format[2026-03]", "format", "2026-03", "ab" * 32)
    catalog.start_step(run_id, "finetune", "finetune", None, "cd" * 32)
    clock.forward(10)
    catalog.update_step(run_id, "finetune", {"text": "step 3/54", "loss": float("nan")})
    first, second = catalog.steps_of(run_id)
    assert (first.step_id, first.key, first.state, first.attempts) == ("format[2026-03]", "2026-03", "running", 1)
    assert second.progress == {"text": "step 3/54", "loss": None}
    assert second.updated == clock.time
    catalog.finish_step(run_id, "finetune", "done", 10.5, {"steps": 54})
    row = catalog.steps_of(run_id)[1]
    assert (row.state, row.seconds, row.summary, row.error) == ("done", 10.5, {"steps": 54}, None)
    assert row.finished == clock.time


def test_a_retry_counts_and_starts_afresh(catalog: Catalog, clock: Clock, run_id: int) -> None:
    catalog.start_step(run_id, "finetune", "finetune", None, "cd" * 32)
    catalog.update_step(run_id, "finetune", {"text": "step 3/54"})
    catalog.finish_step(run_id, "finetune", "failed", 3.0, {}, error="killed")
    catalog.finish_run(run_id, "failed", "", error="killed")
    clock.forward(30)
    row = catalog.start_step(run_id, "finetune", "finetune", None, "ef" * 32)
    assert (row.attempts, row.state, row.digest, row.progress, row.error) == (2, "running", "ef" * 32, {}, None)
    assert (row.seconds, row.finished, row.started) == (None, None, clock.time)
    assert len(catalog.steps_of(run_id)) == 1
    run = catalog.run_by_id(run_id)
    assert (run.state, run.error, run.finished) == ("running", None, None)  # its tasks were cleared: it runs again


def test_an_attempt_that_was_overtaken_tells_nothing_any_more(catalog: Catalog, run_id: int) -> None:
    first = catalog.start_step(run_id, "finetune", "finetune", None, "cd" * 32).attempts
    second = catalog.start_step(run_id, "finetune", "finetune", None, "cd" * 32).attempts
    catalog.update_step(run_id, "finetune", {"text": "step 9/54"}, attempt=second)
    catalog.update_step(run_id, "finetune", {"text": "step 3/54"}, attempt=first)
    assert catalog.steps_of(run_id)[0].progress == {"text": "step 9/54"}
    catalog.finish_step(run_id, "finetune", "done", 10.5, {"steps": 54}, attempt=second)
    catalog.finish_step(run_id, "finetune", "failed", 99.0, {}, "this attempt has lost it", attempt=first)
    row = catalog.steps_of(run_id)[0]
    assert (row.state, row.seconds, row.summary, row.error) == ("done", 10.5, {"steps": 54}, None)


def test_what_was_never_begun(catalog: Catalog, run_id: int) -> None:
    with pytest.raises(CatalogError, match="the catalog has no run 99; `skillsengine runs` lists those it has"):
        catalog.run_by_id(99)
    missing: list[Callable[[], object]] = [
        lambda: catalog.finish_run(99, "success", ""),
        lambda: catalog.set_run_data(99, x=1),
        lambda: catalog.start_step(99, "profile", "profile", None, "ab" * 32),
    ]
    for call in missing:
        with pytest.raises(CatalogError, match="no run 99"):
            call()
    unstarted: list[Callable[[], object]] = [
        lambda: catalog.update_step(run_id, "profile", {}),
        lambda: catalog.finish_step(run_id, "profile", "done", 1.0, {}),
    ]
    for call in unstarted:
        with pytest.raises(CatalogError, match=f"step profile of run {run_id} was never started"):
            call()
    assert catalog.steps_of(99) == []
