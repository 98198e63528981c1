"""The server that the page *Try it* asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillsengine.doctor.try_server import examine_try_server
from skillsengine.settings import load_settings
from tests.serving.test_client import answering


def test_it_is_told_without_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").mkdir()
    token = tmp_path / "token"
    token.write_text("a-secret-of-sixteen")
    assert list(examine_try_server(load_settings(tmp_path))) == []
    monkeypatch.setenv("SKILLSENGINE_SERVE_TOKEN_FILE", str(token))
    for ready, level, text in (
        (True, "ok", f"serves jobs@7; the token of {token}"),
        (False, "warning", "is ending, and takes nothing more"),
    ):
        told = {"ready": ready, "model": "jobs", "version": 7, "waiting": 0}
        with answering(200, json.dumps(told).encode()) as url:
            monkeypatch.setenv("SKILLSENGINE_SERVE_URL", url)
            (finding,) = examine_try_server(load_settings(tmp_path))
        assert (finding.level, finding.text) == (level, f"{url} {text}")
    (finding,) = examine_try_server(load_settings(tmp_path))
    assert finding.level == "problem" and "does not answer" in finding.text and "SKILLSENGINE_SERVE_URL" in finding.text
    token.write_text("short")
    (finding,) = examine_try_server(load_settings(tmp_path))
    assert finding.text.endswith(f"Write one: openssl rand -hex 32 > {token}") and "short" not in finding.text
