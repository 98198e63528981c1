"""Data from elsewhere: copied whole or not at all, or left in a data root."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skillsengine.draft.bring import Source, brought, source_for
from skillsengine.draft.errors import DraftError
from skillsengine.draft.place import find_place
from skillsengine.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "project" / "experiments").mkdir(parents=True)
    return load_settings(tmp_path / "project")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "2026-01.csv").write_text("text\nJanuary\n")
    (folder / "2026-02.csv").write_text("text\nFebruary\n")
    return folder


def found(data: Path | str, settings: Settings, name: str = "mine", copy: bool | None = None) -> Source:
    return source_for(find_place(str(data), Path("/")), name, settings, copy)


def bring(source: Source, *, force: bool = False) -> list[str]:
    told: list[str] = []
    with brought(source, force=force, tell=told.append):
        pass
    return told


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_data_of_the_project_stays_and_is_named_from_it(settings: Settings) -> None:
    folder = settings.project / "data" / "ads"
    folder.mkdir(parents=True)
    (folder / "ads.csv").write_text("text\n")
    assert found(folder / "ads.csv", settings) == Source("data/ads/ads.csv")
    assert found(folder, settings) == Source("data/ads")
    assert found(folder / "ads.csv", settings, copy=False) == Source("data/ads/ads.csv")
    copied = found(folder / "ads.csv", settings, copy=True)
    assert (copied.text, len(copied.copies)) == ("data/own/mine/ads.csv", 1)


def test_the_project_itself_as_the_data(settings: Settings) -> None:
    (settings.project / "ads.csv").write_text("text\n")
    assert found(settings.project / "ads.csv", settings).text == "ads.csv"
    assert found(settings.project, settings).text == "."


def test_data_in_a_data_root_stays_and_is_named_whole(settings: Settings, outside: Path) -> None:
    rooted = Settings(settings.project, settings.home, settings.catalog_url, (outside.resolve(),))
    assert found(outside, rooted) == Source(f"{outside}/{{partition}}.csv")
    assert found(outside, rooted, copy=True).text == "data/own/mine/{partition}.csv"


def test_data_from_elsewhere_is_copied(settings: Settings, outside: Path) -> None:
    source = found(outside, settings)
    assert source.text == "data/own/mine/{partition}.csv"
    assert not (settings.project / "data").exists()
    [told] = bring(source)
    own = settings.project / "data" / "own" / "mine"
    assert told == f"copying 0.0 MB to {own}: a spec reads inside of its project (git ignores this folder)"
    assert files(own) == {"2026-01.csv": "text\nJanuary\n", "2026-02.csv": "text\nFebruary\n"}
    assert [entry.name for entry in own.parent.iterdir()] == ["mine"]


def test_what_was_copied_already_is_not_copied_again(settings: Settings, outside: Path) -> None:
    bring(found(outside, settings))
    assert bring(found(outside, settings)) == []
    own = settings.project / "data" / "own" / "mine"
    assert found(own, settings, copy=True) == Source("data/own/mine/{partition}.csv")


def test_other_data_of_that_name_is_kept_unless_forced(settings: Settings, outside: Path) -> None:
    bring(found(outside, settings))
    own = settings.project / "data" / "own" / "mine"
    (outside / "2026-02.csv").write_text("text\nfebruary\n")  # of the same length
    with pytest.raises(DraftError) as raised:
        bring(found(outside, settings))
    assert str(raised.value) == (
        f"{own} is there already, with other data. Choose another name, move it away, or replace it with --force."
    )
    assert files(own)["2026-02.csv"] == "text\nFebruary\n"
    bring(found(outside, settings), force=True)
    assert files(own)["2026-02.csv"] == "text\nfebruary\n"
    assert [entry.name for entry in own.parent.iterdir()] == ["mine"]


@pytest.mark.parametrize("error", [DraftError("no"), KeyboardInterrupt(), OSError("disk")])
@pytest.mark.parametrize("before", [False, True])
def test_what_fails_meanwhile_leaves_all_as_it_was(
    before: bool, error: BaseException, settings: Settings, outside: Path
) -> None:
    own = settings.project / "data" / "own" / "mine"
    if before:
        own.mkdir(parents=True)
        (own / "old.csv").write_text("old\n")
    with pytest.raises(type(error)), brought(found(outside, settings), force=True, tell=lambda _: None):
        assert files(own).keys() == {"2026-01.csv", "2026-02.csv"}
        raise error
    assert (files(own) if before else own.exists()) == ({"old.csv": "old\n"} if before else False)
    assert [entry.name for entry in own.parent.iterdir()] == (["mine"] if before else [])


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_that_breaks_off_leaves_nothing(settings: Settings, outside: Path) -> None:
    own = settings.project / "data" / "own" / "mine"
    own.mkdir(parents=True)
    (own / "old.csv").write_text("old\n")
    (outside / "2026-02.csv").write_text("x" * 200_000)
    with no_file_larger_than(100_000), pytest.raises(DraftError) as raised:
        bring(found(outside, settings), force=True)
    assert str(raised.value).startswith(f"the data cannot be copied to {own}: [Errno 27] File too large")
    assert files(own) == {"old.csv": "old\n"}
    assert [entry.name for entry in own.parent.iterdir()] == ["mine"]


def test_a_place_that_cannot_be_written(settings: Settings, outside: Path) -> None:
    (settings.project / "data").write_text("a file in the way")
    with pytest.raises(
        DraftError, match=r"the data cannot be copied to .*/data/own/mine: .*Mend the permissions there\."
    ):
        bring(found(outside, settings))


def test_no_copy_of_what_a_spec_may_not_read(settings: Settings, outside: Path) -> None:
    with pytest.raises(DraftError) as raised:
        found(outside, settings, copy=False)
    assert str(raised.value) == (
        f"--no-copy: {outside} lies outside of the folders that a spec may read ({settings.project}). Leave --no-copy out, and "
        f"the data is copied to data/own/mine; or set SKILLSENGINE_DATA_ROOTS={outside}, here and where Airflow runs."
    )


def test_much_data_is_not_copied_unasked(settings: Settings, outside: Path) -> None:
    with (outside / "2026-02.csv").open("ab") as file:
        os.truncate(file.fileno(), 1_500_000_000)  # a hole: takes no room on the disk
    with pytest.raises(DraftError) as raised:
        found(outside, settings)
    said = str(raised.value)
    assert said.startswith(
        f"--data: {outside}/{{partition}}.csv lies outside of the project and has 1.5 GB. "
        "Add --copy to copy it to data/own/mine ("
    )
    assert said.endswith(
        f"), or leave it where it is with SKILLSENGINE_DATA_ROOTS={outside}, here and where Airflow runs."
    )
    assert found(outside, settings, copy=True).text == "data/own/mine/{partition}.csv"


def test_a_link_counts_as_where_it_leads(settings: Settings, outside: Path) -> None:
    (settings.project / "data").mkdir()
    (settings.project / "data" / "ads.csv").symlink_to(outside / "2026-01.csv")
    source = found(settings.project / "data" / "ads.csv", settings)
    assert source.text == "data/own/mine/ads.csv"
    bring(source)
    copied = settings.project / "data" / "own" / "mine" / "ads.csv"
    assert not copied.is_symlink()
    assert copied.read_text() == "text\nJanuary\n"
