"""The matrix of a real small project: what is there, what is missing and why, and that filling it fills just that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.cells import CellLayout
from skillsengine.pipeline.evaluations import run_evaluation
from skillsengine.pipeline.matrix import Matrix, build_matrix
from skillsengine.pipeline.plan import PlanError, RunOptions
from skillsengine.pipeline.run import Run, finish_run, open_run
from skillsengine.settings import Settings
from skillsengine.sources.errors import SourceError
from skillsengine.sources.find import Source
from skillsengine.sources.local import LocalPlace
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import StageError
from skillsengine.storage.catalog import Catalog, CatalogError
from tests.pipeline.project import make_project, tiny_experiment, write_copies, write_month
from tests.pipeline.whole import run_whole

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-06")
NOW = datetime(2026, 7, 15, tzinfo=UTC)
SPEC: dict[str, Any] = {"train": {"epochs": 1, "per_device_batch_size": 4, "sample_predictions": 0}}
CHEAP = SPEC | {"evaluations": {"baselines": ["lexicon"]}}


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two versions: trained on 01 and 02 (scored on 03), and on 02 and 03 (scored on 04). There is no May."""
    settings = make_project(tmp_path_factory.mktemp("matrix"), MONTHS)
    for key in ("2026-03", "2026-04"):
        run_whole(tiny_experiment(**SPEC), settings, f"r-{key}", partition=key)
    return settings


def matrix(settings: Settings, **asked: Any) -> Matrix:
    return build_matrix(tiny_experiment(**SPEC), settings, Catalog.open(settings.catalog_url), now=NOW, **asked)


def states(found: Matrix) -> dict[int, list[str]]:
    """Version -> the states of its cells, in the partitions' order."""
    keys = [key for key, state in found.partitions.items() if state == "data"]
    return {row.number: [found.cells[row.number, key].state for key in keys] for row in found.versions}


def wanted(found: Matrix) -> list[tuple[int, str]]:
    """What a run is asked for to fill what is missing."""
    return list(dict.fromkeys((cell.version, cell.partition) for cell in found.missing()))


def fill(
    settings: Settings, run_id: str, cells: list[tuple[int, str]], experiment: Experiment | None = None
) -> tuple[dict[str, Any], Run]:
    experiment = experiment or tiny_experiment(**SPEC)
    run = open_run(
        experiment,
        dag_id=f"{experiment.name}.evaluations",
        run_id=run_id,
        settings=settings,
        kind="evaluations",
        cells=cells,
    )
    return run_evaluation(run), run


def test_what_is_known_before_anything_is_filled(settings: Settings) -> None:
    found = matrix(settings)
    assert found.partitions == {
        "2026-01": "data",
        "2026-02": "data",
        "2026-03": "data",
        "2026-04": "data",
        "2026-05": "no data",
        "2026-06": "data",
    }
    assert states(found) == {
        1: ["trained on", "trained on", "scored", "missing", "missing"],
        2: ["missing", "trained on", "trained on", "scored", "missing"],
    }
    missing = [(cell.subject, cell.version, cell.partition) for cell in found.missing()]
    assert missing[:4] == [
        ("adapter", 1, "2026-04"),
        ("adapter", 1, "2026-06"),
        ("adapter", 2, "2026-01"),
        ("adapter", 2, "2026-06"),
    ]
    # The base is shared: the run of 2026-04 has scored it there for both versions. Each version has its own lexicon.
    assert set(missing[4:]) == {
        ("base", 1, "2026-06"),
        ("base", 2, "2026-01"),
        ("lexicon", 1, "2026-04"),
        ("lexicon", 1, "2026-06"),
        ("lexicon", 2, "2026-01"),
        ("lexicon", 2, "2026-06"),
    }
    assert {key for name, number, key in found.baselines if number == 1} == {"2026-03", "2026-04", "2026-06"}
    told = found.as_json()["baselines"]
    assert len(told) == 10 and {
        tuple(each["versions"]) for each in told if (each["baseline"], each["partition"]) == ("base", "2026-04")
    } == {(1, 2)}
    assert json.loads(json.dumps(found.as_json()))["versions"][1] == {
        "number": 2,
        "experiment": "tiny",
        "trained_on": ["2026-02", "2026-03"],
    }


