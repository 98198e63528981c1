"""Platform settings: read from the environment, typed, and told apart from mistakes."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from pathlib import Path

import pytest

from skillsengine.settings import (
    VARIABLES,
    Settings,
    SettingsError,
    Variables,
    kind_of,
    load_settings,
    read_variables,
    without_password,
)

PACKAGE = Path(__file__).resolve().parent.parent / "skillsengine"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in an environment that names nothing."""
    for name in [*os.environ]:
        if name.startswith("SKILLSENGINE_"):
            monkeypatch.delenv(name)
    (tmp_path / "experiments").mkdir()
    return tmp_path


def test_the_embedded_default_needs_no_variable(folder: Path) -> None:
    home = folder / ".skillsengine"
    assert load_settings(folder) == Settings(folder, home, f"sqlite:///{home / 'catalog.db'}", (), named=folder)


def test_every_variable_arrives_and_an_empty_one_counts_as_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    for name, value in {
        "PROJECT": str(folder),
        "HOME": "~/skills",
        "CATALOG": "postgresql+psycopg://ann:s@db/skills",
        "CATALOG_READ": "postgresql+psycopg://pages:s@db/skills",
        "CATALOG_WAIT": "1.5",
        "DATA_ROOTS": os.pathsep.join(("/data/a", "~/b")),
        "AIRFLOW_URL": "https://me:pw@airflow.example.com",
        "ENV": "",
        "SERVE_URL": "http://host:8090",
        "SERVE_TOKEN_FILE": "/run/token",
    }.items():
        monkeypatch.setenv(f"SKILLSENGINE_{name}", value)
    assert load_settings() == Settings(
        folder,
        Path("/home/ann/skills"),
        "postgresql+psycopg://ann:s@db/skills",
        (Path("/data/a"), Path("/home/ann/b")),
        "https://me:pw@airflow.example.com",
        folder,
        None,
        "http://host:8090",
        Path("/run/token"),
        catalog_read_url="postgresql+psycopg://pages:s@db/skills",
        catalog_wait=1.5,
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "CATALOG_WAIT",
            "soon",
            "SKILLSENGINE_CATALOG_WAIT='soon': input should be a valid number, unable to parse string as a number. "
            "Write seconds, as 300; 0 does not wait.",
        ),
        ("CATALOG_WAIT", "-1", "='-1': input should be greater than or equal to 0. Write seconds"),
        ("CATALOG_WAIT", "inf", "='inf': input should be a finite number. Write seconds"),
        (
            "AIRFLOW_URL",
            "airflow:8080",
            "SKILLSENGINE_AIRFLOW_URL='airflow:8080': no address that begins with http:// or https:// and names a host. "
            "Write http://user:password@host:8080.",
        ),
        ("AIRFLOW_URL", "http://me:hunter2@host:port", "='http://me:***@host:port': port could not be cast"),
        ("AIRFLOW_URL", "me:hunter2@host", "='me:***@host': no address"),
    ],
)
def test_a_wrong_value_is_told_with_its_mend(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_variables({f"SKILLSENGINE_{name}": value})
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_all_wrong_values_are_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_CATALOG_WAIT", "soon")
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", "ftp://host")
    with pytest.raises(SettingsError) as caught:
        load_settings(folder)
    assert [line.partition("=")[0] for line in str(caught.value).splitlines()] == [
        "SKILLSENGINE_CATALOG_WAIT",
        "SKILLSENGINE_AIRFLOW_URL",
    ]


def test_a_project_without_experiments_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(tmp_path))
    with pytest.raises(SettingsError, match=r"^SKILLSENGINE_PROJECT=.*: there is no folder `experiments/` in it\.$"):
        load_settings()


def test_every_variable_is_declared_once_and_told() -> None:
    assert set(VARIABLES.values()) <= {field.name for field in fields(Settings)}
    for name in VARIABLES.values():
        assert Variables.model_fields[name].description and kind_of(name).write.endswith(".")


def test_nothing_else_of_the_package_reads_a_variable_of_ours() -> None:
    """One that is read elsewhere is neither typed nor told by doctor. The supervisor's own is handed on, never configured."""
    read = re.compile(r"(?:environ(?:\.get)?|getenv)[\[(]\s*[\"'](SKILLSENGINE_\w+)")
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in read.findall(path.read_text())
    }
    assert found == set()


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("sqlite:////srv/a@b/catalog.db", "sqlite:////srv/a@b/catalog.db"),
        ("postgresql+psycopg://ann:p@ss:w/ord@db:5432/skills", "postgresql+psycopg://ann:***@db:5432/skills"),
        ("postgresql+psycopg://ann@db/skills?sslmode=require", "postgresql+psycopg://ann@db/skills?sslmode=require"),
        (
            "postgresql+psycopg://ann@db/skills?sslpassword=x&sslmode=require&password=y",
            "postgresql+psycopg://ann@db/skills?sslpassword=***&sslmode=require&password=***",
        ),
        ("http://host:8090/path", "http://host:8090/path"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_the_login_of_airflow_may_stand_in_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    login = folder / "login"
    login.write_text("worker:p@ss:w/rd\n", encoding="utf-8")
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_LOGIN_FILE", str(login))
    assert load_settings(folder).airflow_url is None
    for url in ("https://airflow.example.com:8080/af", "https://me:pw@airflow.example.com:8080/af"):
        monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", url)
        assert load_settings(folder).airflow_url == "https://worker:p%40ss%3Aw%2Frd@airflow.example.com:8080/af"
    login.write_text("worker", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"_LOGIN_FILE=.*/login: there is no `user:password` in it\. Write one\."):
        load_settings(folder)
    login.unlink()
    with pytest.raises(
        SettingsError, match=r"/login: cannot be read \(.*\)\. Name a file that holds `user:password`, or"
    ):
        load_settings(folder)
