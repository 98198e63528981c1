"""One piece of work on several processes of this machine (ranks), started by torch's own launcher (`torchrun`).

    result = run_on_ranks("package.module:function", arguments, count=4, hear=answer)

calls `function(arguments, link)` in each of them, with torch's process group still to be made (transformers' Trainer makes it).
Rank 0 speaks to this process through `link.ask`; what its function returns is the result. If one rank fails, all end. If this
process ends, however it does, all end: each holds a line to it and leaves when that is cut.
"""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_LOOK_SECONDS = 0.2
_GRACE_SECONDS = 10.0
"""From asking the ranks to end until they are killed."""
_SAID_CHARS = 2000
_SOCKET, _JOB, _RESULT, _SAID = "line", "job.pickle", "result.pickle", "said.log"


class RankError(Exception):
    """A rank ended without an error of its own to tell: killed, or torch could not join the ranks."""


@dataclass(frozen=True)
class Link:
    """What a rank knows of the others."""

    rank: int
    count: int
    _line: Connection

    def ask(self, message: Any) -> Any:
        """Send a message to the process that started the ranks; its answer. Raises what answering raised there."""
        self._line.send(message)
        answer, error = self._line.recv()
        if error is not None:
            raise error
        return answer


def run_on_ranks(work: str, arguments: Any, *, count: int, hear: Callable[[Any], Any]) -> Any:
    """Run `work` ("module:function") on `count` ranks; returns what it returns on rank 0. All of it must be picklable.

    `hear` answers what a rank asks, in this thread. Raises the error of the rank that failed first, what `hear` raised, and
    RankError where a rank ended without a word.
    """
    with tempfile.TemporaryDirectory(prefix="ranks-") as name, socket.socket(socket.AF_UNIX) as door:
        folder = Path(name)
        (folder / _JOB).write_bytes(pickle.dumps((work, arguments)))
        door.bind(str(folder / _SOCKET))
        door.listen(2 * count)
        door.setblocking(False)
        with (folder / _SAID).open("wb") as said:
            process = subprocess.Popen(
                _command(count, folder), stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
            )
        try:
            _attend(process, door, hear)
        finally:
            _end(process)
        if process.returncode:
            raise _failure(folder, process.returncode)
        return pickle.loads((folder / _RESULT).read_bytes())


def _command(count: int, folder: Path) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", f"--nproc-per-node={count}"]
    # A free port of this machine; nobody from outside can join.
    meeting = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1", "--max-restarts=0"]
    return [*launcher, *meeting, "-m", __name__, str(folder)]


def _attend(process: subprocess.Popen[bytes], door: socket.socket, hear: Callable[[Any], Any]) -> None:
    """Answer the ranks until the launcher ends."""
    lines: list[Connection] = []
    try:
        while process.poll() is None:
            while (line := _next_line(door)) is not None:
                lines.append(line)
            for line in list(lines):
                if line.poll(_LOOK_SECONDS / max(1, len(lines))):
                    _answer(line, lines, hear)
            if not lines:
                _wait(process)
    finally:
        for line in lines:
            line.close()


def _answer(line: Connection, lines: list[Connection], hear: Callable[[Any], Any]) -> None:
    try:
        message = line.recv()
    except (EOFError, OSError):  # the rank has ended; the launcher tells how
        lines.remove(line)
        return
    try:
        answer = hear(message)
    except BaseException as error:
        line.send((None, RankError(f"{type(error).__name__} in the process that started the ranks")))
        raise
    line.send((answer, None))


def _next_line(door: socket.socket) -> Connection | None:
    try:
        accepted, _ = door.accept()
    except BlockingIOError:
        return None
    accepted.setblocking(True)
    return Connection(accepted.detach())


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the ranks goes on after this."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _failure(folder: Path, code: int) -> BaseException:
    """The error of the rank that failed first; the others fail because of it."""
    written = sorted(folder.glob("error-*.pickle"), key=lambda path: path.stat().st_mtime_ns)
    if written:
        error: BaseException = pickle.loads(written[0].read_bytes())
        return error
    said = (folder / _SAID).read_text(encoding="utf-8", errors="replace").strip()
    return RankError(
        f"the ranks ended with code {code} and no error of their own. Their last words:\n{said[-_SAID_CHARS:]}"
    )


def _rank(folder: Path) -> None:
    """One rank's whole life."""
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    _watch(_dial(folder))
    try:
        work, arguments = pickle.loads((folder / _JOB).read_bytes())
        module, _, function = work.partition(":")
        result = getattr(importlib.import_module(module), function)(arguments, Link(rank, count, _dial(folder)))
        if rank == 0:
            (folder / _RESULT).write_bytes(pickle.dumps(result))
    except BaseException as error:
        _leave_error(folder, rank, error)
        raise


def _dial(folder: Path) -> Connection:
    line = socket.socket(socket.AF_UNIX)
    line.connect(str(folder / _SOCKET))
    return Connection(line.detach())


def _watch(line: Connection) -> None:
    """Leave when the process that started the ranks is gone; it never sends anything on this line."""

    def until_cut() -> None:
        try:
            line.recv()
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=until_cut, daemon=True, name="line").start()


def _leave_error(folder: Path, rank: int, error: BaseException) -> None:
    told = "".join(traceback.format_exception(error))
    error.add_note(f"on rank {rank}:\n{told}")
    part = folder / f"rank-{rank}.part"
    try:
        part.write_bytes(pickle.dumps(error))
        pickle.loads(part.read_bytes())
    except (pickle.PickleError, AttributeError, TypeError):  # what cannot be taken elsewhere is told by its text
        part.write_bytes(pickle.dumps(RankError(f"rank {rank}: {type(error).__name__}: {error}\n{told}")))
    part.rename(folder / f"error-{rank}.pickle")


def main(words: Sequence[str]) -> None:
    _rank(Path(words[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
