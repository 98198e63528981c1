"""The pages in front of a real auth manager (SimpleAuthManager, two teams), Airflow's own tables and a real catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.airflow.ui import matrix_filling as fill
from tests.airflow.ui.filling import AirflowTables, Filled
from tests.airflow.ui.visiting import Visitor, set_up_airflow
from tests.reporting.past import metrics


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


@pytest.fixture
def filled(airflow: AirflowTables, project: Path) -> Filled:
    """A matrix: skills@1, trained on January, and skills@2, trained on January and February, which has drifted in April."""
    filled = Filled(project)
    fill_a_matrix(filled, airflow, project)
    return filled


def fill_a_matrix(filled: Filled, airflow: AirflowTables, project: Path) -> None:
    airflow.experiment(project, "skills", fill.BASELINES)
    fill.serialize(airflow, project, "skills")
    keys = fill.months("2026-05", 5)
    fill.looked(filled, project, "skills", [key for key in keys if key != "2026-03"])
    first = fill.version(filled, "skills", keys[:1])
    second = fill.version(filled, "skills", keys[:2])
    fill.cell(filled, "skills", "2026-04", metrics(0.5, "2026-04", seconds=3.0, drift=fill.drift(0.5)), of=second)
    unlabelled = {"rows": 3, "labelled_rows": 0, "parse_rate": 0.75, "verbatim_rate": 1.0, "skills_per_ad": 2.0}
    fill.cell(filled, "skills", "2026-05", unlabelled, of=second)
    fill.cell(filled, "skills", "2026-04", metrics(0.25, "2026-04", "lexicon", seconds=0.5), kind="lexicon")
    filled.catalog.set_alias("skills", "champion", first.number, "better")
