"""A run whose ads lie in S3, from the plan to the lineage; and how much memory a large object takes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.pipeline.lineage import Node, ReadFile, trace
from skillsengine.pipeline.plan import find_sources
from skillsengine.pipeline.run import Run, finish_run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.sources.errors import SourceError
from skillsengine.spec.schema import STAGES, Experiment
from skillsengine.stages.contract import StageError
from skillsengine.storage.catalog import Catalog
from tests.pipeline.project import make_project, tiny_experiment, write_month
from tests.sources.servers import S3, Place

MONTHS = ("2026-01", "2026-02", "2026-03")


@pytest.fixture
def settings(s3: S3, tmp_path: Path) -> Settings:
    """A project without data, whose ads are in the bucket."""
    settings = make_project(tmp_path / "project", months=())
    for key in MONTHS:
        write_month(tmp_path / f"{key}.jsonl", key)
        s3.put(f"jobs/{key}.jsonl", (tmp_path / f"{key}.jsonl").read_bytes())
    return settings


def experiment(**data: object) -> Experiment:
    return tiny_experiment(data={"source": "s3://ads/jobs/{partition}.jsonl", "window": 2, **data})


def opened(settings: Settings, run_id: str) -> Run:
    return open_run(experiment(), dag_id="tiny", run_id=run_id, settings=settings)


def read_files(node: Node) -> set[ReadFile]:
    return {*node.files, *(file for inner in node.inputs for file in read_files(inner))}


def test_the_lineage_of_a_version_names_the_objects_it_was_made_of(s3: S3, settings: Settings) -> None:
    run = opened(settings, "first")
    for stage in STAGES:
        run_stage(run, stage)
    finish_run(run, "success")
    found = trace(run.catalog.resolve("tiny", "latest"), run.store, run.catalog)
    bodies = {key: s3.client.get_object(Bucket="ads", Key=f"jobs/{key}.jsonl")["Body"].read() for key in MONTHS}
    trained_on = {(file.where, file.sha256) for file in read_files(found.root)}
    assert trained_on == {(f"s3://ads/jobs/{key}.jsonl", hashlib.sha256(bodies[key]).hexdigest()) for key in MONTHS[:2]}
    row = run.catalog.get_run("tiny", "first")
    assert row is not None
    for key, body in bodies.items():
        (pinned,) = row.options["files"][key]
        assert pinned == {
            "uri": f"s3://ads/jobs/{key}.jsonl",
            "sha256": hashlib.sha256(body).hexdigest(),
            "size": len(body),
            "identity": f"{s3.etag(f'jobs/{key}.jsonl')}:{len(body)}",
        }
    # The same again: not a byte of the ads is read.
    s3.front.forget()
    again = opened(settings, "again")
    for stage in ("format", "profile", "finetune"):
        assert all(step["cached"] for step in run_stage(again, stage)["steps"])
    assert s3.front.bytes_of(".jsonl") == 0


def test_an_object_that_is_replaced_after_the_plan_fails_the_stage(s3: S3, settings: Settings, tmp_path: Path) -> None:
    run = opened(settings, "first")
    write_month(tmp_path / "other.jsonl", "2026-02", salt=3)
    s3.put("jobs/2026-02.jsonl", (tmp_path / "other.jsonl").read_bytes())
    with pytest.raises(StageError) as caught:
        run_stage(run, "format")
    assert "s3://ads/jobs/2026-02.jsonl: the object has changed since it was found (now " in str(caught.value)
    s3.remove("jobs/2026-02.jsonl")
    with pytest.raises(StageError, match="the object is not there any more; it was there when the plan was made"):
        run_stage(run, "format")


def test_the_keys_of_a_run_are_not_kept(s3: S3, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = s3.demand_keys("s3:ListBucket", "s3:GetObject")
    fields = {"conn_type": "aws", "login": key, "password": secret}
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(fields))
    spec = experiment(connection="store")
    run = open_run(spec, dag_id="tiny", run_id="first", settings=settings)
    run_stage(run, "format")
    kept = [path for path in settings.home.rglob("*") if path.is_file()]
    assert kept
    for path in kept:
        body = path.read_bytes()
        assert secret.encode() not in body, path
        assert key.encode() not in body, path
    row = run.catalog.get_run("tiny", "first")
    assert row is not None
    assert row.options["files"]["2026-03"][0]["connection"] == "store"


def test_a_run_without_data_for_its_partition(s3: S3, settings: Settings) -> None:
    with pytest.raises(
        Exception, match=r"no data for 2021-03 at s3://ads/jobs/2021-03\.jsonl \(there is data for 2026-01 to"
    ):
        find_sources(experiment(), "2021-03", settings, memory=Catalog.open(settings.catalog_url))
    s3.bucket = "none"
    with pytest.raises(SourceError, match="there is no bucket `none`"):
        find_sources(experiment(source="s3://none/{partition}.jsonl"), None, settings)


def test_who_waits_for_data_sees_it_when_it_comes(s3: S3, settings: Settings) -> None:
    """What `wait_for_data` asks at each look."""
    from skillsengine.airflow.work import partitions_there

    assert partitions_there(experiment(), settings) == [*MONTHS]
    s3.put("jobs/2026-04.jsonl", "{}\n")
    assert partitions_there(experiment(), settings) == [*MONTHS, "2026-04"]
    assert s3.front.bytes_of("2026-04.jsonl") == 0
    s3.put("dated/a.csv", "id,posted\n1,2026-01-05\n")
    dated = experiment(source="s3://ads/dated/*.csv", date_column="posted")
    assert partitions_there(dated, settings) == ["2026-01"]
    s3.put("dated/b.csv", "id,posted\n1,2026-02-05\n")
    s3.front.forget()
    assert partitions_there(dated, settings) == ["2026-01", "2026-02"]
    assert s3.front.bytes_of("dated/a.csv") == 0


READER = """
import sys, tracemalloc
from pathlib import Path
import s3fs, gcsfs.core
from skillsengine.sources.find import Source
from skillsengine.sources.connection import environment_connect
from skillsengine.sources.opening import open_source
from skillsengine.sources.reading.formats import read_rows
from skillsengine.spec.schema import Data
tracemalloc.start()
(file,) = Source(Data(source=sys.argv[1]), Path("/"), ()).files(None)
with open_source(file, environment_connect) as stream:
    count = sum(1 for _ in read_rows(file, stream))
dated = Source(Data(source=sys.argv[1], date_column="posted"), Path("/"), ()).partitions()
print(count, dated[0], tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.nightly
@pytest.mark.parametrize("store", ["s3", "gs"])
def test_a_large_object_is_streamed(store: str, request: pytest.FixtureRequest) -> None:
    """50 MB are hashed, read and cut by date in less than 40 MB."""
    row = json.dumps({"id": "1", "posted": "2026-01-05", "job_description": "x" * 930}) + "\n"
    count = 50_000
    bucket: Place = request.getfixturevalue(store)
    bucket.put("large.jsonl", row * count)
    found = subprocess.run(
        [sys.executable, "-c", READER, bucket.address("large.jsonl")],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    rows, first, peak = found.stdout.split()
    assert (int(rows), first) == (count, "2026-01")
    assert len(row) * count > 49_000_000
    assert int(peak) < 40_000_000
