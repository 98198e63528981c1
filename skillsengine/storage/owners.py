"""Who holds a lease: a process of this host, named so that another process can tell whether it is still there."""

from __future__ import annotations

import hashlib
import os
import socket
from functools import cache
from pathlib import Path

REMOVING = ":removing"
"""Behind the owner of a lease that is held to remove what is there, and not to make it."""


@cache
def _host() -> str:
    """The host's name, and a mark of this boot and PID namespace: containers may share a name, not their processes."""
    marks = []
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        link = Path(path)
        if link.is_symlink():
            marks.append(str(link.readlink()))
        elif link.exists():
            marks.append(link.read_text(encoding="ascii").strip())
    return f"{socket.gethostname()}~{hashlib.sha256(' '.join(marks).encode()).hexdigest()[:8]}"


def _started(pid: int) -> str | None:
    """Clock ticks from boot to the process's start; empty where the system does not tell, None if it has ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return ""  # another user's; it lives
    try:
        # The command's name stands in parentheses and may hold anything, so count fields from its end.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "" if not Path("/proc/self/stat").exists() else None
    return None if fields[0] in ("Z", "X") else fields[19]  # a zombie has ended; only its parent has not noticed


def this_owner() -> str:
    """`host:pid:starttime` of this process. Not cached: a forked child is another owner."""
    return owner_of(os.getpid())


def owner_of(pid: int) -> str:
    """`host:pid:starttime` of a process of this host."""
    return f"{_host()}:{pid}:{_started(pid)}"


def is_gone(owner: str) -> bool:
    """Whether the owner was a process of this host that has ended. False where that cannot be known."""
    host, _, rest = owner.removesuffix(REMOVING).partition(":")
    pid, _, started = rest.partition(":")
    if host != _host() or not pid.isdecimal():
        return False
    now = _started(int(pid))
    # The number alone is not enough: the system gives it to another process later.
    return now is None or (now != "" and started != "" and now != started)
