"""Data sets of the Hub, by the real client against a fake of the Hub: revisions, folders, the cache, and every refusal."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import huggingface_hub.constants
import pytest

from skillsengine.sources.errors import SourceError, SourceUnavailable
from skillsengine.storage.catalog import Catalog
from tests.sources.front import black_hole, refusing
from tests.sources.looking import content, error, files, listen, look, names, said_anywhere, unavailable
from tests.sources.servers import Hub
from tests.tracking.hub_repo import point_at

CSV = "id\n1\n"


def test_a_revision_is_pinned_to_its_commit(hub: Hub) -> None:
    first = hub.commit("org/ads", {"ads.csv": "id\n1\n"})
    second = hub.commit("org/ads", {"ads.csv": "id\n2\n"})
    hub.state.repos["datasets/org/ads"].tags["v1"] = first
    for revision, commit, text in (
        ("", second, "id\n2\n"),
        ("@main", second, "id\n2\n"),
        ("@v1", first, "id\n1\n"),
        (f"@{first}", first, "id\n1\n"),
    ):
        (file,) = files(f"hf://org/ads{revision}")
        assert file.uri == f"hf://datasets/org/ads@{commit}/ads.csv"
        assert (content(file), file.sha256) == (text.encode(), hashlib.sha256(text.encode()).hexdigest())


def test_what_a_plan_pinned_is_read_though_the_branch_moves_on(hub: Hub) -> None:
    hub.commit("org/ads", {"ads.csv": "id\n1\n"})
    (file,) = files("hf://org/ads@main")
    hub.commit("org/ads", {"ads.csv": "id\n2\n"})
    assert content(file) == b"id\n1\n"


def test_the_hubs_own_conversion(hub: Hub) -> None:
    hub.commit("org/ads", {"ads.py": "code"})
    hub.commit("org/ads", {"default/train/0000.csv": CSV}, branch="refs/convert/parquet", replace=True)
    for written in ("refs/convert/parquet", "refs%2Fconvert%2Fparquet"):
        (file,) = files(f"hf://org/ads@{written}")
        assert (file.name, file.split, content(file)) == ("0000.csv", "train", CSV.encode())
    said = error("hf://org/ads")
    assert "A loading script is code, and never run here" in said
    assert "try hf://org/ads@refs/convert/parquet" in said


def test_a_large_file_is_known_by_its_sha256_and_not_read(hub: Hub, catalog: Catalog) -> None:
    hub.state.large = 10
    body = CSV * 1000
    hub.put("ads.csv", body)
    (file,) = files("hf://org/ads", memory=catalog, read=False)
    assert file.sha256 == hashlib.sha256(body.encode()).hexdigest()
    assert hub.front.bytes_of("/resolve/") == 0
    assert content(file) == body.encode()


def test_another_commit_with_the_same_file_is_not_read_again(hub: Hub, catalog: Catalog) -> None:
    hub.put("ads.csv", CSV)
    (file,) = files("hf://org/ads", memory=catalog)
    hub.put("README.md", "# Ads\n")
    hub.front.forget()
    (again,) = files("hf://org/ads", memory=catalog)
    assert (again.sha256, again.uri != file.uri) == (file.sha256, True)
    assert hub.front.bytes_of("/resolve/") == 0


def test_files_in_one_folder_or_in_one_for_each_split(hub: Hub) -> None:
    hub.commit("org/one", {"README.md": "x", "data/a.csv": CSV, "data/b.csv": CSV})
    assert names(files("hf://org/one")) == ["a.csv", "b.csv"]
    hub.commit("org/splits", {f"data/{split}/a.csv": CSV for split in ("train", "validation", "test")})
    assert sorted(str(file.split) for file in files("hf://org/splits")) == ["test", "train", "validation"]
    hub.commit("org/two", {"en/a.csv": CSV, "de/b.csv": CSV})
    assert error("hf://org/two") == (
        "data.source hf://org/two: several folders of the data set hold data. Say which is meant: hf://org/two@main/de, "
        "hf://org/two@main/en."
    )
    assert names(files("hf://org/two@main/de")) == ["b.csv"]


def test_parts_that_are_missing(hub: Hub) -> None:
    hub.put("train-00001-of-00003.csv", CSV)
    assert "2 of the 3 parts of `train` are missing, the first is train-00000-of-00003" in error("hf://org/ads")


def test_no_such_data_set_revision_or_file(hub: Hub) -> None:
    commit = hub.commit("org/ads", {"ads.csv": CSV, "notes.md": "x"})
    assert error("hf://org/other").startswith(
        "data.source hf://org/other: the Hub has no data set `org/other`, or it is private"
    )
    said = error("hf://org/ads@v9")
    assert "the Hub has the data set `org/ads`, but no revision `v9` of it. Take a commit, tag or branch from" in said
    said = error("hf://org/ads@main/2021/*.csv")
    assert said.startswith(
        f"no data at hf://org/ads@main/2021/*.csv (commit {commit[:12]}; it holds ads.csv, notes.md): "
    )
    assert said.endswith("Mend the path behind the revision.")
    hub.commit("org/empty", {})
    assert "; it is empty)" in error("hf://org/empty")


def test_a_gated_data_set(hub: Hub) -> None:
    hub.commit("org/ads", {"ads.csv": CSV}, gated=True)
    said = error("hf://org/ads")
    assert (
        "the data set is gated: accept its terms at https://huggingface.co/datasets/org/ads and give the worker a token"
        in said
    )


def test_a_token_that_is_not_accepted(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    listen(caplog)
    hub.put("ads.csv", CSV)
    wrong = "hf_" + "w" * 34
    monkeypatch.setenv("AIRFLOW_CONN_HUB", f'{{"conn_type": "generic", "password": "{wrong}"}}')
    with pytest.raises(SourceError) as caught:
        files("hf://org/ads", connection="hub")
    assert "the Hub refuses access (401: Invalid credentials" in str(caught.value)
    assert "Give the worker a token that may read the data set" in str(caught.value)
    assert wrong not in said_anywhere(caught.value, caplog)


def test_access_that_is_taken_away_between_plan_and_run(hub: Hub) -> None:
    hub.put("ads.csv", CSV)
    (file,) = files("hf://org/ads", read=False)
    hub.front.fail(403, b"", path="/resolve/", headers={"X-Error-Message": "Your token may not."})
    with pytest.raises(SourceError) as caught:
        content(file)
    assert "the Hub refuses access (403" in str(caught.value)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_hub_that_stumbles_is_asked_again(hub: Hub, status: int) -> None:
    hub.put("ads.csv", CSV)
    hub.front.fail(status, times=1, path="/api/datasets/org/ads")
    hub.front.fail(status, times=1, path="/tree/")
    hub.front.fail(status, times=1, path="/resolve/", method="HEAD")
    hub.front.fail(status, times=1, path="/resolve/", method="GET")
    (file,) = files("hf://org/ads")
    assert content(file) == CSV.encode()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_stays_busy(hub: Hub, status: int) -> None:
    hub.put("ads.csv", CSV)
    (file,) = files("hf://org/ads", read=False)
    hub.front.fail(status)
    said = unavailable("hf://org/ads")
    assert said.startswith("data.source hf://org/ads: the Hub could not be asked: ")
    assert said.endswith("with a filled cache, HF_HUB_OFFLINE=1 does without it.")
    with pytest.raises(SourceUnavailable, match="the Hub could not be asked"):
        content(file)


def test_a_download_that_breaks_off_goes_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    body = ("id\n" + "1\n" * 500_000).encode()
    hub.put("ads.csv", body)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    hub.front.cut(700_000, times=1, path="/resolve/")
    (file,) = files("hf://org/ads")
    assert file.sha256 == hashlib.sha256(body).hexdigest()
    assert hub.front.bytes_of("/resolve/") < 1.2 * len(body)


def test_nobody_listens(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub.put("ads.csv", CSV)
    (file,) = files("hf://org/ads", read=False)
    point_at(refusing(), monkeypatch, tmp_path)
    start = time.monotonic()
    assert "the Hub could not be asked: " in unavailable("hf://org/ads")
    with pytest.raises(SourceUnavailable, match="the Hub could not be asked"):
        content(file)
    assert time.monotonic() - start < 20


def test_nobody_answers(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert huggingface_hub.constants.HF_HUB_ETAG_TIMEOUT <= 20
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_ETAG_TIMEOUT", 1)
    hub.put("ads.csv", CSV)
    (file,) = files("hf://org/ads", read=False)
    with black_hole() as hole:
        point_at(hole, monkeypatch, tmp_path)
        start = time.monotonic()
        assert "the Hub could not be asked: " in unavailable("hf://org/ads")
        with pytest.raises(SourceUnavailable, match="the Hub could not be asked"):
            content(file)
        assert time.monotonic() - start < 30


def test_offline_the_cache_is_all_there_is(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("org/ads", {"train.csv": CSV, "test.csv": CSV, "README.md": "x"})
    found = files("hf://org/ads")
    assert [content(file) for file in found] == [CSV.encode()] * 2
    hub.front.forget()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    again = files("hf://org/ads")
    assert [(file.uri, file.sha256) for file in again] == [(file.uri, file.sha256) for file in found]
    assert [content(file) for file in again] == [CSV.encode()] * 2
    said = error("hf://org/others@v1")
    assert "not (or not whole) in this machine's Hub cache" in said
    assert "hf download --repo-type dataset org/others --revision v1" in said
    assert not hub.front.asked


def test_the_disk_of_the_cache_is_full(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put("ads.csv", CSV)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert "the disk of the Hub cache" in error("hf://org/ads")


def test_a_name_that_no_data_set_can_have(hub: Hub) -> None:
    assert "`org/a--b` is no valid name of a data set" in error("hf://org/a--b")


def test_the_package_is_missing(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert error("hf://org/ads") == (
        "data.source hf://org/ads: hf:// needs the package `huggingface_hub`, which is not installed here: "
        "pip install 'skillsengine[hf]'"
    )


def test_notes_tell_what_is_not_read(hub: Hub) -> None:
    hub.commit("org/ads", {"ads.csv": CSV, "ads.zip": "x", "img/a.pkl": "x"})
    source = look("hf://org/ads")
    assert names(source.files(None)) == ["ads.csv"]
    (note,) = source.notes()
    assert note.startswith("beside the data lies what is not read: ads.zip (unpack it)")
