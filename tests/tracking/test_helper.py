"""What W&B's helper tells in its own log of a run, as it wrote it when a key was refused in mid-run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillsengine.tracking.helper import Refused, require_sent

SENT = [
    {"level": "INFO", "msg": "stream: starting", "core version": "0.31.0"},
    {"level": "ERROR", "msg": "api: HTTP error", "status": 500, "method": "POST"},
    {"level": "INFO", "msg": "stream: all finished"},
]
FATAL = "filestream: fatal error: filestream: failed to upload: 401 Unauthorized url=http://127.0.0.1:1/file_stream: {}"
ARTIFACT = "sender: failed to log artifact: ArtifactSaver.createArtifact: returned error 401: no such key"


def log(folder: Path, *records: object, end: str = "") -> Path:
    (folder / "logs").mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in records) + end
    (folder / "logs" / "debug-internal.log").write_text(lines)
    return folder


def test_a_request_that_was_repeated_is_nothing_lost(tmp_path: Path) -> None:
    require_sent(log(tmp_path, *SENT, ["no", "record"], end='{"level":"ERR'))


@pytest.mark.parametrize("said", [FATAL, ARTIFACT])
def test_what_it_gave_up_is_told(tmp_path: Path, said: str) -> None:
    with pytest.raises(Refused) as caught:
        require_sent(log(tmp_path, SENT[0], {"level": "ERROR+4", "msg": said}, SENT[2]))
    assert str(caught.value) == said


def test_without_a_log_nothing_is_known(tmp_path: Path) -> None:
    require_sent(tmp_path)
