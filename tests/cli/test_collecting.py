"""`skillsengine gc`: what it shows, when it asks, what it deletes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from skillsengine.storage.artifact import Manifest
from skillsengine.storage.store import Store
from tests.cli.conftest import Command

OLD, YOUNG = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two artifacts that nobody needs, one of them old."""
    (tmp_path / "experiments").mkdir()
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(tmp_path))
    monkeypatch.setenv("SKILLSENGINE_HOME", str(tmp_path / "home"))
    store = Store(tmp_path / "home" / "store")
    for digest in (OLD, YOUNG):
        with store.building("format", digest) as folder:
            (folder / "rows.jsonl").write_text("x" * 1500)
            store.publish(folder, Manifest("format", 1, "2026-03", digest, {}, {}, {}))
    os.utime(store.path_of("format", OLD) / "manifest.json", (0, 0))
    return store


def test_it_shows_and_deletes_nothing_where_nobody_can_be_asked(command: Command, store: Store) -> None:
    for words in (("gc",), ("gc", "--dry-run"), ("gc", "--json"), ("gc", "--dry-run", "--yes")):
        said = command(*words)
        assert said.code == 0 and store.get("format", OLD) is not None
    said = command("gc")
    assert f"format[2026-03] {'a' * 12}" in said.out and "nobody needs it, not used for" in said.out
    assert "1 thing would go, 2 kB" in said.out and "1 used within 30d (--all lists them)" in said.out
    assert "nothing was deleted: nobody is here to ask (--yes deletes without asking)" in said.out
    assert f"{'b' * 12}  used a moment ago" in command("gc", "--dry-run", "--all").out.replace("   ", "  ")


def test_yes_deletes(command: Command, store: Store) -> None:
    said = command("gc", "--yes")
    assert said.code == 0 and said.out.endswith("deleted 1 thing, 2 kB\n")
    assert store.get("format", OLD) is None and store.get("format", YOUNG) is not None
    assert command("gc", "--yes").out.startswith("nothing to delete\n1 artifacts stay, 2 kB:\n")
    told = json.loads(command("gc", "--older-than", "0d", "--json", "--yes").out)
    assert [fate["goes"] for fate in told["artifacts"]] == [True]
    assert told["removed"] == [f"format[2026-03] {'b' * 12}"] and told["bytes"] == 1500


def test_an_age_that_is_none(command: Command, store: Store) -> None:
    said = command("gc", "--older-than", "soon")
    assert said.code == 1
    assert said.err == "error: --older-than soon: a duration is a whole number with a unit: 90s, 15m, 6h or 3d.\n"
