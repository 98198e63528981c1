"""Where the settings say that the store is."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.settings import Settings, SettingsError, load_settings
from skillsengine.storage.object_labels import ObjectLabelFiles
from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.opening import open_labels, open_store

HOW = (
    " Write a folder (/srv/store or file:///srv/store), or a bucket of S3 or of a server that speaks like it "
    "(s3://bucket/prefix); or unset the variable: then it is the folder `store` in SKILLSENGINE_HOME."
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    (tmp_path / "experiments").mkdir()
    for name in ("SKILLSENGINE_HOME", "SKILLSENGINE_STORE", "SKILLSENGINE_CACHE", "SKILLSENGINE_CACHE_GB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def loaded(tmp_path: Path) -> Settings:
    return load_settings(tmp_path)


def test_out_of_the_box_it_is_a_folder_in_the_home(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert open_store(loaded(tmp_path)).root == tmp_path / ".skillsengine" / "store"
    assert not (tmp_path / ".skillsengine").exists()


@pytest.mark.parametrize("told", ["{tmp}/my store", "file://{tmp}/my%20store", "my store"])
def test_a_folder(settings: pytest.MonkeyPatch, tmp_path: Path, told: str) -> None:
    settings.setenv("SKILLSENGINE_STORE", told.format(tmp=tmp_path))
    store = open_store(loaded(tmp_path))
    assert type(store).__name__ == "Store" and store.root == tmp_path / "my store"
    assert store.bases == tmp_path / "my store" / "bases"


def test_a_bucket(settings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings.setenv("SKILLSENGINE_STORE", "s3://talent/skills/")
    found = loaded(tmp_path)
    store = open_store(found)
    assert isinstance(store, ObjectStore) and store.place == "s3://talent/skills"
    assert (store.cache.root, store.cache.limit) == (tmp_path / ".skillsengine" / "cache", 50_000_000_000)
    assert not (tmp_path / ".skillsengine").exists()
    assert store.bases == tmp_path / ".skillsengine" / "store" / "bases"
    assert isinstance(open_labels(found, "job"), ObjectLabelFiles)
    settings.setenv("SKILLSENGINE_CACHE", str(tmp_path / "fast"))
    settings.setenv("SKILLSENGINE_CACHE_GB", "0.5")
    settings.setenv("SKILLSENGINE_STORE", "s3://talent")
    other = open_store(loaded(tmp_path))
    assert isinstance(other, ObjectStore) and other.place == "s3://talent"
    assert (other.cache.root, other.cache.limit) == (tmp_path / "fast", 500_000_000)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("gs://bucket/x", "is on a kind of store that there is not."),
        ("s3://", "names no bucket, or a prefix with other characters than letters, digits and `/-_.`."),
        ("s3://Talent_1/x", "names no bucket, or a prefix with other characters than letters, digits and `/-_.`."),
        ("s3://talent/a b", "names no bucket, or a prefix with other characters than letters, digits and `/-_.`."),
        ("file://srv/store", "names no folder of this machine: three slashes, file:///srv/store."),
    ],
)
def test_what_is_no_store(settings: pytest.MonkeyPatch, tmp_path: Path, told: str, why: str) -> None:
    settings.setenv("SKILLSENGINE_STORE", told)
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path)
    assert str(caught.value) == f"SKILLSENGINE_STORE={told!r}: {why}{HOW}"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ("0", "input should be greater than 0"),
        ("-1", "input should be greater than 0"),
        ("many", "input should be a valid number, unable to parse string as a number"),
        ("nan", "input should be a finite number"),
        ("inf", "input should be a finite number"),
    ],
)
def test_what_is_no_size(settings: pytest.MonkeyPatch, tmp_path: Path, told: str, why: str) -> None:
    settings.setenv("SKILLSENGINE_CACHE_GB", told)
    with pytest.raises(SettingsError) as caught:
        loaded(tmp_path)
    assert (
        str(caught.value) == f"SKILLSENGINE_CACHE_GB={told!r}: {why}. Write a number of GB above 0, such as 50 or 0.5."
    )
