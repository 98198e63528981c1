"""What a DAG run asks for."""

from __future__ import annotations

from typing import Any

import pytest

from skillsengine.airflow.request import Kind, Request, RequestError, read_request
from skillsengine.spec.schema import Experiment
from tests.airflow.support import make_context

EXPERIMENT = Experiment.model_validate(
    {"name": "tiny", "start_date": "2026-02-10", "data": {"source": "ads/{partition}.jsonl"}}
)


def read(kind: Kind = "retrain", **context: Any) -> Request:
    return read_request(make_context(**context), EXPERIMENT, kind)


def test_a_plain_trigger() -> None:
    assert read() == Request("tiny", "manual__1", "manual")


def test_a_full_form() -> None:
    request = read(params={"partition": "2026-06", "limit": 5, "force": True, "versions": ["7", "latest"]})
    assert (request.partition, request.limit, request.force, request.versions) == ("2026-06", 5, True, ("7", "latest"))


@pytest.mark.parametrize(
    ("run_type", "trigger"),
    [
        ("scheduled", "scheduled"),
        ("backfill", "backfill"),
        ("manual", "manual"),
        ("operator_triggered", "manual"),
        ("asset_triggered", "asset"),
        ("asset_materialization", "asset"),
    ],
)
def test_who_started_it(run_type: str, trigger: str) -> None:
    assert read(run_type=run_type).trigger == trigger


def test_every_kind_of_run_that_airflow_knows_is_mapped() -> None:
    from airflow.utils.types import DagRunType

    assert {str(kind.value) for kind in DagRunType} == {
        "scheduled",
        "backfill",
        "manual",
        "operator_triggered",
        "asset_triggered",
        "asset_materialization",
    }


def test_the_key_of_the_run_and_the_param() -> None:
    assert read(key="2026-05").partition == "2026-05"
    assert read(key="2026-05", params={"partition": "2026-05"}).partition == "2026-05"
    with pytest.raises(RequestError, match="the run is for 2026-05, its param says 2026-06"):
        read(key="2026-05", params={"partition": "2026-06"})


def test_unknown_keys_of_conf_are_refused() -> None:
    with pytest.raises(RequestError) as caught:
        read(conf={"limits": 5})
    assert str(caught.value) == (
        "conf: unknown key `limits`; did you mean `limit`? This DAG understands partition (a month such as 2026-06), "
        "limit (a whole number above 0), force (true or false). Everything else stands in the spec: edit the YAML "
        "file, or use `skillsengine run SPEC --set a.b=c`."
    )


def test_each_dag_understands_its_own_form() -> None:
    assert read("evaluations", conf={"versions": ["7"]}, params={"versions": ["7"]}).versions == ("7",)
    with pytest.raises(RequestError, match=r"unknown key `force`; This DAG understands partition .*, versions\."):
        read("evaluations", conf={"force": True})
    with pytest.raises(RequestError, match="unknown key `versions`"):
        read(conf={"versions": ["7"]})


def test_a_backfill_does_not_reach_before_the_start_date() -> None:
    assert read(run_type="backfill", key="2026-02").partition == "2026-02"
    with pytest.raises(RequestError, match="2026-01 is before start_date 2026-02-10 of `tiny`"):
        read(run_type="backfill", key="2026-01")
    assert read(key="2026-01").partition == "2026-01", "by hand it may"
