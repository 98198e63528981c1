"""What Airflow has to know of us by name. An installed package is found by its entry point in the group `airflow.plugins`."""

from __future__ import annotations

from typing import ClassVar

from airflow.plugins_manager import AirflowPlugin

from skillsengine.airflow.periods import PeriodTimetable


class SkillsenginePlugin(AirflowPlugin):  # type: ignore[misc]  # airflow ships no types
    """Registers the timetable of weeks and quarters, which the scheduler and the API server read back from the database."""

    name = "skillsengine"
    timetables: ClassVar[list[type]] = [PeriodTimetable]
