"""The pages in front of a catalog in PostgreSQL that they may only read, as docs/postgres.md sets it up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from skillsengine.airflow.ui import installation
from skillsengine.storage.database import connect
from tests.airflow.ui.conftest import fill_a_matrix
from tests.airflow.ui.filling import AirflowTables, Filled
from tests.postgres import Server, roles_of_the_page


@pytest.fixture
def owner(postgres: Server, airflow: AirflowTables, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of the role that filled the catalog; the pages know the reader's alone."""
    with roles_of_the_page(postgres) as (owner, reader):
        filled = Filled(project, owner)
        fill_a_matrix(filled, airflow, project)
        filled.catalog.close()
        monkeypatch.setenv("SKILLSENGINE_CATALOG_READ", reader)
        installation._opened.cache_clear()  # the address is the same in each test, the database is another
        yield owner


def test_every_page_is_there(visitor: Any, owner: str, project: Path) -> None:
    ann = visitor("ann")
    assert "skills@1" in ann.html("/experiments")
    assert "skills@2" in ann.html("/experiments/skills")
    assert "2026-04" in ann.html("/experiments/skills/matrix")
    for page in ("compare?a=1&b=2&partition=2026-04", "errors?version=2&partition=2026-04", "live.json"):
        answer = ann.get(f"/experiments/skills/{page}")
        assert answer.status_code in (200, 404), answer.text[:2000]
        assert "permission" not in answer.text
    assert not (project / ".skillsengine" / "catalog.db").exists(), "no other catalog was looked into, or made"


def test_a_layout_of_before_is_told_and_not_changed(visitor: Any, owner: str) -> None:
    engine = connect(owner)
    with engine.begin() as connection:
        connection.execute(text("UPDATE catalog_version SET version_num = '0003'"))
    answer = visitor("ann").get("/experiments")
    assert answer.status_code == 503
    assert "has the layout 0003, and these pages read the layout" in answer.text
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM catalog_version")) == "0003"
    engine.dispose()
