"""The matrix of a real small project: what is there, what is missing and why, and that filling it fills just that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.evaluations import run_evaluation
from skillsengine.pipeline.matrix import Matrix, build_matrix
from skillsengine.pipeline.plan import PlanError
from skillsengine.pipeline.run import Run, open_run
from skillsengine.settings import Settings
from skillsengine.sources.errors import SourceError
from skillsengine.storage.catalog import Catalog, CatalogError
from tests.pipeline.project import make_project, tiny_experiment, write_month
from tests.pipeline.whole import run_whole

MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04", "2026-06")
NOW = datetime(2026, 7, 15, tzinfo=UTC)
SPEC: dict[str, Any] = {"train": {"epochs": 1, "per_device_batch_size": 4, "sample_predictions": 0}}


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


def fill(settings: Settings, run_id: str, cells: list[tuple[int, str]]) -> tuple[dict[str, Any], Run]:
    run = open_run(
        tiny_experiment(**SPEC),
        dag_id="tiny.evaluations",
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
    assert {pair for pair in found.baselines} == {
        (name, key) for name in ("base", "lexicon") for key in ("2026-03", "2026-04")
    }
    assert [cell.partition for cell in found.missing()] == ["2026-04", "2026-06", "2026-01", "2026-06"]
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


def test_filling_and_what_changes_afterwards(settings: Settings) -> None:
    """In one test, since each step begins where the last one ended."""
    missing = [(cell.version, cell.partition) for cell in matrix(settings).missing()]
    result, run = fill(settings, "b1", missing)
    assert (result["done"], result["cached"], result["not_scored"]) == (4, 0, {})
    assert run.partition == "several" and run.catalog.get_run("tiny.evaluations", "b1").partition is None  # type: ignore[union-attr]
    found = matrix(settings)
    assert found.missing() == []
    scored = found.cells[1, "2026-06"]
    assert (
        scored.state == "scored"
        and 0 <= scored.metrics["f1_low"] <= scored.metrics["f1"] <= scored.metrics["f1_high"] <= 1
    )

    again, _ = fill(settings, "b2", missing)
    assert (again["done"], again["cached"]) == (0, 4), "what is there is not computed again"

    path = settings.project / "data" / "ads" / "2026-06.jsonl"
    before = path.read_bytes()
    write_month(path, "2026-06", salt=3)
    changed = matrix(settings)
    assert [(cell.version, cell.partition) for cell in changed.missing()] == [(1, "2026-06"), (2, "2026-06")]
    assert all(cell.outdated for cell in changed.missing()), (
        "only the changed month's cells, and what they were is told"
    )
    path.write_bytes(before)
    assert matrix(settings).missing() == [], "the old bytes have their old cells"

    unlabelled = [json.dumps({"id": f"u{n}", "job_description": f"A crew of {n} wants mowing."}) for n in range(4)]
    (settings.project / "data" / "ads" / "2026-05.jsonl").write_text("\n".join(unlabelled) + "\n")
    filled, _ = fill(settings, "b3", [(2, "2026-05")])
    cell = matrix(settings).cells[2, "2026-05"]
    assert filled["done"] == 1 and cell.state == "unlabelled" and "f1" not in cell.metrics


def test_a_cell_of_near_copies_is_told_and_stops_nothing(settings: Settings) -> None:
    """Promise 4: another month that repeats the training ads with a word more is not scored."""
    folder = settings.project / "data" / "ads"

    def write(key: str, name: str, last: str) -> None:
        """Ads that share nothing with each other; `last` is their last word."""
        ads = [
            {
                "id": f"{name}{n}",
                "job_description": " ".join(f"word{n * 100 + w}" for w in range(80)) + f" mowing {last}",
                "skills": ["mowing"],
            }
            for n in range(8)
        ]
        (folder / f"{key}.jsonl").write_text("\n".join(json.dumps(ad) for ad in ads) + "\n")

    write("2026-02", "a", "soon")
    run_whole(tiny_experiment("other", **SPEC), settings, "copies", partition="2026-03")
    write("2026-05", "b", "now")
    run = open_run(
        tiny_experiment("other", **SPEC),
        dag_id="other.evaluations",
        run_id="b",
        settings=settings,
        kind="evaluations",
        cells=[(1, "2026-05"), (1, "2026-06")],
    )
    result = run_evaluation(run)
    assert result["done"] == 1
    [(name, reason)] = result["not_scored"].items()
    assert name == "other@1 on 2026-05" and "near copies" in reason
