"""A run with values of its own under the real Airflow: what is taken, what is refused, what it says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from skillsengine.airflow.client import AirflowError
from skillsengine.storage.catalog import Catalog
from tests.e2e.conftest import Platform, wait_for

pytestmark = pytest.mark.nightly


def adapter_digest(platform: Platform, dag_id: str, run_id: str) -> str:
    return str(platform.client.xcom(dag_id, run_id, "finetune")["steps"][0]["digest"])


def backfill_march(platform: Platform, dag_id: str, conf: dict[str, Any]) -> None:
    days = {"from_date": "2026-03-01T00:00:00Z", "to_date": "2026-03-31T00:00:00Z"}
    body = {"dag_id": dag_id, **days, "max_active_runs": 1, "dag_run_conf": conf}
    platform.client._json("POST", "/api/v2/backfills", body)


def test_an_override_is_for_one_run_and_makes_another_adapter(platform: Platform) -> None:
    platform.add("other")
    client, catalog = platform.client, Catalog.open(platform.settings.catalog_url)
    conf: dict[str, dict[str, Any]] = {
        "plain": {"train.epochs": 1, "evaluate.max_rows": None},
        "override": {"train.epochs": 0.5, "tokens.max_length": 128, "lora.r": 2},
    }
    for run_id, given in conf.items():
        client.trigger("other", run_id=run_id, conf=given)
        run = platform.finish("other", run_id)
        row = catalog.get_run("other", run_id)
        assert run["state"] == "success" and row is not None and run["note"] == row.note
        told = "lora.r: 4 -> 2, tokens.max_length: auto -> 128, train.epochs: 1.0 -> 0.5"
        found = (row.spec["train"]["epochs"], row.spec["tokens"]["max_length"], row.spec["lora"]["r"])
        if run_id == "plain":
            assert found == (1.0, "auto", 4) and "overridden" not in run["note"], "what equals the spec is no override"
        else:
            assert found == (0.5, 128, 2)
            assert sorted(run["note"].partition(" · overridden: ")[2].split(", ")) == told.split(", ")
            said = client.task_log("other", run_id, "format", 1)
            assert any("overridden for this run: train.epochs: 1.0 -> 0.5" in line for line in said)
    assert adapter_digest(platform, "other", "plain") != adapter_digest(platform, "other", "override")
    assert catalog.resolve("other", "2").spec["train"]["epochs"] == 0.5


def test_what_the_schema_refuses_starts_no_run_and_what_the_spec_refuses_ends_one(platform: Platform) -> None:
    platform.add("refused")
    client = platform.client
    for conf, text in (
        (
            {"train.epochs": 0},
            "400 Invalid input for param train.epochs: 0 is less than or equal to the minimum of 0.0",
        ),
        ({"base.quantization": "nf3"}, r"400 Invalid input for param base.quantization: 'nf3' is not one of \['nf4', "),
        ({"tokens.max_length": 8}, "400 Invalid input for param tokens.max_length: 8 is less than the minimum of 16"),
    ):
        with pytest.raises(AirflowError, match=text):
            client.trigger("refused", conf=conf)
    assert client.runs("refused") == []
    # To JSON's schemas 8.0 is an integer, to a spec it is none.
    for run_id, conf, text in (
        ("fraction", {"lora.r": 8.0}, "conf: lora.r: expected an int >= 1 and <= 1024, found 8.0\n"),
        ("typo", {"train.epoch": 1}, "conf: unknown key `train.epoch`; did you mean `train.epochs`? "),
        ("nested", {"train": {"epochs": 1}}, "conf: unknown key `train`; did you mean `train.epochs`? "),
    ):
        client.trigger("refused", run_id=run_id, conf=conf)
        run = platform.finish("refused", run_id)
        assert run["state"] == "failed" and run["note"].startswith(f"failed: format: {text}"), run["note"]
        (task,) = [task for task in client.task_instances("refused", run_id) if task["task_id"] == "format"]
        assert task["try_number"] == 1, "no retry heals it"
        assert text.strip() in "\n".join(client.task_log("refused", run_id, "format", 1))


def test_a_backfill_takes_overrides_and_never_promotes(platform: Platform) -> None:
    path = platform.write("filled", "paused: false\n")
    text = path.read_text().replace("schedule: none\n", "schedule: partition\nstart_date: 2026-02-01\n")
    path.write_text(text.replace("window: 2", "window: 2, wait: 1s"))
    wait_for("its DAG", lambda: platform.client.dag("filled"))
    client, catalog = platform.client, Catalog.open(platform.settings.catalog_url)
    with pytest.raises(AirflowError, match="Invalid input for param train.epochs: 0 is less"):
        backfill_march(platform, "filled", {"train.epochs": 0})
    backfill_march(platform, "filled", {"train.epochs": 0.5})
    (run,) = wait_for("its run", lambda: [run for run in client.runs("filled") if run["run_type"] == "backfill"])
    run = platform.finish("filled", run["dag_run_id"])
    assert run["note"].endswith(" · overridden: train.epochs: 1.0 -> 0.5"), run["note"]
    assert catalog.alias("filled", "champion") is None and catalog.alias("filled", "latest") == 1
    (scheduled,) = [run for run in client.runs("filled") if run["run_type"] == "scheduled"]
    assert "overridden" not in str(platform.finish("filled", scheduled["dag_run_id"])["note"])
