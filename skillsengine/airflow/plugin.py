"""What Airflow has to know of us by name. An installed package is found by its entry point in the group `airflow.plugins`."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from skillsengine.airflow.periods import PeriodTimetable

_MOUNT = "skillsengine"


class SkillsenginePlugin(AirflowPlugin):  # type: ignore[misc]  # airflow ships no types
    """Registers the timetable of weeks and quarters, which the scheduler and the API server read back from the database, and
    the Experiments pages."""

    name = "skillsengine"
    timetables: ClassVar[list[type]] = [PeriodTimetable]
    # Without a slash in front: Airflow's page resolves addresses by its base path.
    external_views: ClassVar[list[dict[str, Any]]] = [
        {
            "name": "Experiments",
            "href": f"{_MOUNT}/experiments",
            "destination": "nav",
            "url_route": "experiments",
            "nav_top_level": True,
            "icon": f"{_MOUNT}/static/experiments.svg",
            "icon_dark_mode": f"{_MOUNT}/static/experiments-dark.svg",
        },
        {
            "name": "Experiment",
            "href": f"{_MOUNT}/dags/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "experiment",
            "icon": f"{_MOUNT}/static/experiments.svg",
            "icon_dark_mode": f"{_MOUNT}/static/experiments-dark.svg",
        },
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """Made where it is asked for, in the API server alone: schedulers and tasks load this plugin too."""
        from skillsengine.airflow.ui.app import make_app

        return [{"app": make_app(), "url_prefix": f"/{_MOUNT}", "name": "skillsengine"}]
