"""What a cluster of processes needs of this machine: ports, programs, PostgreSQL's user, FAB's packages."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from tools.lock import BESIDE, LOCKS, PYTHONS, lock_name


class ClusterError(Exception):
    """A part is missing on this machine or does not start; the text says which, and where its log is."""


def login_packages(folder: Path) -> Path | None:
    """Where FAB's auth manager is: None if this Python has it, else `folder`, into which pip puts what its lock names."""
    if importlib.util.find_spec("flask_appbuilder") is not None:
        return None
    if not folder.exists():
        new = folder.with_name(f"{folder.name}.new")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(new)]
        done = subprocess.run(
            [*command, "-r", str(LOCKS / lock_name(PYTHONS[0], BESIDE))], stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise ClusterError(
                f"pip could not install the login's packages into {folder}:\n{done.stderr}\nCheck the network, and try again."
            )
        new.rename(folder)
    return folder


def end_all(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def as_user(user: str | None) -> dict[str, Any]:
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ClusterError(f"{name} is not on this machine. Install it: apt-get install {name}")
    return found


def postgres_bin() -> str:
    """The folder of the newest PostgreSQL; Debian keeps it out of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    if found is None:
        raise ClusterError("PostgreSQL is not on this machine. Install it: apt-get install postgresql")
    return str(Path(found).parent)


def postgres_user() -> str | None:
    """Whom PostgreSQL runs as: it refuses root."""
    return "postgres" if os.geteuid() == 0 else None
