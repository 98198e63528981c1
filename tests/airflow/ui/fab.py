"""Airflow's tables with FAB's in front of the pages: its users and roles, and its own login."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.testclient import TestClient
from werkzeug.security import generate_password_hash

from tests.airflow.ui.visiting import Visitor

MANAGER = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
PASSWORD = "a password of the tests"
Rights = Iterable[tuple[str, str]]
"""(action, resource), in FAB's words."""

PARTS = ("", ".evaluations", ".try")
"""What the ids of an experiment's DAGs end with."""
RUNS_AND_CODE = (("can_read", "DAG Runs"), ("can_read", "DAG Code"), ("can_read", "ImportError"))


def reads(*experiments: str) -> Rights:
    """These and no others, with their runs and code."""
    yield from RUNS_AND_CODE
    yield from (("can_read", f"DAG:{name}{part}") for name in experiments for part in PARTS)


def triggers(*experiments: str, parts: Sequence[str] = PARTS) -> Rights:
    """And starts runs of them."""
    yield from reads(*experiments)
    yield "can_create", "DAG Runs"
    yield from (("can_edit", f"DAG:{name}{part}") for name in experiments for part in parts)


USERS: dict[str, tuple[str | None, Rights]] = {
    "ann": ("Admin", ()),
    "red": ("red readers", (*reads("ours", "skills", "tiny", "hostile"),)),
    "blue": ("blue readers", (*reads("theirs", "secretplan"),)),
    "rita": ("red users", (*triggers("ours", "skills", "tiny"),)),
    "noah": (None, ()),
}
"""Name -> role, and what it may: people as in `visiting`, whose teams are here permissions on single DAGs; and one without any
role."""


@contextmanager
def fab_is_set_up() -> Iterator[None]:
    """In the database of a SimpleAuthManager that is set up, which has its place again afterwards."""
    from airflow.api_fastapi.app import init_auth_manager, purge_cached_app
    from airflow.configuration import conf

    before = {name: conf.get("core", name) for name in ("auth_manager", "multi_team")}
    conf.set("core", "auth_manager", MANAGER)
    conf.set("core", "multi_team", "False")  # FAB knows none
    os.environ["AIRFLOW__FAB__CACHE_TTL"] = "0"  # of users and their rights: FAB's own, read when it is imported
    purge_cached_app()
    try:
        from airflow import settings
        from airflow.providers.fab.auth_manager.models import model_metadata

        model_metadata.create_all(settings.engine)
        _Login.app = FastAPI()
        init_auth_manager(_Login.app)
        for name, (role, rights) in USERS.items():
            add_user(name, role, rights)
        yield
    finally:
        for name, value in before.items():
            conf.set("core", name, value)
        del os.environ["AIRFLOW__FAB__CACHE_TTL"]
        purge_cached_app()
        init_auth_manager()


@contextmanager
def security_manager() -> Iterator[Any]:
    """By which Airflow's `fab` commands and DAG processor write users, roles and permissions."""
    from airflow.providers.fab.www.security_appless import ApplessAirflowSecurityManager
    from airflow.utils.session import create_session

    with create_session() as session:
        yield ApplessAirflowSecurityManager(session)


def add_user(name: str, role: str | None, rights: Rights = ()) -> None:
    if role is not None and rights:
        give(role, rights)
    with security_manager() as manager:
        roles = [] if role is None else [manager.find_role(role)]
        hashed = generate_password_hash(PASSWORD)
        assert manager.add_user(name, name, "of the tests", f"{name}@tests.test", roles, hashed_password=hashed), name


def give(role: str, rights: Rights) -> None:
    with security_manager() as manager:
        made = manager.add_role(role)
        for action, resource in rights:
            manager.add_permission_to_role(made, manager.create_permission(action, resource))


def take(role: str, rights: Rights) -> None:
    with security_manager() as manager:
        found = manager.find_role(role)
        for action, resource in rights:
            manager.remove_permission_from_role(found, manager.get_permission(action, resource))


def change_user(name: str, *, active: bool | None = None, roles: Sequence[str] | None = None) -> None:
    with security_manager() as manager:
        user = manager.find_user(name)
        if active is not None:
            user.active = active
        if roles is not None:
            user.roles = [manager.find_role(role) for role in roles]


def delete_user(name: str, role: str | None = None) -> None:
    """If there is one; with the role, where it is named."""
    with security_manager() as manager:
        for found in (manager.find_user(name), manager.find_role(role) if role else None):
            if found is not None:
                manager.session.delete(found)


class _Login:
    app: FastAPI
    """Airflow's API server as far as people log in there."""


def log_in(name: str, password: str = PASSWORD) -> httpx.Response:
    client = TestClient(_Login.app, base_url="https://airflow.test")
    return client.post("/auth/token", json={"username": name, "password": password})


class FabVisitor(Visitor):
    """Whose token FAB's login has given out."""

    def token(self, user: str) -> str:
        answer = log_in(user)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["access_token"])