def test_a_range_and_versions_narrow_it(settings: Settings) -> None:
    found = matrix(settings, versions=("latest", "2"), first="2026-03", last="2026-04")
    assert states(found) == {2: ["trained on", "scored"]}


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        (
            {"first": "2026-04", "last": "2026-02"},
            PlanError,
            "--from 2026-04 is after --to 2026-02: the range is empty",
        ),
        ({"last": "2026-07"}, PlanError, "--to 2026-07: this month is not over yet"),
        ({"first": "2027-01"}, PlanError, "no partition is left: there is data for 2026-01 to 2026-06"),
        ({"first": "January"}, SourceError, "`January` is no partition: a month is written as YYYY-MM"),
        ({"versions": ("9",)}, CatalogError, "tiny@9 does not exist: tiny has the versions 1, 2"),
        ({"versions": ("champoin",)}, CatalogError, "tiny@champoin does not exist"),
    ],
)
def test_what_cannot_be_asked_for(settings: Settings, asked: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        matrix(settings, **asked)


def test_without_a_version_there_is_nothing_to_score(tmp_path: Path) -> None:
    with pytest.raises(
        CatalogError, match="tiny has no version yet, so there is nothing to score. Run the experiment first"
    ):
        matrix(make_project(tmp_path, base=False))


def test_filling_and_what_changes_afterwards(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one test, since each step begins where the last one ended."""
    missing = wanted(matrix(settings))
    result, run = fill(settings, "b1", missing)
    assert (result["done"], result["cached"], result["not_scored"]) == (10, 1, {}), "the base of 2026-04 was there"
    assert run.partition == "several" and run.catalog.get_run("tiny.evaluations", "b1").partition is None  # type: ignore[union-attr]
    found = matrix(settings)
    assert found.missing() == []
    scored = found.cells[1, "2026-06"]
    assert (
        scored.state == "scored"
        and 0 <= scored.metrics["f1_low"] <= scored.metrics["f1"] <= scored.metrics["f1_high"] <= 1
    )

    with monkeypatch.context() as light:
        for module in ("evaluations", "execute", "drift"):
            light.setattr(
                f"skillsengine.pipeline.{module}.import_heavy", None
            )  # Airflow's backfill asks for what is there
        again, _ = fill(settings, "b2", missing)
    assert (again["done"], again["cached"]) == (0, 11), "what is there is not computed again"

    path = settings.project / "data" / "ads" / "2026-06.jsonl"
    before = path.read_bytes()
    write_month(path, "2026-06", salt=3)
    changed = matrix(settings)
    assert wanted(changed) == [(1, "2026-06"), (2, "2026-06")], "only the changed month's cells"
    assert all(cell.outdated for cell in changed.missing() if cell.subject == "adapter"), "what they were is told"
    path.write_bytes(before)
    assert matrix(settings).missing() == [], "the old bytes have their old cells"

    unlabelled = [json.dumps({"id": f"u{n}", "job_description": f"A crew of {n} wants mowing."}) for n in range(4)]
    (settings.project / "data" / "ads" / "2026-05.jsonl").write_text("\n".join(unlabelled) + "\n")
    filled, _ = fill(settings, "b3", [(2, "2026-05")])
    cell = matrix(settings).cells[2, "2026-05"]
    assert filled["done"] == 3 and cell.state == "unlabelled" and "f1" not in cell.metrics


def test_a_cell_of_near_copies_is_marked_and_never_tried_again(settings: Settings) -> None:
    """Promise 4: another month that repeats the training ads with a word more is not scored, whoever scores it."""
    folder = settings.project / "data" / "ads"
    other, resumed = (tiny_experiment(name, **CHEAP) for name in ("other", "resumed"))
    write_copies(folder / "2026-02.jsonl", "a", "soon")
    run_whole(other, settings, "copies", partition="2026-03")
    write_copies(folder / "2026-05.jsonl", "b", "now")
    result, _ = fill(settings, "b1", [(1, "2026-05"), (1, "2026-06")], other)
    assert result["done"] == 2, "2026-06 and its lexicon"
    [(name, reason)] = result["not_scored"].items()
    assert name == "other@1 on 2026-05" and "near copies" in reason

    def look(experiment: Experiment = other) -> Matrix:
        return build_matrix(experiment, settings, Catalog.open(settings.catalog_url), now=NOW, first="2026-05")

    assert look().cells[1, "2026-05"].state == "trained on" and look().missing() == []
    assert not [key for _, _, key in look().baselines if key == "2026-05"], "no baseline beside nothing"
    again, run = fill(settings, "b2", [(1, "2026-05")], other)
    assert again["not_scored"] == {name: reason} and run.catalog.steps_of(run.id) == [], "it is not tried again"

    # A version of the same adapter, found in the cache: what it was trained on goes with the adapter.
    cached = run_whole(resumed, settings, "resumed", partition="2026-03")
    assert {step.state for step in cached.catalog.steps_of(cached.id) if step.stage == "finetune"} == {"cached"}
    assert look(resumed).cells[1, "2026-05"].state == "missing"
    result, _ = fill(settings, "b3", [(1, "2026-05")], resumed)
    assert result["done"] == 0 and look(resumed).cells[1, "2026-05"].state == "trained on"

    write_month(folder / "2026-05.jsonl", "2026-05")
    assert look().cells[1, "2026-05"].state == "missing", "new bytes, a new try"


def test_a_month_that_was_trained_on_is_left_out_by_every_way(settings: Settings) -> None:
    """Airflow's backfill asks for a partition, ours never for this one: both leave the same cells."""
    before = len(Catalog.open(settings.catalog_url).cells())
    run = open_run(
        tiny_experiment(**SPEC),
        dag_id="tiny.evaluations",
        run_id="trained",
        settings=settings,
        kind="evaluations",
        partition="2026-03",
        versions=("2",),
    )
    result = run_evaluation(run)
    assert result["not_scored"] == {"tiny@2": "tiny@2 was trained on the partition 2026-03."}
    assert len(run.catalog.cells()) == before and run.catalog.marks("tiny") == {}


def test_without_baselines_none_is_made(settings: Settings) -> None:
    write_month(settings.project / "data" / "ads" / "2026-07.jsonl", "2026-07")
    experiment = tiny_experiment(**SPEC, evaluations={"baselines": []})
    now, catalog = datetime(2026, 8, 15, tzinfo=UTC), Catalog.open(settings.catalog_url)
    found = build_matrix(experiment, settings, catalog, first="2026-07", now=now)
    assert found.baselines == {} and [cell.subject for cell in found.missing()] == ["adapter", "adapter"]
    (settings.project / "data" / "ads" / "2026-07.jsonl").unlink()


def test_the_untuned_base_is_that_of_the_version(settings: Settings) -> None:
    """A spec that has changed its base since: the baseline of an old version is what that was made from."""
    catalog = Catalog.open(settings.catalog_url)
    old, new = catalog.resolve("tiny", "1"), catalog.resolve("tiny", "1")
    new.spec = new.spec | {"base": new.spec["base"] | {"model": "elsewhere"}}
    files = Source(tiny_experiment(**SPEC).data, settings.project, settings.allowed_roots).files("2026-06")
    digests = {}
    for name, version in (("old", old), ("new", new)):
        layout = CellLayout(tiny_experiment(**SPEC), settings, RunOptions(), version)
        formatted, step = layout.steps("2026-06", files)
        assert step.along == {"profile": ("profile", version.lineage["profile"])}
        digests[name] = [step.digest, *(layout.baseline(each, formatted).digest for each in ("lexicon", "base"))]
    assert digests["old"][:2] == digests["new"][:2] and digests["old"][2] != digests["new"][2]


def test_the_source_is_listed_once_for_all_cells(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    lists: list[int] = []
    keys = LocalPlace.keys
    monkeypatch.setattr(LocalPlace, "keys", lambda self: lists.append(1) or keys(self))
    cells = [(1, key) for key in ("2026-03", "2026-04", "2026-06")]
    run = open_run(
        tiny_experiment(**SPEC),
        dag_id="tiny.evaluations",
        run_id="listed",
        settings=settings,
        kind="evaluations",
        cells=[*cells, *cells],
    )
    assert len(lists) == 1
    assert run.cells == tuple(cells) and set(run.sources.files) == {"2026-03", "2026-04", "2026-06"}


def test_a_cell_of_no_version_is_passed_over(settings: Settings) -> None:
    result, _ = fill(settings, "unknown", [(9, "2026-03"), (1, "2026-03")])
    assert result["passed_over"] == ["9"] and (result["done"], result["cached"]) == (0, 3)
    with pytest.raises(CatalogError, match="tiny: none of 9 names a registered version. Run the experiment"):
        fill(settings, "unknown alone", [(9, "2026-03")])


def test_a_partition_that_went_away_since_the_plan(settings: Settings) -> None:
    path = settings.project / "data" / "ads" / "2026-08.jsonl"
    write_month(path, "2026-08")
    path.unlink()
    with pytest.raises(
        PlanError, match=r"no data for 2026-08 at data/ads/2026-08\.jsonl \(there is data for 2026-01 to"
    ):
        fill(settings, "gone", [(1, "2026-08")])
    write_month(path, "2026-08", salt=7)
    run = open_run(
        tiny_experiment(**SPEC),
        dag_id="tiny.evaluations",
        run_id="going",
        settings=settings,
        kind="evaluations",
        cells=[(1, "2026-08")],
    )
    path.unlink()
    with pytest.raises(
        StageError, match=r"2026-08\.jsonl: not there any more; it was when the plan was made. Put it back"
    ):
        run_evaluation(run)
    assert finish_run(run, "failed", "the month is gone") == "failed: the month is gone"
    assert finish_run(run, "success") == "done"
