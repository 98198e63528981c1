"""The pages in front of a real auth manager (SimpleAuthManager, two teams), Airflow's own tables and a real catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airflow.ui.filling import AirflowTables
from tests.airflow.ui.visiting import Visitor, set_up_airflow


@pytest.fixture(scope="session")
def airflow_is_set_up() -> Iterator[None]:
    from airflow.api_fastapi.app import purge_cached_app
    from airflow.configuration import conf

    options = set_up_airflow()
    yield
    purge_cached_app()
    for section, name in options:
        conf.remove_option(section, name)


@pytest.fixture
def airflow(airflow_is_set_up: None) -> Iterator[AirflowTables]:
    """To fill Airflow's tables with; empty again afterwards."""
    with AirflowTables() as tables:
        yield tables
        tables.clear()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "experiments").mkdir()
    for name in ("SKILLSENGINE_HOME", "SKILLSENGINE_CATALOG", "SKILLSENGINE_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(tmp_path))
    return tmp_path


@pytest.fixture
def visitor(airflow: AirflowTables, project: Path) -> type[Visitor]:
    """Make one by `visitor("ann")`."""
    return Visitor
