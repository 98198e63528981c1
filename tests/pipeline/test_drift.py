"""Drift in real small runs: measured with a cell, kept in the catalog, told; and a month without labels, all the way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, update

from skillsengine.airflow import work
from skillsengine.pipeline import drift
from skillsengine.pipeline.cells import CellLayout, record_cell
from skillsengine.pipeline.drift import described, drifted, label_free, phrase, with_drift
from skillsengine.pipeline.evaluations import run_evaluation
from skillsengine.pipeline.execute import execute
from skillsengine.pipeline.run import Run, open_run
from skillsengine.settings import Settings
from skillsengine.spec.schema import Drift
from skillsengine.storage.catalog import Catalog, CellRow
from skillsengine.storage.store import Store
from tests.pipeline.project import make_project, tiny_experiment
from tests.pipeline.whole import run_whole

SPEC: dict[str, Any] = {
    "train": {"epochs": 1, "per_device_batch_size": 4, "sample_predictions": 0},
    "evaluations": {"baselines": []},
}
LIKE, OTHER = "2026-04", "2026-05"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A version of 01 and 02 that was scored on 03, a month without labels; 04 is like the others, 05 is not."""
    settings = make_project(tmp_path_factory.mktemp("drift"), ("2026-01", "2026-02", "2026-03", LIKE))
    folder = settings.project / "data" / "ads"
    ads = [json.loads(line) for line in (folder / "2026-03.jsonl").read_text().splitlines()]
    write(folder / "2026-03.jsonl", [{**ad, "skills": None} for ad in ads])
    text = "Somebody with a head for heights is wanted who can do {0} and {0} again, day and night, " * 3
    skills = [f"roofing {n}" for n in range(8)]
    write(folder / f"{OTHER}.jsonl", [{"id": s, "job_description": text.format(s), "skills": [s]} for s in skills])
    run_whole(tiny_experiment(**SPEC), settings, "r1", partition="2026-03")
    return settings


@pytest.fixture(scope="module")
def scored(settings: Settings) -> tuple[Run, Mapping[str, Any]]:
    """A run that has scored the version on both months, and what it told."""
    run = open_run(
        tiny_experiment(**SPEC),
        dag_id="tiny.evaluations",
        run_id="e1",
        settings=settings,
        kind="evaluations",
        cells=[(1, LIKE), (1, OTHER)],
    )
    return run, run_evaluation(run)


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return Catalog.open(settings.catalog_url)


def write(path: Path, ads: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(map(json.dumps, ads)) + "\n")


def cell(catalog: Catalog, key: str) -> CellRow:
    [found] = [cell for cell in catalog.cells("tiny", partition=key) if cell.kind == "adapter"]
    return found


def once_more(run: Run, experiment: str = "tiny") -> dict[str, Any]:
    """The metrics of an experiment's cell on `LIKE`, by the way of a run that finds the artifact there."""
    [version] = run.catalog.versions("tiny")
    _, step = CellLayout(run.experiment, run.settings, run.options, version).steps(LIKE, run.sources.files[LIKE])
    result = execute(step, run.around())
    assert result.cached
    return with_drift(run, record_cell(run.catalog, experiment, LIKE, result), result)


def forget(settings: Settings, row: CellRow) -> None:
    """Make the cell one of before there was drift."""
    metrics = {name: value for name, value in row.metrics.items() if name != "drift"}
    with create_engine(settings.catalog_url).begin() as connection:
        connection.execute(update(CellRow).where(CellRow.id == row.id).values(metrics=metrics))


@contextmanager
def away(settings: Settings, stage: str, digest: str) -> Iterator[None]:
    """Within it an artifact is not in the store, and nothing that was read of it is remembered."""
    path = Store(settings.store_root).path_of(stage, digest)
    drift._training.cache_clear()
    path.rename(path.with_name("away"))
    try:
        yield
    finally:
        path.with_name("away").rename(path)


def test_a_month_without_labels_all_the_way(catalog: Catalog, settings: Settings) -> None:
    row = cell(catalog, "2026-03")
    found = row.metrics["drift"]
    assert row.metrics["labelled_rows"] == 0 and "f1" not in row.metrics
    assert found["skills_of"] in ("predictions", None) and found["length"]["psi"] >= 0
    [run] = catalog.list_runs("tiny", limit=5)[-1:]
    assert run.data["gate"]["verdict"] == "undecided"
    assert f"tiny@1 · 2026-03 · {label_free(row.metrics)}" in run.note
    assert [c.kind for c in catalog.cells("tiny", partition="2026-03") if "drift" in c.metrics] == ["adapter"], (
        "a baseline has no training data of its own"
    )


