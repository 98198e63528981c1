"""Partitions of every length under the real Airflow: the first scheduled run, a backfill, a run by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.client import AirflowError
from skillsengine.sources.keys import key_of, parse_key, period_end, previous
from skillsengine.spec.schema import Period
from skillsengine.storage.catalog import Catalog
from tests.e2e.conftest import SPEC, Platform, wait_for
from tests.pipeline.project import TOOLS, TRADES

pytestmark = pytest.mark.nightly

COUNT = 6


def ads(key: str, period: Period) -> list[dict[str, Any]]:
    """A handful of ads of one partition, dated on its first day."""
    day = parse_key(key, period)
    rows = []
    for i in range(COUNT):
        trade, tool = TRADES[(i + day.toordinal()) % len(TRADES)], TOOLS[(i * 5 + day.toordinal()) % len(TOOLS)]
        text = f"Shop {day.toordinal()}-{i} wants {trade} by the {tool} in town {i * day.toordinal()}."
        rows.append({"id": f"{key}-{i}", "posted": day.isoformat(), "job_description": text, "skills": [trade, tool]})
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def spec(name: str, source: str, more: str, start: str) -> str:
    text = SPEC.format(name=name).replace("schedule: none", f"schedule: partition\nstart_date: {start}")
    text = text.replace('"data/ads/{partition}.jsonl"', f'"{source}"').replace("window: 2", f"window: 1, {more}")
    assert source in text and more in text and start in text
    return text


@pytest.mark.parametrize(
    ("period", "column"),
    [("day", False), ("week", False), ("month", False), ("quarter", False), ("week", True)],
    ids=["day", "week", "month", "quarter", "week-by-column"],
)
def test_the_first_run_and_a_backfill(platform: Platform, period: Period, column: bool) -> None:
    client, project = platform.client, platform.settings.project
    name = f"by-{period}" + ("-column" if column else "")
    today = datetime.now(UTC).date()
    keys = previous(key_of(today, period), 4, period)
    rows = {key: ads(key, period) for key in keys}
    if column:
        write(project / "data" / f"{name}.jsonl", [row for key in keys for row in rows[key]])
        source, more = f"data/{name}.jsonl", f"period: {period}, date_column: posted"
    else:
        for key in keys:
            write(project / "data" / name / f"{key}.jsonl", rows[key])
        source, more = f"data/{name}/{{partition}}.jsonl", f"period: {period}"
    start = parse_key(keys[0], period)
    (platform.settings.experiments / f"{name}.yaml").write_text(spec(name, source, more, start.isoformat()))

    # A dropped spec runs: the newest partition that is over, at once, in both of its DAGs.
    first = {}
    for dag_id in (name, f"{name}.evaluations"):
        wait_for(f"the DAG {dag_id}", lambda dag_id=dag_id: client.dag(dag_id))
        (first[dag_id],) = wait_for("its first run", lambda dag_id=dag_id: client.runs(dag_id))
        assert (first[dag_id]["run_type"], first[dag_id]["partition_key"]) == ("scheduled", keys[-1])
        after = wait_for("the next one", lambda dag_id=dag_id: (client.dag(dag_id) or {})["next_dagrun_run_after"])
        assert after.startswith(period_end(key_of(today, period), period).isoformat()), "when this one is over"

    # The three partitions before it are filled by a backfill.
    scores = f"{name}.evaluations"
    assert client.backfill(scores, start.isoformat(), parse_key(keys[2], period).isoformat(), max_active_runs=3)

    def backfilled() -> list[dict[str, Any]]:
        found = [run for run in client.runs(scores) if run["run_type"] == "backfill"]
        return found if len(found) == 3 else []

    runs = wait_for("the backfill's runs", backfilled)
    assert sorted(run["partition_key"] for run in runs) == keys[:3]
    catalog = Catalog.open(platform.settings.catalog_url)
    for run in runs:
        assert platform.finish(scores, run["dag_run_id"])["state"] == "success", run
        row = catalog.get_run(scores, run["dag_run_id"])
        assert row is not None and (row.partition, row.trigger) == (run["partition_key"], "backfill")

    run = platform.finish(name, first[name]["dag_run_id"])
    assert run["state"] == "success", run["note"]
    row = catalog.get_run(name, run["dag_run_id"])
    assert row is not None and row.partition == keys[-1] and row.options["window"] == [keys[2]]
    assert platform.states(name, run["dag_run_id"])["wait_for_data"] == "success"

    # By hand, with the key of a partition; and with what is none.
    client.trigger(scores, run_id="by-hand", partition=keys[1])
    assert platform.finish(scores, "by-hand")["state"] == "success"
    row = catalog.get_run(scores, "by-hand")
    assert row is not None and row.partition == keys[1]
    with pytest.raises(AirflowError, match="4[0-9][0-9] .*no-key"):
        client.trigger(scores, partition="no-key")
