"""Where Airflow's UI is, for the links in messages."""

from __future__ import annotations

from airflow.sdk.configuration import conf

from skillsengine.settings import read_variables, without_login


def airflow_address() -> str | None:
    """`SKILLSENGINE_AIRFLOW_URL`, else Airflow's own `[api] base_url`, else None: a link to nowhere is worse than none.

    Raises SettingsError for an installation that is set up wrongly.
    """
    named = read_variables().airflow_url or conf.get("api", "base_url", fallback=None)
    return without_login(named) if named else None
