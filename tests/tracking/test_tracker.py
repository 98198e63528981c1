from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from skillsengine.spec.schema import Tracking
from skillsengine.stages.contract import StageTracker
from skillsengine.tracking import server
from skillsengine.tracking import tracker as tracking
from skillsengine.tracking.tracker import Tracker, open_tracker
from tests.tracking.artifacts import make_artifact
from tests.tracking.wandb_log import told

KEY = "0123456789" * 4
OUR_VARIABLES = (
    "WANDB_ERROR_REPORTING",
    "WANDB_DIR",
    "WANDB_DATA_DIR",
    "WANDB_CACHE_DIR",
    "WANDB_CONFIG_DIR",
    "WANDB_ARTIFACT_DIR",
    "WANDB_SILENT",
)


@pytest.fixture(autouse=True)
def nobody_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty home, so that what W&B writes outside of its folder is found; no W&B variables of whoever runs this."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    yield
    assert list((tmp_path / "user").iterdir()) == []
    assert not [name for name in OUR_VARIABLES if name in os.environ]


def our_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == tracking.__name__]


def opened(home: Path, settings: Tracking | None = None, **changes: Any) -> Tracker:
    wanted: dict[str, Any] = {
        "group": "job-skills/manual__1",
        "stage": "evaluate[adapter]",
        "digest": "ab" * 32,
        "config": {"train": {"epochs": 3.0}, "name": "job-skills"},
        "tags": ("job-skills", "job-skills", "x" * 80),
    }
    return open_tracker(settings or Tracking(), home=home, **(wanted | changes))


def test_an_offline_run_holds_what_was_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    picture = tmp_path / "lengths.png"
    Image.new("RGB", (4, 4)).save(picture)
    ads = make_artifact(tmp_path / "ads", "format", {"rows.jsonl": b"{}"}, key="2026-01", rows=1)
    adapter = make_artifact(tmp_path / "adapter", "finetune", {"base.json": b"{}", "w/large.bin": b"w" * 2_000_000})
    with opened(home) as tracker:
        as_stages_see_it: StageTracker = tracker
        assert tracker.mode == "offline" and tracker.url is None
        folder = tracker.folder
        tracker.used(ads, "job-skills")
        as_stages_see_it.log({"train/loss": 1.5}, step=10)
        as_stages_see_it.log({"train/loss": 1.25}, step=20)
        as_stages_see_it.table("predictions", ["id", "gold"], [["1", None], ["2", "Excel"]])
        as_stages_see_it.image("lengths", picture)
        tracker.html("report", "<!doctype html><p>all of it</p>")
        as_stages_see_it.summary({"f1": 0.5, "rows": 24})
        tracker.made(adapter, "job-skills")
    assert folder is not None and folder.is_relative_to(home / "wandb")
    found = told(folder)
    assert {key: found.run[key] for key in ("project", "run_group", "job_type", "display_name")} == {
        "project": "llama-job-skills",
        "run_group": "job-skills/manual__1",
        "job_type": "evaluate",
        "display_name": "evaluate[adapter]",
    }
    assert sorted(found.run["tags"]) == ["job-skills", "x" * 64]
    assert found.config["train"] == {"epochs": 3.0}
    assert found.config["skillsengine"] == {
        "stage": "evaluate[adapter]",
        "digest": "ab" * 32,
        "run": "job-skills/manual__1",
    }
    assert [(row["_step"], row["train/loss"]) for row in found.history if "train/loss" in row] == [
        (10, 1.5),
        (20, 1.25),
    ]
    shown = {key: value for row in found.history for key, value in row.items()}
    assert (shown["predictions.nrows"], shown["lengths.width"]) == (2, 4)
    assert (folder / "files" / shown["report.path"]).read_text() == "<!doctype html><p>all of it</p>"
    assert {"f1": 0.5, "rows": 24}.items() <= found.summary.items()
    assert found.artifacts() == {("used", "data", "job-skills-data-2026-01"), ("made", "adapter", "job-skills-adapter")}
    assert found.exit_code == 0
    assert capfd.readouterr() == ("", "")


def test_small_files_are_sent_and_ads_and_large_ones_stay_in_the_store(tmp_path: Path) -> None:
    ads = make_artifact(tmp_path / "ads", "format", {"rows.jsonl": b"{}"}, key="2026-01", rows=1)
    adapter = make_artifact(tmp_path / "adapter", "finetune", {"base.json": b"{}", "w/large.bin": b"w" * 2_000_000})
    large = {"README.md": b"card", "adapter_model.safetensors": b"w" * 2_000_000}
    version = make_artifact(tmp_path / "version", "register", large, model="skills", number=7)
    with opened(tmp_path / "home") as tracker:
        folder = tracker.folder
        tracker.used(ads, "job-skills")
        tracker.used(adapter, "job-skills")
        tracker.registered(version)
    assert folder is not None
    found = told(folder)
    contents = {
        entry["path"]: entry.get("ref") or entry["local_path"]
        for each in found.made + found.used
        for entry in each["manifest"]["contents"]
    }
    rows, weights = ads.manifest.files["rows.jsonl"].sha256, adapter.manifest.files["w/large.bin"].sha256
    assert contents == {
        "rows.jsonl": f"skillsengine://format/{ads.digest}/rows.jsonl?sha256={rows}",
        "base.json": str(tmp_path / "adapter" / "base.json"),  # read where it lies: the store never changes it
        "w/large.bin": f"skillsengine://finetune/{adapter.digest}/w/large.bin?sha256={weights}",
        "README.md": str(tmp_path / "version" / "README.md"),
        "adapter_model.safetensors": str(tmp_path / "version" / "adapter_model.safetensors"),
    }
    (model,) = found.made
    assert (model["type"], model["name"]) == ("model", "skills")
    assert {"7", version.digest[:12]} <= set(model["aliases"])
    assert json.loads(model["metadata"])["summary"] == {"model": "skills", "number": 7}


