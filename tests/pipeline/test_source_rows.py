"""Which rows of a source changed since a real `format` artifact was made of it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.plan import Step
from skillsengine.pipeline.run import open_run, run_stage
from skillsengine.pipeline.source_rows import RowChanges, RowCount, SourceRows
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment
from skillsengine.stages.annotations import Annotation, render_annotations
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.label_files import LabelFiles
from skillsengine.storage.store import Store
from tests.pipeline.past import plan_of
from tests.pipeline.project import make_project, tiny_experiment

Ads = list[dict[str, Any]]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project", ("2026-01", "2026-02"), base=False)


def experiment(**data: Any) -> Experiment:
    return tiny_experiment(data={"source": "data/ads/{partition}.jsonl", "window": 1} | data)


def path_of(settings: Settings) -> Path:
    return settings.project / "data" / "ads" / "2026-01.jsonl"


def read(settings: Settings) -> Ads:
    return [json.loads(line) for line in path_of(settings).read_text().splitlines()]


def write(settings: Settings, ads: Ads) -> None:
    path_of(settings).write_text("".join(json.dumps(ad) + "\n" for ad in ads))


def formatted(settings: Settings, spec: Experiment) -> Artifact:
    """The artifact of 2026-01 as its files are now."""
    run = open_run(spec, dag_id="tiny", run_id="first", settings=settings)
    run_stage(run, "format")
    found = Store(settings.store_root).get("format", run.plan.step("format[2026-01]").digest)
    assert found is not None
    return found


def step_now(settings: Settings, spec: Experiment) -> Step:
    return plan_of(spec, settings).step("format[2026-01]")


def edit(ads: Ads) -> Ads:
    for ad in ads[2:4]:
        ad["job_description"] += " Now."
    return ads


def unlabel(ads: Ads) -> Ads:
    ads[0]["skills"] = None
    return ads


def test_labels_that_people_have_made_are_changes_of_rows(settings: Settings) -> None:
    old = formatted(settings, experiment())
    ads = read(settings)
    texts = {ad["id"]: ad["job_description"] for ad in ads}
    made = [Annotation(name, text, ((0, 4),)) for name, text in list(texts.items())[:3]]
    files = LabelFiles(settings.store_root, "tiny")
    with files.changing("2026-01"):
        files.put("2026-01", render_annotations([*made, Annotation("gone", "x", ())]))
    step = step_now(settings, experiment())
    assert str(SourceRows().changes(step, old)) == "3 rows"
    assert SourceRows().count(step) == RowCount(rows=8, labelled=8)
    assert step.digest != old.manifest.digest


def spoil(ads: Ads) -> Ads:
    ads[5]["job_description"] = 7
    return ads


def add(ads: Ads) -> Ads:
    return [{"id": "new", "job_description": "A baker.", "skills": []}, *ads]


def take(ads: Ads) -> Ads:
    return ads[1:]


def all_three(ads: Ads) -> Ads:
    return [{"id": "new", "job_description": "A baker.", "skills": []}, *edit(ads)[:-3]]


def unused(ads: Ads) -> Ads:
    return [{**ad, "town": "here", "job_description": f"  {ad['job_description']}"} for ad in ads]


def shuffle(ads: Ads) -> Ads:
    return ads[::-1]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (edit, "2 rows"),
        (unlabel, "1 row"),
        (spoil, "1 row"),
        (add, "1 row added"),
        (take, "1 row gone"),
        (all_three, "2 rows edited, 1 added, 3 gone"),
        (unused, "no row that is used"),
        (shuffle, "no row that is used"),
    ],
)
@pytest.mark.parametrize("ids", [True, False], ids=["with ids", "known by their lines"])
def test_changes(settings: Settings, change: Callable[[Ads], Ads], text: str, ids: bool) -> None:
    spec = experiment(max_rejected=0.5)
    ads = read(settings)
    if not ids:
        for ad in ads:
            del ad["id"]
        write(settings, ads)
    old = formatted(settings, spec)
    changed = change(ads)
    if not ids:
        changed = [{name: value for name, value in ad.items() if name != "id"} for ad in changed]
    write(settings, changed)
    found = SourceRows().changes(step_now(settings, spec), old)
    if not ids and change is all_three:
        # A row that was edited and moved cannot be known again: one line had an edited row before and has another now.
        text = "1 row edited, 2 added, 4 gone"
    assert str(found) == text


def test_rows_are_read_with_the_settings_of_the_artifact(settings: Settings) -> None:
    """So that another cleaning is not taken for other data."""
    ads = read(settings)
    write(settings, [{**ad, "job_description": f"{ad['job_description']} <b>Go</b>"} for ad in ads])
    old = formatted(settings, experiment())
    now = step_now(settings, experiment(cleaning=["whitespace"]))
    assert now.digest != old.digest
    assert SourceRows().changes(now, old) == RowChanges(0, 0, 0)


def test_a_copied_row_is_added(settings: Settings) -> None:
    old, ads = formatted(settings, experiment()), read(settings)
    write(settings, [*ads, ads[0]])
    assert SourceRows().changes(step_now(settings, experiment()), old) == RowChanges(0, 1, 0)


def test_one_of_two_copies_is_edited(settings: Settings) -> None:
    ads = read(settings)
    write(settings, [*ads, {**ads[0], "id": "copy"}])
    old = formatted(settings, experiment())
    write(settings, [{**ads[0], "skills": []}, *ads[1:], {**ads[0], "id": "copy"}])
    assert SourceRows().changes(step_now(settings, experiment()), old) == RowChanges(1, 0, 0)


def test_counts_are_those_that_format_makes(settings: Settings) -> None:
    ads = spoil(unlabel(read(settings)))
    ads[6]["skills"] = ["nowhere in the ad"]
    write(settings, ads)
    spec = experiment(max_rejected=0.5)
    counted = SourceRows().count(step_now(settings, spec))
    summary = formatted(settings, spec).summary
    assert counted == RowCount(summary["rows"], summary["with_labels"]) == RowCount(6, 5)


def test_a_partition_that_a_column_cuts_out(settings: Settings) -> None:
    source = settings.project / "ads.jsonl"
    lines = [{**ad, "posted": f"2026-0{month}-01"} for month in (1, 2) for ad in read(settings)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    spec = tiny_experiment(data={"source": "ads.jsonl", "date_column": "posted", "window": 1})
    old = formatted(settings, spec)
    lines[3]["skills"] = []
    source.write_text("".join(json.dumps(line) + "\n" for line in lines[:-1]))
    step = step_now(settings, spec)
    assert SourceRows().changes(step, old) == RowChanges(1, 0, 0)
    assert SourceRows().count(step) == RowCount(8, 8)


def test_what_is_not_compared(settings: Settings) -> None:
    old, spec = formatted(settings, experiment()), experiment()
    write(settings, edit(read(settings)))
    step = step_now(settings, spec)
    assert SourceRows().changes(step, old) == RowChanges(2, 0, 0)
    older = replace(old, manifest=replace(old.manifest, version=1))
    assert SourceRows().changes(step, older) is None, "another version may have made other rows of the same data"
    limited = replace(old, manifest=replace(old.manifest, config={**old.manifest.config, "limit": {"rows": 3}}))
    assert SourceRows().changes(step, limited) is None
    assert SourceRows(budget=1000).changes(step, old) is None, "too large"
    remote = replace(step, files=tuple(replace(file, uri="s3://bucket/2026-01.jsonl") for file in step.files))
    assert SourceRows().changes(remote, old) is None, "a plan downloads nothing"
    (old.path / "rows.jsonl").unlink()
    assert SourceRows().changes(step, old) is None
    path_of(settings).unlink()
    assert SourceRows().count(step) is None


def test_the_budget_is_spent_once_for_all(settings: Settings) -> None:
    size = path_of(settings).stat().st_size
    rows = SourceRows(budget=size + 10)
    step = step_now(settings, experiment())
    assert rows.count(step) == rows.count(step) == RowCount(8, 8), "the second time from memory"
    other = plan_of(experiment(), settings).step("format[2026-02]")
    assert rows.count(other) is None
    assert SourceRows().count(other) == RowCount(8, 8)


def test_a_packed_file_that_unfolds_is_not_read_to_its_end(settings: Settings) -> None:
    packed = path_of(settings).with_suffix(".jsonl.gz")
    line = json.dumps({"id": "1", "job_description": "a " * 5000, "skills": []}) + "\n"
    packed.write_bytes(gzip.compress((line * 2000).encode()))
    step = step_now(settings, experiment())
    bomb = replace(step, files=tuple(replace(file, uri=packed) for file in step.files))
    assert SourceRows().count(bomb) is None
