"""What the catalog knows of an experiment's partitions, and the matrix that it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.known_matrix import known_matrix
from skillsengine.pipeline.known_partitions import known_partitions
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Drift, Experiment
from skillsengine.storage.catalog import Catalog, VersionRow
from tests.pipeline.project import tiny_experiment

NOW = datetime(2026, 7, 10, tzinfo=UTC)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Its runs are of the middle of June."""
    return Catalog.open(f"sqlite:///{tmp_path / 'catalog.db'}", now=lambda: datetime(2026, 6, 15, tzinfo=UTC))


def run(catalog: Catalog, name: str, experiment: Experiment, there: Sequence[tuple[str, str]] | None) -> None:
    options = {"files": {}} | ({"there": [list(row) for row in there]} if there is not None else {})
    catalog.pin_run(
        experiment.name,
        name,
        experiment=experiment.name,
        kind="retrain",
        partition="2026-05",
        spec=resolved(experiment),
        options=options,
        trigger="manual",
        spec_commit=None,
    )


def version(catalog: Catalog, digest: str, trained: Sequence[str]) -> VersionRow:
    row = catalog.allocate_version("tiny", digest, experiment="tiny", partition="2026-05", run_id=None, spec={})
    return catalog.publish_version("tiny", row.number, digest, "/v", {}, {"format": {key: key for key in trained}})


def cell(catalog: Catalog, adapter: str, key: str, **more: Any) -> None:
    catalog.put_cell(
        subject=adapter,
        kind="adapter",
        experiment="tiny",
        partition=key,
        data_digest=key,
        artifact_digest=f"{adapter} on {key}",
        stage_version=1,
        adapter_digest=adapter,
        **{"metrics": {"labelled_rows": 3, "f1": 0.5}} | more,
    )


def test_the_newest_run_that_looked_knows_the_holes(catalog: Catalog) -> None:
    experiment = tiny_experiment()
    assert known_partitions(experiment, [], catalog, NOW) == {"2026-07": "unfinished"}, (
        "of nothing, the month under way"
    )
    run(catalog, "r1", experiment, [("2026-01", "2026-02")])
    run(catalog, "r2", experiment, [("2026-01", "2026-02"), ("2026-04", "2026-04")])
    run(catalog, "elsewhere", tiny_experiment(data={"source": "o/{partition}.jsonl"}), [("2020-01", "2026-05")])
    run(catalog, "of before", experiment, None)
    assert known_partitions(experiment, [], catalog, NOW) == {
        "2026-01": "data",
        "2026-02": "data",
        "2026-03": "no data",
        "2026-04": "data",
        "2026-05": "no data",
        "2026-06": "unknown",
        "2026-07": "unfinished",
    }, "June was not over when it looked"
    later = tiny_experiment(start_date=date(2026, 5, 1))
    assert list(known_partitions(later, [], catalog, NOW)) == ["2026-05", "2026-06", "2026-07"]


def test_what_was_used_is_there_although_no_run_told(catalog: Catalog) -> None:
    rows = [version(catalog, "a" * 64, ["2026-02", "all"])]
    cell(catalog, "a" * 64, "2026-04")
    cell(catalog, "a" * 64, "2026-03", metrics={}, marked="nothing to score")
    told = known_partitions(tiny_experiment(), rows, catalog, NOW)
    assert told == {
        "2026-02": "data",
        "2026-03": "unknown",
        "2026-04": "data",
        "2026-05": "unknown",
        "2026-06": "unknown",
        "2026-07": "unfinished",
    }
    assert known_partitions(tiny_experiment(data={"source": "ads"}), rows, catalog, NOW) == {"all": "data"}


def test_history_is_bounded(catalog: Catalog) -> None:
    run(catalog, "r1", tiny_experiment(), [("0001-01", "0001-01"), ("2026-01", "2026-06")])
    found = list(known_partitions(tiny_experiment(), [], catalog, NOW))
    assert len(found) == 4000 and found[-1] == "2026-07"


def test_the_matrix_of_given_partitions(catalog: Catalog) -> None:
    version(catalog, "a" * 64, ["2026-01"])
    version(catalog, "b" * 64, ["all"])
    cell(catalog, "a" * 64, "2026-03")
    cell(catalog, "a" * 64, "2026-04", metrics={}, marked="nothing to score")
    partitions = {"2026-01": "data", "2026-02": "no data", "2026-03": "data", "2026-04": "data", "2026-05": "unknown"}
    found = known_matrix("tiny", "tiny", catalog, drift=Drift(), partitions=partitions)  # type: ignore[arg-type]
    assert {place: each.state for place, each in found.cells.items()} == {
        (1, "2026-01"): "trained on",
        (1, "2026-03"): "scored",
        (1, "2026-04"): "trained on",
        (2, "2026-01"): "missing",
        (2, "2026-03"): "missing",
        (2, "2026-04"): "missing",
    }, "what is marked is never filled"
    assert [(each.version, each.partition) for each in found.missing()] == [
        (2, "2026-01"),
        (2, "2026-03"),
        (2, "2026-04"),
    ]
    static = known_matrix("tiny", "tiny", catalog, drift=Drift(), partitions={"all": "data"})
    assert static.cells[2, "all"].state == "missing", "which of its rows were trained on, only `evaluate` knows"
