"""The search finds what it is to find: without this its zero would mean nothing."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

from skillsengine.spec.schema import Tracking
from skillsengine.tracking.tracker import open_tracker
from tests.canary.planting import Canaries, new_secret
from tests.canary.watching import ProcessList


@pytest.fixture
def canaries() -> Canaries:
    made = Canaries()
    made.add("cage", new_secret())
    made.add("plain", new_secret("hf_", odd=False))
    return made


def places(found: dict[str, set[str]]) -> set[str]:
    return {each.partition(" ")[0] for hits in found.values() for each in hits}


def test_every_spelling_is_found(canaries: Canaries) -> None:
    secret = canaries.secrets["cage"]
    for text in (
        secret,
        f"https://user:{quote(secret, safe='')}@host/",
        json.dumps({"password": secret}),
        secret.encode().hex(),
        *(base64.b64encode(f"{'u' * n}:{secret}:".encode()).decode() for n in range(4)),
        *(base64.urlsafe_b64encode(f"{'u' * n}:{secret}:".encode()).decode() for n in range(4)),
    ):
        assert places(canaries.in_texts({"it": f"before {text} behind"})) == {"cage"}, text
    assert not canaries.in_texts({"it": secret[:-1], "another": new_secret(), "masked": "*" * len(secret)})


def test_every_kind_of_file_is_opened(canaries: Canaries, tmp_path: Path) -> None:
    text = f"x{canaries.secrets['cage']}y"
    (tmp_path / "page.html").write_text(text)
    (tmp_path / "log.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("inner", text)
    with sqlite3.connect(tmp_path / "rows.db") as database:  # longer than a page
        database.execute("create table t (v text)")
        database.execute("insert into t values (?)", (("a" * 4080 + text) * 3,))
    (tmp_path / f"{canaries.secrets['plain']}.txt").write_text("")
    found = canaries.in_tree(tmp_path)
    assert {Path(name).name.partition(".")[2] for name in found} == {"html", "gz", "zip", "db", "txt"}
    assert places(found) == {"cage", "plain"}
    canaries.cages.add(tmp_path / "page.html")
    assert str(tmp_path / "page.html") not in canaries.in_tree(tmp_path)


def test_what_w_and_b_would_send_is_read(canaries: Canaries, tmp_path: Path) -> None:
    config = {"a": canaries.secrets["cage"]}
    offline = Tracking(mode="offline")
    with open_tracker(offline, home=tmp_path, group="g", stage="format", digest="ab" * 32, config=config) as tracker:
        tracker.summary({"b": canaries.secrets["plain"]})
    [path] = tmp_path.rglob("*.wandb")
    assert places({str(path): canaries.in_tree(tmp_path)[str(path)]}) == {"cage", "plain"}


def test_a_command_line_is_seen(canaries: Canaries) -> None:
    with ProcessList() as processes:
        subprocess.run([sys.executable, "-c", "import time; time.sleep(1)", canaries.secrets["plain"]], check=True)
    assert places(canaries.in_texts(processes.texts)) == {"plain"}