def test_a_month_like_the_others_and_one_that_is_not(scored: tuple[Run, Mapping[str, Any]], catalog: Catalog) -> None:
    same, other = (cell(catalog, key).metrics for key in (LIKE, OTHER))
    assert same["drift"]["skills_of"] == other["drift"]["skills_of"] == "gold"
    assert same["drift"]["reference_ads"] == 16 and same["drift"]["ads"] == 8
    assert phrase(same, Drift()) is None
    assert str(described(same, Drift())).startswith("no drift; length PSI ")
    assert "unseen_skills" in {found.name for found in drifted(other, Drift())}
    assert "unseen skills 100% (" in str(phrase(other, Drift()))
    assert work.describe(scored[1])[0] == "2 cells filled, 0 were there, 1 of them show drift"


def test_thresholds_judge_what_was_measured_before(scored: object, catalog: Catalog) -> None:
    metrics = cell(catalog, OTHER).metrics
    calm = Drift(unseen_skills=1, js=1, psi=100)
    assert phrase(metrics, calm) is None
    assert "unseen skills 100%" in str(described(metrics, calm))


def test_a_cell_of_before_gets_its_drift_and_keeps_it(
    scored: tuple[Run, Mapping[str, Any]], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, before = scored[0], cell(catalog, LIKE)
    forget(run.settings, before)
    assert "drift" not in cell(catalog, LIKE).metrics
    assert once_more(run) == before.metrics
    after = cell(catalog, LIKE)
    assert (after.id, after.metrics) == (before.id, before.metrics)

    def never(*_: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(drift, "_measured", never)
    assert once_more(run) == before.metrics


def test_what_another_experiment_measured_of_the_same_artifact_is_taken_over(
    scored: tuple[Run, Mapping[str, Any]], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, ours = scored[0], cell(catalog, LIKE)
    measured_anew = {"skills_of": "gold"}
    monkeypatch.setattr(drift, "_measured", lambda *_: measured_anew)
    assert once_more(run, "another") == ours.metrics
    forget(run.settings, ours)
    assert once_more(run, "a third")["drift"] == measured_anew, "the first one does not know it either"
    run.catalog.add_to_cell(ours.id, "drift", {"unknown": "the adapter is not in the store"})
    assert once_more(run, "a fourth")["drift"] == measured_anew, "that it is unknown is nothing to take over"
    run.catalog.add_to_cell(ours.id, "drift", ours.metrics["drift"])


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("format", "drift: unknown, the training data's format artifact is not in the store (format[2026-01])"),
        ("finetune", "drift: unknown, the adapter is not in the store"),
    ],
)
def test_training_data_that_was_cleaned_away_fails_nothing(
    scored: tuple[Run, Mapping[str, Any]], catalog: Catalog, stage: str, said: str
) -> None:
    run, known = scored[0], cell(catalog, LIKE)
    forget(run.settings, known)
    [version] = catalog.versions("tiny")
    digest = version.lineage["format"]["2026-01"] if stage == "format" else version.lineage["finetune"]
    with away(run.settings, stage, digest):
        once_more(run)
        metrics = cell(catalog, LIKE).metrics
        assert (described(metrics, Drift()), phrase(metrics, Drift())) == (said, None)
    assert once_more(run) == known.metrics, "once it is there again it is measured"


def measured(**changes: Any) -> dict[str, Any]:
    found = {
        "skills_of": "gold",
        "length": {"psi": 0.31, "js": 0.2, "chance": 0.4},
        "tokens_per_word": {"psi": 0.01, "js": 0.05, "chance": 0.1},
        "skills_per_ad": None,
        "unseen_skills": {"share": 0.41, "distinct": 0.5, "chance": 0.2},
        "top_skills": {"js": 0.35, "chance": 0.33},
    }
    return {"f1": 0.5, "drift": found | changes}


@pytest.mark.parametrize(
    ("changes", "rule", "said"),
    [
        ({}, Drift(), "drift: unseen skills 41% (threshold 30%), top skills JS distance 0.35 (by chance up to 0.33)"),
        ({}, Drift(js=0.34), "drift: unseen skills 41% (threshold 30%), top skills JS distance 0.35 (threshold 0.34)"),
        ({"top_skills": None}, Drift(unseen_skills=0.5), None),
        (
            {"skills_of": "predictions", "top_skills": None},
            Drift(),
            "drift: unseen predicted skills 41% (threshold 30%)",
        ),
    ],
)
def test_a_phrase_names_what_is_above_threshold_and_chance(
    changes: dict[str, Any], rule: Drift, said: str | None
) -> None:
    assert phrase(measured(**changes), rule) == said


def test_a_log_line_has_all_of_it() -> None:
    assert described(measured(top_skills=None), Drift(unseen_skills=0.5)) == (
        "no drift; length PSI 0.31 (by chance up to 0.40), tokens per word PSI 0.01, unseen skills 41%"
    )
    assert str(described(measured(), Drift(psi=0, js=1))).endswith(
        "; length PSI 0.31 (by chance up to 0.40), tokens per word PSI 0.01 (by chance up to 0.10), top skills JS distance 0.35"
    )
    assert described({"f1": 0.5}, Drift()) is None
