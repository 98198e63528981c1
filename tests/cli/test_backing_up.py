"""`skillsengine backup` beside a training that goes on in another process, and `restore` into another home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.pipeline.backup import path_in
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.cli.conftest import Command
from tests.conftest import PROJECT
from tests.pipeline.project import make_project
from tests.pipeline.test_garbage import SPEC


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a spec and its home, which a test may move."""
    settings = make_project(tmp_path / "project")
    (settings.experiments / "tiny.yaml").write_text(SPEC)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(settings.project))
    monkeypatch.setenv("SKILLSENGINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def training(spec: Path, *sets: str) -> subprocess.Popen[str]:
    """`skillsengine run` in a process of its own."""
    words = [sys.executable, "-c", "from skillsengine.cli import main; main()", "run", str(spec)]
    words += [word for each in sets for word in ("--set", each)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.nightly
def test_a_backup_beside_a_training_is_restored_elsewhere(
    command: Command, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, kept = tmp_path / "project" / "experiments" / "tiny.yaml", tmp_path / "kept"
    assert command("run", str(spec)).code == 0
    process = training(spec, "train.epochs=900")
    try:
        assert process.stdout is not None
        heard, lines = "", list[str]()
        while not heard.lstrip().startswith("finetune"):  # its first progress: the training has begun
            heard = process.stdout.readline()
            lines.append(heard)
            assert heard, f"the training ended with {process.wait()}: {lines}"
        said = command("backup", str(kept))
        assert process.poll() is None, "the training goes on"
    finally:
        process.kill()
        process.communicate()
    assert (said.code, said.err) == (0, "") and ", 0 were there" in said.out
    store = Store(home / "store")
    (snapshot,) = (kept / "snapshots").iterdir()
    told = json.loads((snapshot / "backup.json").read_text())
    assert sorted(path.name for path in snapshot.iterdir()) == ["backup.json", "catalog.db"]
    there = {
        path.parent.relative_to(kept / "artifacts").as_posix() for path in kept.glob("artifacts/*/*/*/manifest.json")
    }
    assert len(there) == len(told["artifacts"]) and not told["missing"]
    assert len([name for name in told["artifacts"] if name.startswith("finetune/")]) == 1, "the one that was done"

    again = command("backup", str(kept))
    assert again.code == 0 and ": 0 artifacts are new (0 bytes), " in again.out, "a second one copies only what is new"

    other = tmp_path / "elsewhere" / "home"
    monkeypatch.setenv("SKILLSENGINE_HOME", str(other))
    assert f"{snapshot.name}: " in command("restore", str(kept), "--list").out
    restored = command("restore", str(kept), "--snapshot", snapshot.name)
    assert (restored.code, restored.err) == (0, "") and f"{len(there)} artifacts" in restored.out
    home.rename(home.with_name("lost"))  # nothing may come from there
    (version,) = json.loads(command("versions", "--json").out)
    assert (version["version"], version["folder"]) == ("tiny@1", str(other / "store" / "versions" / "tiny" / "1"))
    assert (Path(version["folder"]) / "adapter_config.json").is_file()
    for words in (("show", "tiny@1"), ("matrix", "tiny"), ("errors", "tiny@1"), ("lineage", "tiny@1")):
        shown = command(*words)
        assert shown.code == 0, shown.err
    assert command("report", "tiny@1", "-o", str(tmp_path / "report.html")).code == 0
    states = {run["state"]: run["error"] for run in json.loads(command("runs", "--json").out)}
    assert set(states) == {"success", "failed"} and "was going on when the backup was made" in str(states["failed"])
    run = command("run", str(spec))
    assert run.code == 0 and "unchanged since tiny@1" in run.out

    refused = command("restore", str(kept))
    assert refused.code == 1 and "has runs or versions already, and they would be mixed" in refused.err
    _damaged(command, kept, told["artifacts"], tmp_path, monkeypatch)
    assert not store.root.exists()


def _damaged(
    command: Command, kept: Path, artifacts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One artifact with a flipped byte, one that is gone: all others come back, and these are told."""
    monkeypatch.setenv("SKILLSENGINE_HOME", str(tmp_path / "third"))
    flipped, lost = (next(n for n in artifacts if n.startswith(stage)) for stage in ("profile/", "register/"))
    file = next(path for path in path_in(kept, *flipped.split("/")).iterdir() if path.name != "manifest.json")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.unlink()  # it may be a link
    file.write_bytes(data)
    (path_in(kept, *lost.split("/")) / "manifest.json").unlink()
    restored = command("restore", str(kept))
    digests = [name.split("/")[1][:12] for name in (flipped, lost)]
    assert restored.code == 1
    assert f"missing: profile {digests[0]}: {file.name} was changed in the backup" in restored.err
    assert f"missing: register {digests[1]}: the backup does not have it" in restored.err
    assert f"{len(artifacts) - 2} artifacts" in restored.out
    newest = max(kept.glob("snapshots/*/catalog.db"))
    newest.write_bytes(newest.read_bytes()[:-1] + b"x")
    monkeypatch.setenv("SKILLSENGINE_HOME", str(tmp_path / "fourth"))
    refused = command("restore", str(kept))
    assert refused.code == 1 and "catalog.db is not what was backed up: its sha256 is" in refused.err


def test_what_is_no_backup_is_told(command: Command, home: Path, tmp_path: Path) -> None:
    said = command("restore", str(tmp_path))
    assert said.code == 1 and "holds no backup: there is no snapshots/*/backup.json" in said.err
    file = tmp_path / "file"
    file.write_text("x")
    said = command("backup", str(file))
    assert said.code == 1 and f"the backup in {file} was not made: " in said.err


def test_what_the_store_has_lost_is_told_and_the_rest_is_kept(command: Command, home: Path, tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{home / 'catalog.db'}")
    catalog.record_artifact("a" * 64, "format", "2026-03", "/nowhere", 1)
    said = command("backup", str(tmp_path / "kept"))
    assert said.code == 1 and f"not in the backup: format {'a' * 12}: the store does not have it" in said.err
    assert command("restore", str(tmp_path / "kept"), "--list").out.endswith("kB\n")
