"""compose.yaml's parts at work together, each with the settings that the containers get."""

from __future__ import annotations

import httpx
import pytest

from skillsengine.airflow.ui.links import PREFIX
from skillsengine.storage.catalog import Catalog
from tests.e2e.cluster.running import Running, adapter_files

pytestmark = pytest.mark.nightly

ON_THE_GPU = {"finetune", "evaluate", "gate", "promote"}
"""The last two may have to score a version."""
CHAIN = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote", "report")


def test_a_dropped_spec_runs_where_it_should_and_makes_what_it_makes_alone(running: Running) -> None:
    running.drop("dropped")
    run_id = running.client.trigger("dropped")
    run = running.platform.finish("dropped", run_id, 1800)
    assert running.platform.states("dropped", run_id) == dict.fromkeys(CHAIN, "success")
    places = running.places("dropped", run_id)
    assert places == {task: {"gpu-worker" if task in ON_THE_GPU else "default-worker"} for task in CHAIN}
    assert str(run["note"]).startswith("dropped@1 · 2026-03 · F1: adapter "), "a worker may write it"
    assert any("step" in line for line in running.client.task_log("dropped", run_id, "finetune", 1))
    (version,), alone = running.versions("dropped"), running.run_alone("dropped")
    assert running.settings.catalog_url.startswith("postgresql+psycopg://")
    assert running.settings.store == "s3://skillsengine/store"
    other = Catalog.open(alone.catalog_url).resolve("dropped", "latest")
    assert (version.adapter_digest, version.artifact_digest) == (other.adapter_digest, other.artifact_digest)
    files = adapter_files(running.settings, version.adapter_digest)
    assert files and files == adapter_files(alone, other.adapter_digest)
    pages_ask_who_it_is(running)


def pages_ask_who_it_is(running: Running) -> None:
    """The Experiments pages read the catalog, for those who have logged in."""
    page = f"{running.cluster.url}{PREFIX}/experiments/dropped"
    password = (running.cluster.secrets / "admin_password").read_text(encoding="utf-8")
    login = {"username": "admin", "password": password}
    token = httpx.post(f"{running.cluster.url}/auth/token", json=login, trust_env=False, timeout=120).json()[
        "access_token"
    ]
    seen = httpx.get(page, cookies={"_token": token}, trust_env=False, timeout=120)
    assert seen.status_code == 200 and "dropped@1" in seen.text
    assert httpx.get(page, trust_env=False, timeout=120).status_code == 401
    assert httpx.get(f"{running.cluster.url}/api/v2/dags", trust_env=False, timeout=120).status_code == 401
    wrong = httpx.post(
        f"{running.cluster.url}/auth/token", json=login | {"password": "admin"}, trust_env=False, timeout=120
    )
    assert wrong.status_code == 401, "no default password"
