"""Addresses: of our pages, and of Airflow's. All are paths on the same host, below the base path of Airflow, if it has one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Self
from urllib.parse import quote

from starlette.requests import Request

from skillsengine import reporting

PREFIX = "/skillsengine"
"""Where Airflow mounts the application."""
STATIC = Path(__file__).parent / "static"
FIGURES = Path(reporting.__file__).parent / "static"
"""What draws figures, on these pages and in reports alike."""


@dataclass(frozen=True)
class Links:
    """`pages` is the path that ours begin with, `airflow` the one of Airflow's; neither ends with a slash."""

    pages: str
    airflow: str

    @classmethod
    def of(cls, request: Request) -> Self:
        pages = str(request.scope.get("root_path", "")).rstrip("/")
        return cls(pages, pages.removesuffix(PREFIX))

    @property
    def experiments(self) -> str:
        return f"{self.pages}/experiments"

    def experiment(self, name: str) -> str:
        return f"{self.pages}/experiments/{_part(name)}"

    def matrix(self, name: str) -> str:
        return f"{self.experiment(name)}/matrix"

    def compare(self, name: str) -> str:
        return f"{self.experiment(name)}/compare"

    def errors(self, name: str) -> str:
        return f"{self.experiment(name)}/errors"

    def try_it(self, name: str) -> str:
        return f"{self.experiment(name)}/try"

    def report(self, name: str, number: int) -> str:
        """The version's report, as it stands in the store."""
        return f"{self.experiment(name)}/report?version={number}"

    def dag(self, dag_id: str) -> str:
        return f"{self.airflow}/dags/{_part(dag_id)}"

    def run(self, dag_id: str, run_id: str) -> str:
        return f"{self.dag(dag_id)}/runs/{_part(run_id)}"

    def task(self, dag_id: str, run_id: str, task_id: str) -> str:
        return f"{self.run(dag_id, run_id)}/tasks/{_part(task_id)}"

    def static(self, name: str) -> str:
        """With a mark of its content, so that a browser may keep it for good."""
        return f"{self.pages}/static/{name}?v={_mark(STATIC / name)}"

    def figures(self, name: str) -> str:
        """The same of the files that draw figures."""
        return f"{self.pages}/figures/{name}?v={_mark(FIGURES / name)}"


def _part(text: str) -> str:
    return quote(text, safe="")


@cache
def _mark(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()[:12]
