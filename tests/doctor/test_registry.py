"""The catalog as it is found, and versions that no spec stands behind."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from skillsengine.doctor import registry
from skillsengine.doctor.patience import Patience
from skillsengine.doctor.registry import examine_versions, look_at_catalog
from skillsengine.settings import Settings, load_settings
from skillsengine.storage import migrate
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.database import connect


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "experiments").mkdir()
    return load_settings(tmp_path)


def _version(catalog: Catalog, model: str, experiment: str, digest: str) -> None:
    row = catalog.allocate_version(model, digest, experiment=experiment, partition=None, run_id=None, spec={})
    catalog.publish_version(model, row.number, digest, "/nowhere", {}, {})


def test_one_that_is_not_there_is_not_made(settings: Settings) -> None:
    finding, catalog = look_at_catalog(settings, Patience(30, 30))
    assert (finding.level, catalog) == ("ok", None)
    assert finding.text == f"{settings.home / 'catalog.db'} is not there yet: the first run makes it"
    assert not settings.home.exists()


def test_one_that_is_there(settings: Settings) -> None:
    Catalog.open(settings.catalog_url).close()
    finding, catalog = look_at_catalog(settings, Patience(30, 30))
    assert finding.text == f"{settings.catalog_url} answers, no runs yet"
    assert catalog is not None


def test_an_older_or_empty_one_is_left_as_it_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.home.mkdir()
    (settings.home / "catalog.db").touch()
    finding, catalog = look_at_catalog(settings, Patience(30, 30))
    assert (finding.text, catalog) == (
        f"{settings.catalog_url} answers and is empty: the first run makes its tables",
        None,
    )
    Catalog.open(settings.catalog_url).close()
    monkeypatch.setattr(registry, "HEAD", "9999")
    finding, catalog = look_at_catalog(settings, Patience(30, 30))
    assert catalog is None
    assert finding.text == (
        f"{settings.catalog_url} answers; its layout is {migrate.HEAD}, and the next command makes it 9999"
    )
    assert migrate.layout(connect(settings.catalog_url)) == migrate.HEAD


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "SKILLSENGINE_CATALOG is not an address of a database."),
        ("mysql://host/x", "the catalog lives in SQLite or PostgreSQL, not in mysql"),
    ],
)
def test_an_address_that_is_none(settings: Settings, url: str, text: str) -> None:
    finding, _ = look_at_catalog(replace(settings, catalog_url=url), Patience(30, 30))
    assert (finding.level, finding.text.startswith(text)) == ("problem", True)


def test_a_server_that_never_answers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    Catalog.open(settings.catalog_url).close()
    answer = threading.Event()
    monkeypatch.setattr(registry, "layout", lambda engine: answer.wait())
    finding, catalog = look_at_catalog(settings, Patience(0.1, 0.1))
    answer.set()
    assert (finding.level, finding.text, catalog) == ("problem", "no answer within 0 s", None)
    assert "SKILLSENGINE_CATALOG" in (finding.mend or "")


def test_versions_without_a_spec(settings: Settings) -> None:
    catalog = Catalog.open(settings.catalog_url)
    for model, experiment, digest in (
        ("old", "old", "1"),
        ("old", "older", "2"),
        ("new", "old", "3"),
        ("x", "hurt", "4"),
    ):
        _version(catalog, model, experiment, digest * 64)
    (finding,) = examine_versions(catalog, {"new"}, {"hurt"})
    assert (finding.level, finding.subject) == ("warning", "versions of old")
    assert finding.text == (
        "2 versions (old@latest), made by old, older, and no spec registers under `old` any more: nothing trains or scores them"
    )
    assert finding.mend == (
        "bring the spec back (git log -- experiments/old.yaml), or name another one's `register.model` so; they can be used "
        "as they are"
    )
    assert list(examine_versions(catalog, {"new", "old", "x"}, set())) == []
