"""SQLite has one writer at a time: what the embedded Airflow does while somebody else is it."""

from __future__ import annotations

import sqlite3
import time

import httpx
import pytest

from tests.e2e.conftest import Platform

pytestmark = pytest.mark.nightly


def test_the_api_answers_soon_that_the_database_is_locked(platform: Platform) -> None:
    """It writes its audit log in its event loop. Had it all the patience of the other parts, a request that holds the lock and
    needs that loop to let it go would stop the whole of Airflow for a minute."""
    platform.add("locked-out")
    url = platform.client.url
    token = httpx.get(f"{url}/auth/token", trust_env=False).json()["access_token"]
    writer = sqlite3.connect(platform.settings.home / "airflow" / "airflow.db", timeout=60, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        started = time.monotonic()
        answer = httpx.post(
            f"{url}/api/v2/dags/locked-out/dagRuns",
            json={"dag_run_id": "refused", "logical_date": None, "conf": {"limit": 4}},
            headers={"Authorization": f"Bearer {token}"},
            timeout=50,
            trust_env=False,
        )
        took = time.monotonic() - started
    finally:
        writer.execute("ROLLBACK")
        writer.close()
    assert answer.status_code in (500, 503), answer.text
    assert took < 30, "our own clients, and the tasks, wait for an answer as long as that"
    run_id = platform.client.trigger("locked-out", conf={"limit": 4})
    assert platform.finish("locked-out", run_id)["state"] == "success"
