"""Where Airflow's UI is, for the links in messages."""

from __future__ import annotations

import os

from airflow.sdk.configuration import conf

from skillsengine.settings import without_login


def airflow_address() -> str | None:
    """`SKILLSENGINE_AIRFLOW_URL`, else Airflow's own `[api] base_url`, else None: a link to nowhere is worse than none."""
    named = os.environ.get("SKILLSENGINE_AIRFLOW_URL") or conf.get("api", "base_url", fallback=None)
    return without_login(named) if named else None
