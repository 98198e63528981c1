"""Airflow's tables and auth manager without an Airflow that runs, and a browser of one of its users."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.airflow.ui.filling import AirflowTables

USERS = "ann:admin,red:viewer:red,blue:viewer:blue,rita:user:red"
"""An admin, a reader of each team, and one who may start runs of her team."""
_OPTIONS = {
    ("core", "simple_auth_manager_users"): USERS,
    ("core", "multi_team"): "True",
    ("api_auth", "jwt_secret"): "a secret of the tests that is long enough for the signature, which wants 64 bytes",
    ("api", "secret_key"): "a secret of the tests",
}


def set_up_airflow() -> list[tuple[str, str]]:
    """In the AIRFLOW_HOME of this process. Returns the (section, name) of what was set in Airflow's configuration."""
    from airflow import settings
    from airflow.api_fastapi.app import init_auth_manager, purge_cached_app
    from airflow.configuration import conf
    from airflow.models import import_all_models
    from airflow.models.base import Base
    from airflow.utils.db import synchronize_log_template

    import_all_models()
    if settings.engine is None:
        settings.configure_orm()
    Base.metadata.create_all(settings.engine)
    passwords = Path(os.environ["AIRFLOW_HOME"]) / "passwords.json"
    options = _OPTIONS | {("core", "simple_auth_manager_passwords_file"): str(passwords)}
    for (section, name), value in options.items():
        conf.set(section, name, value)
    with AirflowTables() as tables:
        tables.teams("red", "blue")
        synchronize_log_template(session=tables.session)  # a run that the pages start names one
        tables.session.commit()
    purge_cached_app()
    init_auth_manager()
    return list(options)


class Visitor:
    """A browser of one user, who is logged in; of nobody where there is no name."""

    def __init__(self, user: str | None, root_path: str = "") -> None:
        from skillsengine.airflow.ui.links import PREFIX

        self.client = TestClient(
            pages_app(root_path), base_url="https://airflow.test", raise_server_exceptions=False, follow_redirects=False
        )
        self.client.headers["accept"] = "text/html"
        self.pages = f"{root_path}{PREFIX}"
        if user is not None:
            self.client.cookies.set("_token", self.token(user), domain="airflow.test")

    def token(self, user: str) -> str:
        """What the auth manager gives out when they log in."""
        from airflow.api_fastapi.app import get_auth_manager

        manager: Any = get_auth_manager()
        return str(manager.generate_jwt(next(each for each in manager.get_users() if each.username == user)))

    def get(self, path: str, **kwargs: Any) -> httpx.Response:
        return self.client.get(f"{self.pages}{path}", **kwargs)

    def html(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, (answer.status_code, answer.text[:2000])
        return answer.text


@cache
def pages_app(root_path: str) -> FastAPI:
    """What Airflow's API server is to the pages."""
    from skillsengine.airflow.ui.app import make_app
    from skillsengine.airflow.ui.links import PREFIX

    outer = FastAPI(root_path=root_path)
    outer.mount(PREFIX, make_app())
    return outer


@contextmanager
def counting() -> Iterator[list[str]]:
    """The questions that are put to Airflow's database and to the catalog meanwhile."""
    from airflow import settings
    from sqlalchemy import event

    from skillsengine.airflow.ui import installation

    told: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            told.append(statement)

    engines = (settings.engine, installation.catalog(installation.settings())._db.engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", count)
    try:
        yield told
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", count)
