"""One GPU is never given to two of our trainings: a process takes the GPUs that it computes on by a lock of each.

The locks are the kernel's (flock), so they go with the process, however it ends; the files beside them only tell people who
holds what. A process keeps its GPUs until it ends, as CUDA keeps its memory, and sees no others. CPUs are not locked.

Known limitations: `extract`, `serve`, `merge` and other programs take no lock. Nobody queues: a training on all GPUs begins
when it finds them free at once. Processes that do not share a home do not see each other's locks.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from skillsengine.pipeline.heavy import import_heavy
from skillsengine.stages.contract import StageError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
LOOK_SECONDS = 2.0
_SMI_SECONDS = 30.0
_NOT_INITIALIZED = 3
"""What CUDA's driver answers while a process has not begun to use it."""


@dataclass(frozen=True)
class Gpu:
    """One GPU that this process may use."""

    name: str
    """As CUDA_VISIBLE_DEVICES names it: `0`, `GPU-8932f937-...`."""
    key: str
    """The same for all that can use it: its UUID, or the host's name and its number where nothing tells the UUID."""
    number: str
    """For people: `0`, or the UUID."""


class _Lock:
    """A held lock of one GPU; it goes with this object, or with the process."""

    def __init__(self, gpu: Gpu, file: Any) -> None:
        self.gpu, self._file, self.pid = gpu, file, os.getpid()

    def free(self) -> None:
        self._file.close()


_taken: list[_Lock] = []
"""What this process holds: CUDA reads its list of GPUs once, so a process chooses once."""


def take(count: int, folder: Path, who: str, waiting: Callable[[str], None]) -> tuple[Gpu, ...]:
    """Take `count` GPUs for this process, or find that it has them; from then on it sees no others.

    Waits until so many are free, and calls `waiting` with a text for people every LOOK_SECONDS; what that raises ends the
    wait. `folder` holds the locks, `who` is what others are told (`job-skills/manual__1 finetune`). Takes fewer where there
    are fewer, none where there is none: the stage says what is missing. Raises StageError where `folder` cannot be used.
    """
    mine = _of_this_process()
    if mine:
        return tuple(lock.gpu for lock in mine)
    there = visible(os.environ)
    if _cuda_started():
        there = there[:count]  # this process computes on the first ones, whatever its environment says from now on
    count = min(count, len(there))
    while len(mine) < count:
        mine = _free_ones(there, count, folder, who)
        if len(mine) < count:
            for lock in mine:
                lock.free()  # or two that want two each would wait for each other
            mine = []
            waiting(_told(there, count, folder))
            time.sleep(LOOK_SECONDS)
    _taken.extend(mine)
    if mine:
        os.environ[VISIBLE] = ",".join(lock.gpu.name for lock in mine)
        log.info("computes on GPU %s", ", ".join(lock.gpu.number for lock in mine))
    return tuple(lock.gpu for lock in mine)


def _of_this_process() -> list[_Lock]:
    """A forked child has its parent's list, and not its GPUs."""
    if _taken and _taken[0].pid != os.getpid():
        for lock in _taken:
            lock.free()  # closes the child's own descriptor alone
        _taken.clear()
    return list(_taken)


def visible(environ: Mapping[str, str]) -> list[Gpu]:
    """The GPUs that CUDA would show this process, in CUDA's order: those of CUDA_VISIBLE_DEVICES, else all of the machine."""
    uuids = _uuids()
    if (listed := environ.get(VISIBLE)) is None:
        if uuids:
            return [Gpu(uuid, uuid, number) for number, uuid in uuids.items()]
        count = import_heavy("torch").cuda.device_count()
        return [_gpu(str(number), {}) for number in range(count)]
    names: dict[str, None] = {}
    for name in (part.strip() for part in listed.split(",")):
        if not re.fullmatch(r"\d+|(?:GPU|MIG)-[\w/-]+", name):
            break  # CUDA stops at the first name that is none: `-1`, an empty one
        names[name] = None
    return [_gpu(name, uuids) for name in names]


def _gpu(name: str, uuids: Mapping[str, str]) -> Gpu:
    if name.isdecimal():
        return Gpu(name, uuids.get(name, f"{socket.gethostname()}-{name}"), name)
    whole = [uuid for uuid in uuids.values() if uuid.startswith(name)]  # CUDA takes their beginnings, too
    return Gpu(name, whole[0] if len(whole) == 1 else name, name)


def _uuids() -> dict[str, str]:
    """Number -> UUID, as the driver's own tool tells; empty without that."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    command = [tool, "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_SMI_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("nvidia-smi does not tell which GPUs there are: %s", error)
        return {}
    rows = [[cell.strip() for cell in line.split(",")] for line in said.splitlines() if line.strip()]
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _cuda_started() -> bool:
    """Whether CUDA has read its list of GPUs in this process; libraries make it do so when they are imported."""
    if "torch" not in sys.modules:
        return False
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return bool(driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) != _NOT_INITIALIZED)


def _free_ones(there: Sequence[Gpu], count: int, folder: Path, who: str) -> list[_Lock]:
    """Locks of at most `count` GPUs that nobody holds."""
    found: list[_Lock] = []
    for gpu in there:
        if len(found) < count and (lock := _try(gpu, folder, who)) is not None:
            found.append(lock)
    return found


def _try(gpu: Gpu, folder: Path, who: str) -> _Lock | None:
    path = _path(gpu, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        file.truncate(0)
        told = {"who": who, "pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now(UTC):%H:%M} UTC"}
        file.write(json.dumps(told) + "\n")
        file.flush()
    except OSError as error:
        raise StageError(
            f"GPU {gpu.number} cannot be locked by {path}: {error.strerror or error}. So that no two trainings get it, none "
            "begins: mend the folder's permissions or its disk, or let SKILLSENGINE_HOME name one that can be written."
        ) from error
    return _Lock(gpu, file)


def _path(gpu: Gpu, folder: Path) -> Path:
    return folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', gpu.key)}.lock"


def _told(there: Sequence[Gpu], count: int, folder: Path) -> str:
    """`waiting for GPU 0, held by job-skills/manual__1 finetune (pid 1234 on gpu-1, since 20:41 UTC)`."""
    holders = [(gpu.number, _holder(gpu, folder)) for gpu in there]
    if len(there) == 1:
        return f"waiting for GPU {holders[0][0]}, held by {holders[0][1]}"
    what = f"{count} of the GPUs" if count > 1 else "one of the GPUs"
    return f"waiting for {what} {', '.join(f'{number} (held by {holder})' for number, holder in holders)}"


def _holder(gpu: Gpu, folder: Path) -> str:
    try:
        told = json.loads(_path(gpu, folder).read_text(encoding="utf-8"))
        return f"{told['who']} (pid {told['pid']} on {told['host']}, since {told['since']})"
    except (OSError, ValueError, KeyError):  # it is being written just now
        return "another process"
