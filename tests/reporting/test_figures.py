"""Figures as data: what they say, how they are shown where room is short, and what they become as JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.pipeline.known_matrix import known_matrix
from skillsengine.reporting import charts
from skillsengine.reporting.figures.descent import descent
from skillsengine.reporting.figures.errors import errors, labelled_cell
from skillsengine.reporting.figures.grid import SHADES, grid, scale, shade
from skillsengine.reporting.figures.lengths import lengths
from skillsengine.reporting.figures.marks import Elsewhere, Segment, mark_skills
from skillsengine.reporting.figures.plain import FigureMissing, Table, plain, to_json
from skillsengine.reporting.figures.scores import scores_of, scores_of_version
from skillsengine.reporting.figures.spec import spec_of
from skillsengine.reporting.figures.steps import steps
from skillsengine.reporting.figures.training import training, training_under_way
from skillsengine.reporting.figures.verdict import verdict
from skillsengine.reporting.figures.versions import versions
from skillsengine.spec.schema import Drift
from tests.reporting.past import ADS, Past, metrics


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    made = Past(tmp_path_factory.mktemp("figures") / "project")
    made.version(1, 0.5)
    made.version(2, 0.6, "2026-04")
    made.cell(made.catalog.resolve("tiny", "1"), "2026-04", metrics(0.4, "2026-04"))
    return made


def test_every_figure_is_json(past: Past) -> None:
    row = past.catalog.resolve("tiny", "2")
    cell = labelled_cell(row, past.catalog)
    found = known_matrix("tiny", "tiny", past.catalog, drift=Drift())
    assert row.run_id is not None
    figures = [
        scores_of_version(row),
        lengths(row, past.store),
        training(row, past.store, past.catalog),
        verdict(row, past.catalog),
        versions("tiny", past.catalog),
        errors(row, cell, past.store),
        grid(found),
        descent(row, past.store, past.catalog, past.settings),
        steps(row.run_id, past.catalog),
        spec_of(row.spec, past.settings),
    ]
    for figure in figures:
        assert json.loads(to_json(figure)) == plain(figure)
        if hasattr(figure, "table"):
            table = figure.table()
            assert {len(line) for line in table.rows} == {len(table.columns)}, type(figure)


def test_what_json_does_not_know() -> None:
    when = datetime(2026, 7, 1, tzinfo=UTC)
    assert plain({1: (float("nan"), float("inf"), when)}) == {"1": [None, None, "2026-07-01T00:00:00+00:00"]}


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t=", "\r=", "\n=", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_cell_begins_as_a_formula(begins: str) -> None:
    """Neither a text of an ad nor a column that is called after one: a slice's name, say."""
    foreign = f"{begins}cmd|' /C calc'!A0"
    table = Table((foreign, "n"), ((foreign, -1),))
    assert list(csv.reader(io.StringIO(table.csv(), newline=""))) == [[f"'{foreign}", "n"], [f"'{foreign}", "-1"]]


def test_a_table_becomes_csv_that_no_spreadsheet_runs() -> None:
    table = Table(("skill", "ads"), (("=HYPERLINK(1)", 2), ('a "b", c', -0.5), (None, None)))
    assert table.csv() == 'skill,ads\r\n\'=HYPERLINK(1),2\r\n"a ""b"", c",-0.5\r\n,\r\n'


def test_scores_stand_in_blocks_and_only_where_they_were_measured() -> None:
    found = scores_of({"adapter": metrics(0.6, "2026-03", span_ads=3, span_strict_f1=0.4), "lexicon": {}})
    assert [block.name for block in found.blocks] == ["headline", "macro", "relaxed", "spans", "label-free", "tokens"]
    assert [subject.name for subject in found.subjects] == ["adapter"]
    headline = {measure.label: measure.scores["adapter"] for measure in found.blocks[0].measures}
    assert (headline["F1"].value, headline["F1"].low, headline["F1"].high) == (0.6, 0.5, 0.7)
    assert scores_of({}).partition is None and scores_of({}).blocks == ()


def test_a_training_is_told_from_its_artifact_and_its_speed_from_the_catalog(past: Past) -> None:
    found = training(past.catalog.resolve("tiny", "1"), past.store, past.catalog)
    assert found.series("loss") == [(1, 2.0), (3, 1.1)] and found.series("validation_loss") == [(3, 1.3)]
    assert found.series("tokens_per_second") == [(1, 91.0), (2, 92.0), (3, 93.0)]
    assert found.best_step == 3 and not found.running
    assert charts.throughput(found) is not None


def test_a_training_under_way_is_told_by_its_step(past: Past) -> None:
    run = past.catalog.pin_run(
        "tiny",
        "live",
        experiment="tiny",
        kind="retrain",
        partition="x",
        spec={},
        options={},
        trigger="cli",
        spec_commit=None,
    )
    past.catalog.start_step(run.id, "finetune", "finetune", None, "f" * 64)
    history = [{"step": 10, "train/loss": 2.0, "train/tokens_per_second": 80.0}, {"step": 20, "eval/loss": 1.5}]
    past.catalog.update_step(run.id, "finetune", {"text": "step 20/50", "fraction": 0.4, "history": history})
    [step] = past.catalog.steps_of(run.id)
    found = training_under_way(step)
    assert (found.running, found.text, found.fraction) == (True, "step 20/50", 0.4)
    assert found.series("validation_loss") == [(20, 1.5)] and found.series("tokens_per_second") == [(10, 80.0)]


