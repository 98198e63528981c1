"""Real ads through the light stages: SkillSpan's own files and splits, and dated months. No model is trained here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from skillsengine.pipeline.plan import RunOptions, find_sources
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.scoring.lexicon import Lexicon
from skillsengine.scoring.metrics import set_scores
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.schema import Split
from skillsengine.stages.rows import Row, read_rows
from skillsengine.stages.splits import TRAIN, VALIDATION, scored_rows, training_rows
from tests.pipeline.project import tiny_experiment

pytestmark = pytest.mark.shared


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "experiments").mkdir()
    return load_settings(tmp_path)


def formatted(settings: Settings, source: str, **data: object) -> Run:
    experiment = tiny_experiment(data={"source": source, **data}, base={"model": "smollm2-135m-instruct"})
    run = open_run(experiment, dag_id="x", run_id="x", settings=settings, options=RunOptions(trusted=True))
    run_stage(run, "format")
    return run


def test_skillspan_s_own_files_decide_the_split(settings: Settings, shared_data: Path) -> None:
    run = formatted(settings, str(shared_data / "skillspan" / "paragraph"))
    artifact = run.store.get("format", run.plan.of("format")[0].digest)
    assert artifact is not None
    assert (artifact.summary["rows"], artifact.summary["rejected"]) == (1600, 0)
    assert Counter(row.split for row in read_rows(artifact)) == {"train": 842, "validation": 364, "test": 394}
    used = training_rows([artifact], Split(), dated=False)
    tested = list(read_rows(artifact, scored_rows(artifact, Split(), dated=False).tobytes()))
    assert not {row.key for _, row in used} & {row.key for row in tested}
    assert (used.count(TRAIN), used.count(VALIDATION), len(tested)) == (805, 359, 394)
    assert used.summary() == {"copies_left_out": 29, "near_copies_left_out": 13, "near_copies": 29}


def test_the_lexicon_of_real_labels_scores_what_others_measured(settings: Settings, shared_data: Path) -> None:
    """The data's card gives F1 .26 for a dictionary of all train skills on paragraphs."""
    run = formatted(settings, str(shared_data / "skillspan" / "paragraph"))
    artifact = run.store.get("format", run.plan.of("format")[0].digest)
    assert artifact is not None
    train = [row for row in read_rows(artifact) if row.split == "train"]
    lexicon = Lexicon({skill for row in train for skill in row.skills or ()})
    tested = [row for row in read_rows(artifact) if row.split == "test"]
    scores = set_scores([(row.skills or (), lexicon.extract(row.text)) for row in tested])
    assert scores.f1 == pytest.approx(0.26, abs=0.03)


def test_a_window_of_dated_months(settings: Settings, shared_data: Path) -> None:
    source = str(shared_data / "history" / "skillspan" / "{partition}.jsonl")
    experiment = tiny_experiment(data={"source": source, "window": 4})
    sources = find_sources(experiment, "2021-06", settings, trusted=True)
    assert sources.window == ("2021-02", "2021-03", "2021-04", "2021-05")


def test_a_hole_in_the_history_is_told(settings: Settings, shared_data: Path) -> None:
    source = str(shared_data / "history" / "hn" / "{partition}.jsonl")
    sources = find_sources(tiny_experiment(data={"source": source, "window": 3}), "2017-10", settings, trusted=True)
    assert sources.window == ("2017-07",)
    assert sources.notes == ("the window 2017-07 to 2017-09 has no data for 2017-08, 2017-09",)


def test_every_label_of_the_real_ads_is_a_verbatim_answer(settings: Settings, shared_data: Path) -> None:
    source = str(shared_data / "history" / "skillspan" / "{partition}.jsonl")
    run = formatted(settings, source, window=2)
    rows: list[Row] = []
    for step in run.plan.of("format"):
        artifact = run.store.get("format", step.digest)
        assert artifact is not None
        rows += read_rows(artifact)
    assert rows
    assert all(skill in row.text for row in rows for skill in row.skills or ())
