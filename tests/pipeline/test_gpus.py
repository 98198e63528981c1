"""A GPU is taken by one process at a time. There is none here: the names of CUDA_VISIBLE_DEVICES stand for some, and real
processes take them."""

from __future__ import annotations

import os
import selectors
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skillsengine.pipeline import gpus
from skillsengine.pipeline.gpus import VISIBLE, Gpu, take, visible
from skillsengine.pipeline.run import open_run, run_stage
from skillsengine.stages.contract import Progress, StageError
from skillsengine.storage.catalog import Catalog
from tests.conftest import PROJECT
from tests.pipeline.project import make_project, tiny_experiment

TAKES = """
import os, sys
from pathlib import Path
from skillsengine.pipeline.gpus import VISIBLE, take

def waiting(text):
    print("waiting", text, flush=True)

taken = take(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], waiting)
print("taken", ",".join(gpu.name for gpu in taken), os.environ.get(VISIBLE), flush=True)
sys.stdin.read()
"""


@contextmanager
def taker(count: int, folder: Path, who: str, there: str) -> Iterator[subprocess.Popen[str]]:
    """A process that takes GPUs and keeps them until it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKES, str(count), str(folder), who],
        env={**os.environ, VISIBLE: there, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str], first: str = "") -> str:
    """The next line that begins so."""
    assert process.stdout is not None
    for said in process.stdout:
        if said.startswith(first):
            return said.strip()
    raise AssertionError(f"the process ended ({process.wait()}) before it said `{first}`")


def first_to_say(word: str, *processes: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """The first of the processes with a line that begins so; read byte by byte, so that nothing stays unseen in a buffer."""
    read = {process: "" for process in processes}
    with selectors.DefaultSelector() as ready:
        for process in processes:
            assert process.stdout is not None
            ready.register(process.stdout, selectors.EVENT_READ, process)
        while True:
            for key, _ in ready.select():
                process = key.data
                byte = os.read(key.fd, 1).decode()
                assert byte, f"a process ended ({process.wait()}) before it said `{word}`"
                read[process] = "" if byte == "\n" else read[process] + byte
                if read[process] == f"{word} ":
                    return process


def test_one_waits_until_the_other_is_dead(tmp_path: Path) -> None:
    with taker(1, tmp_path, "a/first finetune", "0") as first:
        assert line(first) == "taken 0 0"
        with taker(1, tmp_path, "b/second finetune", "0") as second:
            said = line(second)
            assert said.startswith(f"waiting waiting for GPU 0, held by a/first finetune (pid {first.pid} on ")
            first.send_signal(signal.SIGKILL)
            assert line(second, "taken") == "taken 0 0", "the kernel frees what a killed process held"


def test_each_finds_one_of_its_own_and_sees_no_other(tmp_path: Path) -> None:
    with taker(1, tmp_path, "a", "0,1") as a, taker(1, tmp_path, "b", "0,1") as b:
        assert {line(a), line(b)} == {"taken 0 0", "taken 1 1"}
        with taker(2, tmp_path, "c", "0,1") as c:
            assert line(c).startswith("waiting waiting for 2 of the GPUs 0 (held by ")
            a.kill()
            b.kill()
            assert line(c, "taken") == "taken 0,1 0,1"


def test_two_that_want_two_each_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with taker(2, tmp_path, "a", "0,1") as a, taker(2, tmp_path, "b", "1,0") as b:
        # Either may say for a while that it waits, before it is the one that takes both.
        winner = first_to_say("taken", a, b)
        loser = b if winner is a else a
        winner.kill()
        assert line(loser, "taken").startswith("taken ")


def test_what_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    with taker(4, tmp_path, "a", "0,1") as few, taker(1, tmp_path / "none", "b", "-1") as none:
        assert line(few) == "taken 0,1 0,1", "the stage says that there are too few"
        assert line(none) == "taken  -1", "and that there is none"


@pytest.mark.parametrize(
    ("listed", "names"),
    [("", []), ("2", ["2"]), ("3, 1", ["3", "1"]), ("0,-1,1", ["0"]), ("1,1", ["1"]), ("NoDevFiles", [])],
)
def test_the_list_is_read_as_cuda_reads_it(listed: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "_uuids", dict)
    assert [gpu.name for gpu in visible({VISIBLE: listed})] == names


def fake_smi(folder: Path, text: str, code: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\nexit {code}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)


def test_a_gpu_is_known_by_its_uuid_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers on one machine number the same GPU differently, and share a home."""
    fake_smi(tmp_path / "bin", "0, GPU-aaaa-1\n1, GPU-bbbb-2\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert visible({}) == [Gpu("GPU-aaaa-1", "GPU-aaaa-1", "0"), Gpu("GPU-bbbb-2", "GPU-bbbb-2", "1")]
    assert visible({VISIBLE: "1"}) == [Gpu("1", "GPU-bbbb-2", "1")]
    assert visible({VISIBLE: "GPU-bbbb"}) == [Gpu("GPU-bbbb", "GPU-bbbb-2", "GPU-bbbb")]
    assert visible({VISIBLE: "MIG-cccc"}) == [Gpu("MIG-cccc", "MIG-cccc", "MIG-cccc")]


def test_a_tool_that_fails_is_told_and_the_numbers_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake_smi(tmp_path / "bin", "", code=9)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (gpu,) = visible({VISIBLE: "1"})
    assert gpu.name == "1" and gpu.key.endswith("-1")
    assert "nvidia-smi does not tell which GPUs there are" in caplog.text


def test_without_a_place_for_locks_no_training_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpus").write_text("a file")
    monkeypatch.setenv(VISIBLE, "0")
    with pytest.raises(
        StageError, match=r"GPU 0 cannot be locked by .*gpus/.*\.lock: .*So that no two trainings get it"
    ):
        take(1, tmp_path / "gpus", "a", lambda text: None)
    assert os.environ[VISIBLE] == "0"


def test_a_real_training_waits_visibly_and_keeps_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits in the catalog and before people; then it finds that there is no GPU in this machine at all."""
    settings = make_project(tmp_path / "project")
    run = open_run(tiny_experiment(resources={"device": "cuda"}), dag_id="tiny", run_id="waits", settings=settings)
    for stage in ("format", "profile"):
        run_stage(run, stage)
    monkeypatch.setenv(VISIBLE, "0")
    said: list[str] = []
    with taker(1, settings.home / "gpus", "other/first finetune", "0") as other:
        assert line(other) == "taken 0 0"

        def observe(step: str, progress: Progress) -> None:
            said.append(progress.text)
            if len(said) == 1:
                steps = {row.step_id: row for row in Catalog.open(settings.catalog_url).steps_of(run.id)}
                assert steps["finetune"].progress["text"] == progress.text
                other.kill()

        try:
            with pytest.raises(StageError, match="this machine shows no CUDA device"):
                run_stage(run, "finetune", observe)
        finally:
            for lock in gpus._of_this_process():
                lock.free()
            gpus._taken.clear()
    assert said[0].startswith(f"waiting for GPU 0, held by other/first finetune (pid {other.pid} on ")
