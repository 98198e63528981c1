"""What doctor tells of the settings: what holds, where it comes from, what is mistyped, and no password."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.doctor.platform_settings import examine_settings
from skillsengine.settings import VARIABLES, load_settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return tmp_path


def test_each_variable_with_its_value_and_where_it_comes_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(folder))
    monkeypatch.setenv("SKILLSENGINE_CATALOG", "postgresql+psycopg://ann:hunter2@db/skills?password=hunter2")
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", "http://me:hunter2@host")
    monkeypatch.setenv("SKILLSENGINE_DATA_ROOTS", f"{folder}")
    found = {finding.subject: finding for finding in examine_settings(load_settings())}
    assert list(found) == list(VARIABLES)
    assert {finding.level for finding in found.values()} == {"ok"}
    assert "hunter2" not in str(found)
    told = {name.removeprefix("SKILLSENGINE_"): finding.text for name, finding in found.items()}
    assert told["PROJECT"] == f"{folder} (from the environment)"
    assert told["HOME"] == f"not set: {folder / '.skillsengine'}"
    assert told["CATALOG"] == "postgresql+psycopg://ann:***@db/skills?password=*** (from the environment)"
    assert told["CATALOG_READ"] == "not set: `SKILLSENGINE_CATALOG`"
    assert told["CATALOG_WAIT"] == "not set: 300"
    assert told["AIRFLOW_URL"] == "http://me:***@host (from the environment)"
    assert told["DATA_ROOTS"] == f"{folder} (from the environment)"


def test_the_specs_own_project_wins_over_the_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_PROJECT", "/srv/other")
    project = next(iter(examine_settings(load_settings(folder))))
    assert project.text == f"not taken, since the specs stand in another project: {folder}"


def test_what_is_mistyped_or_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_DATAROOTS", "/data")
    monkeypatch.setenv("SKILLSENGINE_XQZ", "1")
    monkeypatch.setenv("SKILLSENGINE_SUPERVISOR", "17")  # the embedded Airflow's own
    monkeypatch.setenv("SKILLSENGINE_DATA_ROOTS", "/nowhere")
    warned = [finding for finding in examine_settings(load_settings(folder)) if finding.level == "warning"]
    assert [(finding.subject, finding.text, finding.mend) for finding in warned] == [
        ("data root", "/nowhere is no folder", "make or mount it, or mend SKILLSENGINE_DATA_ROOTS"),
        (
            "SKILLSENGINE_DATAROOTS",
            "is no setting: it changes nothing",
            "did you mean SKILLSENGINE_DATA_ROOTS? Rename it, or unset it",
        ),
        ("SKILLSENGINE_XQZ", "is no setting: it changes nothing", "unset it; docs/settings.md lists all"),
    ]
