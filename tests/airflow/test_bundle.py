"""experiments/ as a DAG bundle."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow import bundle as module
from skillsengine.airflow.bundle import ExperimentsBundle
from skillsengine.settings import SettingsError
from skillsengine.spec.load import check_spec
from tests.airflow.support import write_spec


@pytest.fixture(autouse=True)
def soon_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.06)


@pytest.fixture
def bundle(tmp_path: Path) -> ExperimentsBundle:
    write_spec(tmp_path, "a")
    return ExperimentsBundle(name="experiments", project=str(tmp_path), refresh_interval=3)


def test_its_folder_is_in_the_home_and_it_has_no_versions(bundle: ExperimentsBundle, tmp_path: Path) -> None:
    assert bundle.path == tmp_path / ".skillsengine" / "bundle"
    assert not bundle.supports_versioning and bundle.get_current_version() is None


def test_a_worker_compiles_only_where_nobody_has(bundle: ExperimentsBundle, tmp_path: Path) -> None:
    bundle.initialize()
    assert bundle.is_initialized and (bundle.path / "a.py").exists()
    write_spec(tmp_path, "b")
    worker = ExperimentsBundle(name="experiments", project=str(tmp_path))
    worker.initialize()
    assert not (bundle.path / "b.py").exists(), "the next refresh of the DAG processor does that"
    bundle.refresh()
    assert (bundle.path / "b.py").exists()


def test_a_refresh_without_change_reads_no_spec(
    bundle: ExperimentsBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_spec(tmp_path, "b")
    bundle.refresh()
    read = []

    def spied(path: Path, *args: Any, **kwargs: Any) -> Any:
        read.append(path.name)
        return check_spec(path, *args, **kwargs)

    monkeypatch.setattr("skillsengine.airflow.compile.check_spec", spied)
    bundle.refresh()
    assert read == []
    write_spec(tmp_path, "a", "description: new\n")
    bundle.refresh()
    assert read == ["a.yaml"], "and a change reads what changed"


def test_half_a_copy_is_not_read(bundle: ExperimentsBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may well be a spec: what is missing has defaults."""
    bundle.refresh()
    whole = (tmp_path / "experiments" / "a.yaml").read_text()
    new, changed = tmp_path / "experiments" / "b.yaml", tmp_path / "experiments" / "a.yaml"
    monkeypatch.setattr(module, "_QUIET_SECONDS", 30.0)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.0)
    for path in (new, changed):
        path.write_text(whole.replace("name: a", f"name: {path.stem}") + "description: half\n")
    before = (bundle.path / "a.py").read_bytes()
    bundle.refresh()
    assert not (bundle.path / "b.py").exists() and (bundle.path / "a.py").read_bytes() == before
    monkeypatch.setattr(module, "_QUIET_SECONDS", 0.06)
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 2.0)
    for path in (new, changed):
        path.write_text(path.read_text() + "owner: whole\n")
    bundle.refresh()
    for path in (new, changed):
        assert "owner: whole" in (bundle.path / f"{path.stem}.py").read_text()


def test_a_file_that_somebody_deleted_comes_back(bundle: ExperimentsBundle) -> None:
    bundle.refresh()
    (bundle.path / "a.py").unlink()
    bundle.refresh()
    assert (bundle.path / "a.py").exists()


def test_a_changed_file_is_marked_once_more(
    bundle: ExperimentsBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parse that was under way when the file changed has read the old text, and ends later than the change."""
    bundle.refresh()
    file = bundle.path / "a.py"
    write_spec(tmp_path, "a", "description: new\n")
    bundle.refresh()
    os.utime(file, (1, 1))
    bundle.refresh()
    assert file.stat().st_mtime == 1
    monkeypatch.setattr(module, "_SETTLED_SECONDS", -1.0)
    bundle.refresh()
    marked = file.stat().st_mtime
    assert marked > 1
    bundle.refresh()
    assert file.stat().st_mtime == marked


def test_a_folder_that_is_away_for_a_moment_takes_no_dag_along(bundle: ExperimentsBundle, tmp_path: Path) -> None:
    bundle.refresh()
    (tmp_path / "experiments").rename(tmp_path / "away")
    with pytest.raises(SettingsError, match="experiments: there is no such folder"):
        bundle.refresh()
    assert (bundle.path / "a.py").exists()


@pytest.mark.parametrize("told", ["kwargs", "environment"])
def test_a_link_that_is_turned_to_another_checkout(told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As git-sync does: each commit is a folder of its own, and the old one is removed."""
    for commit in ("one", "two"):
        write_spec(tmp_path / commit, "a")
    write_spec(tmp_path / "two", "b")
    link = tmp_path / "skills"
    link.symlink_to("one")
    monkeypatch.setenv("SKILLSENGINE_HOME", str(tmp_path / "home"))
    if told == "environment":
        monkeypatch.setenv("SKILLSENGINE_PROJECT", str(link))
    bundle = ExperimentsBundle(name="experiments", **({"project": str(link)} if told == "kwargs" else {}))
    bundle.refresh()
    before = (bundle.path / "a.py").stat().st_mtime_ns
    assert f"project={str(link)!r}" in (bundle.path / "a.py").read_text(), "a task started later must find it"

    (tmp_path / "new").symlink_to("two")
    (tmp_path / "new").rename(link)
    shutil.rmtree(tmp_path / "one")
    bundle.refresh()
    assert (bundle.path / "b.py").exists()
    assert (bundle.path / "a.py").stat().st_mtime_ns == before, "a pull changes no DAG but those of changed specs"


def test_the_overlay_of_the_environment_is_in_the_dag_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_spec(tmp_path, "a")
    overlay = tmp_path / "experiments" / "_env" / "prod.yaml"
    overlay.parent.mkdir()
    overlay.write_text("owner: somebody\n")
    monkeypatch.setenv("SKILLSENGINE_ENV", "prod")
    bundle = ExperimentsBundle(name="experiments", project=str(tmp_path))
    bundle.refresh()
    assert "somebody" in (bundle.path / "a.py").read_text()
    overlay.write_text("owner: another one\n")
    bundle.refresh()
    good = (bundle.path / "a.py").read_text()
    assert "another one" in good, "an edit of the overlay is a change of every spec"
    overlay.rename(overlay.with_stem("staging"))
    bundle.refresh()
    assert (bundle.path / "a.py").read_text() == good, "what was compiled before goes on"
    with pytest.raises(Exception, match="experiments/ does not compile; the last good DAG stays") as told:
        runpy.run_path(str(bundle.path / "_env.py"))
    assert "SKILLSENGINE_ENV='prod': there is no such file" in str(told.value.__cause__)
    assert "There are: staging." in str(told.value.__cause__)
    overlay.write_text("owner: back again\n")
    bundle.refresh()
    assert not (bundle.path / "_env.py").exists()
    assert "back again" in (bundle.path / "a.py").read_text()
