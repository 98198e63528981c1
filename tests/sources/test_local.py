"""What a spec's `data.source` means on the disk."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.find import Source
from skillsengine.spec.schema import Data
from tests.storage.support import at_once


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "experiments").mkdir(parents=True)
    return folder


def put(path: Path, text: str = "{}\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def look(source: str, *roots: Path, trusted: bool = False, **data: Any) -> Source:
    """A source of the project in the first root."""
    return Source(Data(source=source, **data), roots[0], roots, trusted=trusted)


def files(source: str, project: Path, partition: str | None = None, trusted: bool = False) -> tuple[SourceFile, ...]:
    return look(source, project, trusted=trusted).files(partition)


def error(source: str, project: Path, partition: str | None = None) -> str:
    with pytest.raises(SourceError) as caught:
        files(source, project, partition)
    return str(caught.value)


def test_a_file_with_the_sha256_of_its_bytes(project: Path) -> None:
    path = put(project / "data" / "ads.jsonl", "a\r\nb")
    for partition in (None, "all"):
        (file,) = files("data/ads.jsonl", project, partition)
        assert (file.path, file.sha256, file.split) == (path, hashlib.sha256(b"a\r\nb").hexdigest(), None)


def test_a_folder_in_the_order_of_names_without_hidden_files(project: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", ".c.jsonl", "README.md", "deep/d.jsonl"):
        put(project / "data" / name)
    assert [(file.path.name, file.split) for file in files("data", project)] == [("a.jsonl", None), ("b.jsonl", None)]


def test_one_month_of_a_dated_source(project: Path) -> None:
    put(project / "data" / "2026-03.jsonl")
    put(project / "ads" / "2026-03" / "x.jsonl")
    assert files("data/{partition}.jsonl", project, "2026-03")[0].path == project / "data" / "2026-03.jsonl"
    assert files("ads/{partition}", project, "2026-03")[0].path == project / "ads" / "2026-03" / "x.jsonl"


@pytest.mark.parametrize("validation", ["validation", "dev", "valid", "val"])
def test_files_name_their_split(project: Path, validation: str) -> None:
    for stem in ("train", validation, "test"):
        put(project / "data" / f"{stem}.jsonl")
    found = {file.path.stem: file.split for file in files("data", project)}
    assert found == {"train": "train", validation: "validation", "test": "test"}


def test_split_files_beside_others(project: Path) -> None:
    for name in ("train.jsonl", "test.jsonl", "extra.jsonl", "more.jsonl"):
        put(project / "data" / name)
    assert error("data", project) == (
        f"{project}/data: test.jsonl, train.jsonl name their split, and beside them extra.jsonl, more.jsonl does not. "
        "Call every file train, validation (dev, valid, val) or test, or none of them."
    )


def test_two_files_of_one_split(project: Path) -> None:
    for name in ("train.jsonl", "dev.jsonl", "val.jsonl"):
        put(project / "data" / name)
    assert error("data", project).endswith("dev.jsonl and val.jsonl are both the validation split. Keep one of them.")


def test_nothing_there(project: Path) -> None:
    assert error("data/x.jsonl", project) == (
        f"no data at {project}/data/x.jsonl: data.source names a file or folder that is not there. "
        "Put the data there, or mend it."
    )
    (project / "data").mkdir()
    assert "(it is empty): a source is a file whose name ends in .jsonl, .ndjson, .json, .csv," in error(
        "data", project
    )
    (project / "data" / "odd.jsonl").mkdir()
    assert "odd.jsonl is no file, though it is called like one" in error("data", project)


def test_a_month_that_is_not_there_says_which_are(project: Path) -> None:
    wanted = f"no data for 2021-03 at {project}/data/2021-03.jsonl: "
    assert error("data/{partition}.jsonl", project, "2021-03").startswith(wanted + "no month of it is there.")
    for month in ("2026-01", "2026-02", "2026-04"):
        put(project / "data" / f"{month}.jsonl")
    assert error("data/{partition}.jsonl", project, "2021-03") == (
        wanted + "there is 2026-01 to 2026-04 (3 in all). Wait for it, put it there, or choose another partition."
    )


def test_source_and_partition_must_fit(project: Path) -> None:
    assert "has no partition 2026-03: without `{partition}` in it" in error("data", project, "2026-03")
    assert "is dated: say which partition, such as 2026-03" in error("data/{partition}.jsonl", project)
    assert "`../../x` is no partition" in error("data/{partition}.jsonl", project, "../../x")


@pytest.mark.parametrize(
    "source", ["../outside.jsonl", "data/../../outside.jsonl", "{tmp}/outside.jsonl", "link.jsonl"]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_source_stays_inside_the_roots(project: Path, tmp_path: Path, source: str, there: bool) -> None:
    outside = tmp_path / "outside.jsonl"
    if there:
        put(outside)
    (project / "data").mkdir()
    (project / "link.jsonl").symlink_to(outside)
    source = source.replace("{tmp}", str(tmp_path))
    said = error(source, project)
    assert f"leads to {outside}, outside of the folders that a spec may read ({project})" in said
    assert "add its folder to SKILLSENGINE_DATA_ROOTS, or name it on the command line with --set data.source=" in said
    if there:
        assert len(files(source, project, trusted=True)) == 1
        assert len(look(source, project, tmp_path).files(None)) == 1


def test_a_link_inside_a_folder_cannot_leave_either(project: Path, tmp_path: Path) -> None:
    secret = put(tmp_path / "secret.jsonl")
    put(project / "data" / "a.jsonl")
    (project / "data" / "b.jsonl").symlink_to(secret)
    assert f"leads to {secret}" in error("data", project)
    (project / "data" / "b.jsonl").unlink()
    (project / "data" / "b.jsonl").symlink_to("a.jsonl")
    assert len(files("data", project)) == 2


def test_a_project_reached_through_a_link(project: Path, tmp_path: Path) -> None:
    put(project / "data" / "a.jsonl")
    (tmp_path / "other-name").symlink_to(project)
    assert len(files("data", tmp_path / "other-name")) == 1


def test_paths_that_the_system_refuses(project: Path) -> None:
    (project / "loop").symlink_to("loop")
    for source in ("a\0b.jsonl", "x" * 5000, "loop/data.jsonl"):
        said = error(source, project)
        assert said.startswith("data.source ")
        assert "Mend the path" in said or "no data at" in said


def test_a_file_without_permission(project: Path) -> None:
    put(project / "data.jsonl").chmod(0)

    def work(_: int) -> str:
        if os.geteuid() == 0:
            os.seteuid(65534)  # root may read everything
        return error("data.jsonl", project)

    (said,) = at_once(1, work)
    assert "Permission denied" in said
    assert said.endswith("Mend the path or its permissions.")


@pytest.mark.parametrize(
    "source",
    [
        "data/{partition}.jsonl",
        "data/{partition}/",
        "data/{partition}/ads.jsonl",
        "data/ads+{partition}.v1.jsonl",
        "data/{partition}/{partition}.jsonl",
        "{partition}.jsonl",
        "data/{partition}-{partition}.jsonl",
    ],
)
def test_partitions_that_are_there(project: Path, source: str) -> None:
    assert look(source, project).partitions() == []
    for month in ("2026-04", "2025-12", "2026-13", "2026-5"):
        place = source.replace("{partition}", month)
        put(project / (f"{place}x.jsonl" if place.endswith("/") else place))
    put(project / "data" / "README.md")
    put(project / "data" / "2026-09" / "notes.txt")
    (project / "data" / "2026-08").mkdir()
    assert look(source, project).partitions() == ["2025-12", "2026-04"]


def test_a_month_named_twice_must_be_the_same_one(project: Path) -> None:
    put(project / "2026-01-2026-02.jsonl")
    assert look("{partition}-{partition}.jsonl", project).partitions() == []


def test_no_partitions_of_what_is_static_or_outside(project: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no partitions: there is no `\{partition\}` in it"):
        look("data", project).partitions()
    with pytest.raises(SourceError, match="outside of the folders"):
        look("../{partition}.jsonl", project).partitions()
    put(tmp_path / "2026-01.jsonl")
    assert look("../{partition}.jsonl", project, trusted=True).partitions() == ["2026-01"]
