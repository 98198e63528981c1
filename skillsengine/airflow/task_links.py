"""Links on a task's page in Airflow: to what it has made, on our pages and in W&B.

Airflow asks for them in the task's own process once the task is over, and keeps the addresses; a link without one is not shown.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

VERSION, REPORT, TRACKED = "Version", "Report", "Weights & Biases"


class MadeLink(BaseOperatorLink):  # type: ignore[misc]  # airflow ships no types
    """A link whose address the task leaves in its attribute `made`, a mapping from the link's name."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        made: dict[str, str] = operator.made
        return made.get(self.name, "")


class VersionLink(MadeLink):
    """To the version on the experiment's page."""

    name = VERSION


class ReportLink(MadeLink):
    """To the version's report in the store."""

    name = REPORT


class TrackedLink(MadeLink):
    """To the stage's run in W&B, where it is reported online."""

    name = TRACKED


ALL: tuple[MadeLink, ...] = (VersionLink(), ReportLink(), TrackedLink())


def version_links(experiment: str, number: int, *, report: bool = False) -> dict[str, str]:
    """Addresses of our pages, by the link's name: paths on whatever host the browser knows Airflow by."""
    # Late: a DAG file that is parsed needs no pages.
    from skillsengine.airflow.ui.links import PREFIX, Links

    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    links = Links(f"{base}{PREFIX}", base)
    made = {VERSION: f"{links.experiment(experiment)}?version={number}#version"}
    return made | ({REPORT: links.report(experiment, number)} if report else {})