def test_errors_have_the_newest_cell_with_labels_and_a_bounded_sample(past: Past) -> None:
    row = past.catalog.resolve("tiny", "2")
    found = errors(row, labelled_cell(row, past.catalog), past.store, most_ads=1, most_frequent=1)
    assert (found.partition, found.wrong_ads, len(found.ads)) == ("2026-04", 2, 1)
    assert found.frequent["invented"][0].skills == ("Excel",) and found.frequent["invented"][0].count == 2
    assert found.distinct == {"missed": 2, "invented": 2, "boundary": 1}
    page = errors(row, labelled_cell(row, past.catalog), past.store, first_ad=1, most_ads=5, most_characters=8)
    assert [ad.id for ad in page.ads] == ["clerk"] and page.ads[0].cut
    assert page.ads[0].segments == (Segment("Monthly "),)
    assert page.ads[0].elsewhere == (Elsewhere("invented", "juggling"),)
    with pytest.raises(FigureMissing, match=r"tiny@2 has no score on 2020-01: it was scored on 2026-04\."):
        labelled_cell(row, past.catalog, "2020-01")


def test_skills_are_marked_where_they_stand() -> None:
    text, gold, predicted = ADS["clerk"]
    segments, elsewhere = mark_skills(text, gold, predicted, [("Excel reports", "Excel")])
    marked = [(segment.text, segment.mark) for segment in segments]
    assert marked == [
        ("Monthly ", None),
        ("Excel reports", "boundary"),
        (", and ", None),
        ("tact", "found"),
        (".", None),
    ]
    assert elsewhere == (Elsewhere("invented", "juggling"),)
    assert mark_skills("Micro lathe turning.", ["Micro lathe turning"], ["micro lathe turning"])[1] == ()
    unlabelled, _ = mark_skills("SQL and sql.", None, ["SQL"])
    assert [s.text for s in unlabelled if s.mark == "found"] == ["SQL"]


@settings(max_examples=25)
@given(st.text(max_size=80), st.lists(st.text(max_size=12), max_size=4), st.lists(st.text(max_size=12), max_size=4))
def test_segments_are_the_whole_text(text: str, gold: list[str], predicted: list[str]) -> None:
    segments, _ = mark_skills(text, gold, predicted, list(zip(gold, predicted, strict=False)))
    assert "".join(segment.text for segment in segments) == text


def test_the_grid_has_a_square_for_each_cell(past: Past) -> None:
    found = grid(known_matrix("tiny", "tiny", past.catalog, drift=Drift()))
    assert [column.name for column in found.columns] == ["tiny@1", "tiny@2"]
    assert found.columns[1].aliases == ("champion", "latest") and found.columns[0].trained_until == "2026-02"
    states = {(s.column, s.partition): (s.state, s.text) for line in found.lines for s in line.squares}
    assert states == {
        ("tiny@1", "2026-03"): ("scored", ".500"),
        ("tiny@2", "2026-03"): ("missing", "·"),
        ("tiny@1", "2026-04"): ("scored", ".400"),
        ("tiny@2", "2026-04"): ("scored", ".600"),
    }
    [march, april] = found.lines
    assert march.squares[0].hint == "tiny@1 on 2026-03: f1 0.500 (0.400 to 0.600), on 3 ads with 5 gold skills"
    assert april.gold_skills == 5 and found.counts == {"scored": 3, "missing": 1}


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), max_size=6))
def test_every_score_is_on_the_scale(values: list[float]) -> None:
    low, high = scale(values)
    assert 0 <= low < high and high - low >= 0.39
    for value in values:
        assert low - 1e-9 <= value <= high + 1e-9
        assert 0 <= shade(value, low, high) < SHADES


def test_a_cut_far_beyond_the_texts_squeezes_no_bars(past: Past) -> None:
    found = lengths(past.catalog.resolve("tiny", "1"), past.store)
    near = charts.token_lengths(found)
    assert near.data["edges"][-1] == 48 and len(near.data["series"][0]["counts"]) == len(near.data["edges"]) - 1
    from dataclasses import replace

    assert charts.token_lengths(replace(found, max_length=4096)).data["edges"][-1] == 40


def test_the_spec_is_shown_as_written_while_it_means_the_same(tmp_path: Path) -> None:
    from skillsengine.spec.load import load_spec, resolved

    made = Past(tmp_path / "project")
    path = made.settings.experiments / "tiny.yaml"
    path.write_text("name: tiny  # mine\nschedule: none\ndata: {source: ads}\ndescription: my key is hf_abcdefghij\n")
    pinned = resolved(load_spec(path).experiment)
    found = spec_of(pinned, made.settings)
    assert found.file == "experiments/tiny.yaml" and found.written is not None
    assert found.written.startswith("name: tiny  # mine\n") and "hf_" not in found.written + found.resolved
    path.write_text("name: tiny\nschedule: none\ndata: {source: other}\n")
    assert (
        spec_of(pinned, made.settings).why
        == "experiments/tiny.yaml was changed since, or the run had values of its own"
    )
    path.write_text("name: [\n")
    assert spec_of(pinned, made.settings).why == "experiments/tiny.yaml does not compile now"
    path.unlink()
    assert spec_of(pinned, made.settings).why == "there is no spec tiny.yaml any more"


def test_files_of_elsewhere_are_told_by_their_names_alone(past: Past) -> None:
    found = descent(past.catalog.resolve("tiny", "1"), past.store, past.catalog, past.settings)
    rows = found.table().rows
    assert (
        "format[2026-01]",
        None,
        None,
        "2026-01.jsonl",
        rows[[r[3] for r in rows].index("2026-01.jsonl")][4],
    ) in rows
    assert [row[0] for row in rows if row[1]] == [
        "register",
        "finetune",
        "format[2026-01]",
        "format[2026-02]",
        "profile",
    ]
