"""`doctor` beside a real Airflow: what is broken on purpose is found, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.doctor.airflow_server import silent
from tests.e2e.conftest import Platform, wait_for

pytestmark = pytest.mark.nightly


def _doctor(platform: Platform, *words: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    """Exit code, and (level, subject) -> finding."""
    command = [sys.executable, "-m", "skillsengine", "doctor", "--json", *words]
    done = subprocess.run(command, cwd=platform.settings.project, env=os.environ, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, {(found["level"], found["subject"]): found for found in json.loads(done.stdout)}


def test_what_is_wrong_with_airflow_and_specs_is_found(platform: Platform) -> None:
    specs = platform.settings.experiments
    for name in ("doctored", "doctor-paused", "doctor-gone"):
        platform.add(name)
    code, found = _doctor(platform, *(str(specs / f"{name}.yaml") for name in ("doctored", "doctor-paused")))
    assert code == 0, found
    assert found["ok", "DAGs"]["text"] == "doctor-paused, doctored: shown, and not paused"
    assert found["ok", "pools"]["text"].startswith("default_pool (")
    assert found["ok", "queues"]["text"].startswith("gpu: the scheduler itself runs the tasks of every queue")

    (specs / "doctor-gone.yaml").unlink()
    platform.client.set_paused("doctor-paused", True)
    text = (
        platform.write("doctored").read_text(encoding="utf-8").replace("retry_delay: 1s", "retry_delay: 1s, pool: none")
    )
    (specs / "doctored.yaml").write_text(text, encoding="utf-8")
    (specs / "doctor-broken.yaml").write_text("name: doctor-broken\nschedul: none\n", encoding="utf-8")
    wait_for("the error", lambda: any("doctor-broken" in e["filename"] for e in platform.client.import_errors()))
    wait_for("the end", lambda: (platform.client.dag("doctor-gone") or {}).get("is_stale"))
    wait_for("the edit", lambda: "pool: none" in platform.client.source("doctored"))

    def settled() -> dict[tuple[str, str], dict[str, Any]] | None:
        code, found = _doctor(platform)
        assert code == 1
        return None if "another state" in found.get(("warning", "DAGs"), {}).get("text", "") else found

    found = wait_for("the DAG of the edit", settled)
    assert found["problem", "pool none"]["text"] == ("Airflow has no such pool: tasks of doctored are never started")
    assert (
        "experiments/doctor-broken.yaml:2:1: schedul: unknown key"
        in found["problem", "spec doctor-broken.yaml"]["text"]
    )
    assert found["warning", "DAGs"]["text"].startswith("doctor-paused: paused in Airflow, and the spec does not say so")
    assert found["warning", "DAGs"]["mend"] == "skillsengine unpause doctor-paused"
    assert "doctor-gone" in found["ok", "DAGs without a spec"]["text"]

    for name in ("doctored", "doctor-broken", "doctor-paused"):
        (specs / f"{name}.yaml").unlink()


def test_it_ends_where_nothing_answers(platform: Platform) -> None:
    """Every server that the spec needs accepts and never answers."""
    path = platform.write("doctor-far", "")
    text = path.read_text(encoding="utf-8").replace('"data/ads/{partition}.jsonl"', '"s3://bucket/{partition}.jsonl"')
    path.write_text(text.replace("model: base", "model: org/tiny"), encoding="utf-8")
    try:
        with silent() as url:
            names = ("SKILLSENGINE_AIRFLOW_URL", "AWS_ENDPOINT_URL", "HF_ENDPOINT", "WANDB_BASE_URL")
            keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "WANDB_API_KEY")
            env = os.environ | dict.fromkeys(names, url) | dict.fromkeys(keys, "x" * 40) | {"HF_HUB_OFFLINE": "0"}
            done = subprocess.run(
                [sys.executable, "-m", "skillsengine", "doctor", str(path)],
                cwd=platform.settings.project, env=env, capture_output=True, text=True, timeout=300,
            )  # fmt: skip
    finally:
        path.unlink()
    assert done.returncode == 1, done.stderr
    assert f"  problem  Airflow  Airflow at {url}: no answer (timed out)" in done.stdout
    assert "  problem  data of doctor-far  s3://bucket/{partition}.jsonl: no answer within 30 s" in done.stdout
    assert "  problem  base org/tiny  no answer within 30 s" in done.stdout