def test_nothing_of_the_machine_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr("sys.argv", ["worker", "--token", "very-secret-token"])
    with opened(tmp_path / "home", Tracking(mode="offline")) as tracker:
        tracker.log({"loss": 1.0})
        folder = tracker.folder
    assert folder is not None and not told(folder).run.get("host")
    for file in (tmp_path / "home").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert b"very-secret-token" not in content and KEY.encode() not in content, file


def test_offline_each_attempt_is_a_run_of_its_own_in_the_same_group(tmp_path: Path) -> None:
    """What is sent later begins at a run's beginning: two attempts of one id would write over each other."""

    def run_id(**changes: Any) -> str:
        with opened(tmp_path / "home", **changes) as tracker:
            folder = tracker.folder
        assert folder is not None
        return folder.name.rpartition("run-")[2].partition("-")[2]

    first = run_id()
    assert [run_id(), run_id()] == [f"{first}-2", f"{first}-3"]
    others = [run_id(digest="cd" * 32), run_id(group="job-skills/manual__2")]
    assert len({first, *others}) == 3 and not any("-" in other for other in others)


def test_a_failed_stage_ends_its_run_as_failed(tmp_path: Path) -> None:
    tracker = opened(tmp_path / "home")
    folder = tracker.folder
    with pytest.raises(RuntimeError, match="the stage broke"), tracker:
        raise RuntimeError("the stage broke")
    assert folder is not None and told(folder).exit_code == 1


@pytest.mark.parametrize(("mode", "variable"), [("disabled", None), ("auto", "disabled")])
def test_disabled_does_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, variable: str | None
) -> None:
    if variable:
        monkeypatch.setenv("WANDB_MODE", variable)
    with opened(tmp_path / "home", Tracking.model_validate({"mode": mode})) as tracker:
        tracker.log({"loss": 1.0}, step=1)
        tracker.table("t", ["a"], [["x"]])
        tracker.image("i", tmp_path / "missing.png")
        tracker.summary({"f1": 1.0})
        tracker.made(make_artifact(tmp_path / "a", "format", {}), "job-skills")
        assert (tracker.url, tracker.folder, tracker.mode) == (None, None, "disabled")
    assert not (tmp_path / "home").exists()


def test_a_failure_is_told_once_with_what_was_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path / "home") as tracker:
        for _ in range(3):
            tracker.image("lengths", tmp_path / "missing.png")
        tracker.table("predictions", ["a", "b"], [["only one cell"]])
        tracker.log({"loss": 1.0}, step=1)
    texts = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(texts) == 2
    assert texts[0].startswith("W&B: the image `lengths` lost; the stage goes on. ") and "missing.png" in texts[0]
    assert texts[1].startswith("W&B: the table `predictions` lost; the stage goes on. ")


def test_a_run_that_is_over_takes_no_more_and_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = opened(tmp_path / "home")
    tracker.close()
    tracker.close()
    tracker.log({"loss": 1.0})
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_with_a_key_and_no_server_it_goes_on_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    with opened(tmp_path / "home") as tracker:
        assert tracker.mode == "offline"
        tracker.summary({"f1": 0.5})
    text = our_messages(caplog)[0]
    assert text.startswith("W&B does not start online; going on offline. ConnectionError: ")
    assert f"http://127.0.0.1:{port} does not answer within 5 s" in text


def test_a_server_that_accepts_and_keeps_silent_is_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "PROBE_SECONDS", 0.3)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with opened(tmp_path / "home") as tracker:
            assert tracker.mode == "offline"
    assert "does not answer within 0.3 s" in our_messages(caplog)[0]


def test_a_server_that_is_no_wandb_does_not_hold_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracking, "INIT_SECONDS", 1.0)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    answer = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        with opened(tmp_path / "home") as tracker:
            assert tracker.mode == "offline"
        server.shutdown(socket.SHUT_RDWR)
    text = our_messages(caplog)[0]
    assert text.startswith("W&B does not start online; going on offline. ")
    assert KEY not in caplog.text


def test_where_nothing_can_be_written_the_stage_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "home").write_text("a file where a folder should be")
    with opened(tmp_path / "home") as tracker:
        tracker.log({"loss": 1.0})
        assert tracker.mode == "disabled"
    assert "W&B does not start offline; nothing of this stage is tracked. " in caplog.text
