"""Who goes first and who waits, under the real Airflow: `resources.priority`, `skillsengine pause` and `unpause`."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import httpx
import pytest

from tests.e2e.conftest import SPEC, Platform, wait_for

pytestmark = pytest.mark.nightly

TRAIN = next(line for line in SPEC.splitlines(keepends=True) if line.startswith("train:"))
LONG = "train: {{epochs: 400, per_device_batch_size: 4, learning_rate: 0.001, checkpoint_steps: 100000}}\n"
"""A training of some twenty seconds, on a free machine."""


def command(platform: Platform, *words: str) -> str:
    """What `skillsengine WORDS` prints to somebody in the project's folder."""
    done = subprocess.run(
        [sys.executable, "-m", "skillsengine", *words],
        cwd=platform.settings.project,
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def drop(platform: Platform, name: str, text: str) -> None:
    (platform.settings.experiments / f"{name}.yaml").write_text(text, encoding="utf-8")
    wait_for(f"the DAG {name}", lambda: platform.client.dag(name))


def begun(platform: Platform, name: str, task: str) -> str | None:
    """When a task of the only run of `name` began."""
    (run,) = platform.client.runs(name)
    found = {t["task_id"]: t["start_date"] for t in platform.client.task_instances(name, run["dag_run_id"])}
    return found[task]


def test_what_runs_finishes_and_the_rest_waits(platform: Platform) -> None:
    drop(platform, "held-up", SPEC.replace(TRAIN, LONG).format(name="held-up"))
    run_id = platform.client.trigger("held-up")
    wait_for("its training", lambda: platform.states("held-up", run_id)["finetune"] == "running", 300)
    said = command(platform, "pause", "held-up")
    assert platform.states("held-up", run_id)["finetune"] == "running", "it was paused in mid-training"
    assert said == (
        "paused held-up\npaused held-up.evaluations\n"
        "Tasks that run now run to their end; what comes after them waits. To let them go on:\n"
        "  skillsengine unpause held-up\n"
    )
    wait_for("the training's end", lambda: platform.states("held-up", run_id)["finetune"] == "success", 600)
    later = platform.client.trigger("held-up", run_id="later")
    until = time.monotonic() + 10
    while time.monotonic() < until:
        assert platform.states("held-up", run_id)["evaluate"] is None, "nothing new begins"
        assert not any(platform.states("held-up", later).values())
        time.sleep(1)
    run = platform.client.run("held-up", run_id)
    assert run is not None and run["state"] == "running"

    assert command(platform, "unpause", "held-up").startswith("unpaused held-up\nunpaused held-up.evaluations\n")
    assert platform.finish("held-up", run_id)["state"] == "success"
    assert platform.finish("held-up", later)["state"] == "success"


def test_a_higher_priority_goes_first_where_slots_are_few(platform: Platform) -> None:
    """Both wait for the only slot of a pool, the unimportant one longer."""
    token = httpx.get(f"{platform.client.url}/auth/token", trust_env=False).json()["access_token"]

    def pool(method: str, path: str, slots: int) -> None:
        body = {"pool" if method == "PATCH" else "name": "few", "slots": slots, "include_deferred": False}
        url, headers = f"{platform.client.url}/api/v2/{path}", {"Authorization": f"Bearer {token}"}
        assert httpx.request(method, url, json=body, headers=headers, trust_env=False).is_success

    pool("POST", "pools", 0)
    for name, priority in (("can-wait", 1), ("urgent", 2)):
        text = SPEC.format(name=name).replace("device: cpu", f"device: cpu, pool: few, priority: {priority}")
        drop(platform, name, text)
        platform.client.trigger(name, conf={"limit": 4})
        run_id = platform.client.runs(name)[0]["dag_run_id"]
        wait_for("its first task", lambda: platform.states(name, run_id)["format"] == "scheduled")  # noqa: B023
    pool("PATCH", "pools/few", 1)
    wait_for("the unimportant one", lambda: begun(platform, "can-wait", "format"), 600)
    urgent = begun(platform, "urgent", "format")
    assert urgent is not None and urgent < str(begun(platform, "can-wait", "format"))
    for name in ("urgent", "can-wait"):
        assert platform.finish(name, platform.client.runs(name)[0]["dag_run_id"])["state"] == "success"
