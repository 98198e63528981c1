"""What a DAG run asks for."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.exceptions import ParamValidationError

from skillsengine.airflow.form import Kind
from skillsengine.airflow.request import Request, RequestError, evaluation_params, read_request, retrain_params
from skillsengine.sources.errors import SourceError
from skillsengine.spec.schema import Experiment
from tests.airflow.support import make_context

EXPERIMENT = Experiment.model_validate(
    {"name": "tiny", "start_date": "2026-02-10", "data": {"source": "ads/{partition}.jsonl"}}
)


def read(kind: Kind = "retrain", **context: Any) -> Request:
    return read_request(make_context(**context), EXPERIMENT, kind)


def test_a_plain_trigger() -> None:
    assert read() == Request("tiny", "manual__1", "manual")


def test_a_value_of_the_spec_is_an_override_where_it_differs() -> None:
    """The form's page sends all of its values, changed or not."""
    form = {path: param.value for path, param in retrain_params(EXPERIMENT).items()}
    assert read(params=form).overrides == {}
    # JavaScript writes 3.0 as 3.
    assert read(params=form | {"train.epochs": 3}).overrides == {}
    changed = {"train.epochs": 1, "tokens.max_length": 128, "evaluate.max_rows": 10, "lora.dropout": 0.5}
    assert read(params=form | changed, conf=form | changed).overrides == changed
    assert read("evaluations", params=form | changed).overrides == {"evaluate.max_rows": 10}


def test_an_edit_in_mid_run_that_undates_the_source_does_not_reach_the_run() -> None:
    """The page sent all values of the dated source's form, and every later task reads them anew."""
    form = {path: param.value for path, param in retrain_params(EXPERIMENT).items()}
    undated = Experiment.model_validate({"name": "tiny", "data": {"source": "ads"}})
    assert set(form) - set(retrain_params(undated)) == {"partition", "data.window"}
    request = read_request(make_context(conf=form), undated, "retrain")
    assert (request.partition, request.overrides) == (None, {})
    assert read_request(make_context(conf={"data.window": 2}), undated, "retrain").overrides == {"data.window": 2}


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
        "limit (a whole number above 0), force (true or false), and of the spec data.window, tokens.max_length, "
        "base.quantization, lora.r, lora.alpha, lora.dropout, train.epochs, train.per_device_batch_size, "
        "train.gradient_accumulation_steps, train.learning_rate, train.seed, evaluate.max_rows. Everything else stands in the "
        "spec: edit the YAML file, or use `skillsengine run SPEC --set a.b=c`."
    )


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("epochs", "did you mean `train.epochs`? This DAG"),
        ("train.lerning_rate", "did you mean `train.learning_rate`? This DAG"),
        ("Train.Seed", "did you mean `train.seed`? This DAG"),
        ("lora", "did you mean `lora.r`? A field of a section is a key by its whole path. This DAG"),
        ("train.warmup_steps", "the form does not have this field of the spec. This DAG"),
        ("schedule", "the form does not have this field of the spec. This DAG"),
        ("zzz", "This DAG"),
        ("{{ 1 }}", "This DAG"),
    ],
)
def test_what_an_unknown_key_was_meant_to_be(key: str, said: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(conf={key: 1})
    assert str(caught.value).startswith(f"conf: unknown key `{key}`; {said} understands ")


def test_each_dag_understands_its_own_form() -> None:
    assert read("evaluations", conf={"versions": ["7"]}, params={"versions": ["7"]}).versions == ("7",)
    with pytest.raises(
        RequestError, match=r"This DAG understands partition .*, versions, cells, and of the spec evaluate\.max_rows\."
    ):
        read("evaluations", conf={"force": True})
    with pytest.raises(RequestError, match="unknown key `versions`"):
        read(conf={"versions": ["7"]})


def test_a_backfill_does_not_reach_before_the_start_date() -> None:
    assert read(run_type="backfill", key="2026-02").partition == "2026-02"
    with pytest.raises(RequestError, match="2026-01 is before start_date 2026-02-10 of `tiny`"):
        read(run_type="backfill", key="2026-01")
    assert read(key="2026-01").partition == "2026-01", "by hand it may"


def test_the_form_takes_one_partition() -> None:
    (param,) = [value for name, value in retrain_params(EXPERIMENT).items() if name == "partition"]
    assert param.resolve("2026-01") == "2026-01"
    for wrong in ("2026-01,2026-02", "2026-1", "2026-01 "):
        with pytest.raises(ParamValidationError, match=f"'{wrong}' does not match "):
            param.resolve(wrong)
    assert "such as 2026-06. One only: several are a run each, or a backfill." in str(param.description)


def test_several_keys_in_a_backfills_place() -> None:
    with pytest.raises(SourceError, match=r"start a run for each of the 2, first 2026-02, or a backfill from 2026-02"):
        read(run_type="backfill", key="2026-02,2026-03")


def test_cells_stand_in_the_place_of_a_partition() -> None:
    asked = {"cells": ["7@2026-06", "8@2026-06", "7@2026-06"]}
    request = read("evaluations", conf=asked, params=asked)
    assert request.cells == ((7, "2026-06"), (8, "2026-06")) and request.partition is None
    form = evaluation_params(EXPERIMENT)["cells"]
    assert form.resolve(["12@2026-06"]) == ["12@2026-06"]
    for wrong in (["2026-06"], ["7@2026-13"], ["champion@2026-06"], ["7@2026-06"] * 501):
        with pytest.raises(ParamValidationError):
            form.resolve(wrong)


def test_cells_and_a_partition_exclude_each_other() -> None:
    with pytest.raises(
        RequestError, match="cells and partition exclude each other: the run is for 2026-05, and its param"
    ):
        read("evaluations", params={"partition": "2026-05", "cells": ["7@2026-06"]})


def test_what_is_no_cell() -> None:
    """Airflow checks the form; a run that was triggered before an edit of the source's period is not checked again."""
    with pytest.raises(
        RequestError, match="cells: `champion@2026-06` is no cell. Write version@month, such as 7@2026-06"
    ):
        read("evaluations", params={"cells": ["champion@2026-06"]})
    with pytest.raises(SourceError, match="`2026-W01` is no partition"):
        read("evaluations", params={"cells": ["7@2026-W01"]})
