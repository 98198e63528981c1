"""Work on several processes: the result, the errors, and that nothing is left over. Starting ranks takes five CPU-seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from skillsengine.modeling.ranks import RankError, run_on_ranks

WORK = "tests.modeling.rank_work"


def silent(message: Any) -> Any:
    raise AssertionError(f"nobody asks anything here: {message}")


def test_ranks_work_together_and_ask() -> None:
    asked = []

    def hear(message: Any) -> int:
        asked.append(message)
        return 100

    assert run_on_ranks(f"{WORK}:add", [3, 4], count=2, hear=hear) == 107
    assert asked == ["one more"]


@pytest.mark.nightly
def test_the_error_of_a_rank_is_raised_here_and_ends_the_others() -> None:
    with pytest.raises(ValueError, match="7 is too much") as caught:
        run_on_ranks(f"{WORK}:fail", 7, count=2, hear=silent)
    assert "on rank 1:\nTraceback" in caught.value.__notes__[0]


@pytest.mark.nightly
def test_a_rank_that_is_killed_is_told_with_the_last_words() -> None:
    with pytest.raises(RankError, match=r"no error of their own(.|\n)*[Ss]ignal 9"):
        run_on_ranks(f"{WORK}:die", None, count=2, hear=silent)


@pytest.mark.nightly
def test_what_answering_raises_ends_the_ranks() -> None:
    class TakenOver(Exception):
        pass

    def hear(message: Any) -> None:
        raise TakenOver(message)

    with pytest.raises(TakenOver, match="still mine"):
        run_on_ranks(f"{WORK}:ask", "still mine?", count=2, hear=hear)


@pytest.mark.nightly
def test_ranks_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """Killed, it has no time to say so."""
    code = f"from skillsengine.modeling.ranks import *; run_on_ranks('{WORK}:wait', {str(tmp_path)!r}, count=2, hear=print)"
    starter = subprocess.Popen([sys.executable, "-c", code])
    signs = [tmp_path / f"pid-{rank}" for rank in range(2)]
    _until(lambda: all(sign.is_file() and sign.read_text() for sign in signs))
    starter.kill()
    starter.wait()
    _until(lambda: not any(_lives(int(sign.read_text())) for sign in signs))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def _until(true: Any, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)
