"""Make `.venv` from the pinned lock. Standard library only: it runs before anything is installed.

Does nothing if the environment already matches the lock and `pyproject.toml`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
LOCK = PROJECT / "locks" / "py311.txt"
NO_DEPS = PROJECT / "locks" / "no-deps.txt"
STAMP = VENV / "skillsengine-lock.sha256"
NEEDED_GB = 12.0
"""The CUDA build of torch and its libraries take about 8 GB installed and 4 GB while they are unpacked."""
NEEDED_CPU_GB = 5.0
SUPPORTED = ((3, 11), (3, 12), (3, 13))


def stop(text: str) -> None:
    sys.exit(f"make env: {text}")


def find_python() -> str:
    """This interpreter if it is 3.11; else a python3.11 beside it, because the lock was checked there; else this one."""
    if sys.version_info[:2] != (3, 11) and (exact := shutil.which("python3.11")):
        return exact
    if sys.version_info[:2] not in SUPPORTED:
        found = f"{sys.version_info[0]}.{sys.version_info[1]}"
        stop(
            f"Python 3.11 to 3.13 is needed and `python3` is {found}. Install it: apt-get install python3.11 python3.11-venv"
        )
    return sys.executable


def check(python: str) -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        stop(f"Python's venv is missing. Install it: apt-get install python{version}-venv")
    free = shutil.disk_usage(PROJECT).free / 1e9
    needed = NEEDED_GB if shutil.which("nvidia-smi") else NEEDED_CPU_GB
    if free < needed:
        stop(
            f"{free:.1f} GB are free in {PROJECT}, the environment needs up to {needed:.0f} GB. Make room and try again."
        )


def lock_digest() -> str:
    whole = hashlib.sha256()
    for path in (LOCK, NO_DEPS, PROJECT / "pyproject.toml"):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def pip(*words: str) -> None:
    command = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
    # The local package indexes of some machines make pip warn once per package; errors still show.
    done = subprocess.run(command, env=os.environ | {"PIP_NO_INPUT": "1"}, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        problems = [line for line in done.stderr.splitlines() if not line.startswith("WARNING: Location")]
        stop(
            "pip could not install the lock:\n"
            + "\n".join(problems[-15:])
            + "\nCheck the network, then run `make env` again."
        )


def main() -> None:
    digest = lock_digest()
    if STAMP.is_file() and STAMP.read_text().strip() == digest:
        return
    python = find_python()
    check(python)
    started = time.monotonic()
    if not (VENV / "bin" / "python").exists():
        print("making .venv", flush=True)
        subprocess.run([python, "-m", "venv", str(VENV)], check=True)
    count = sum(1 for line in LOCK.read_text().splitlines() if "==" in line)
    print(
        f"installing {count} pinned packages into .venv (a few minutes; torch alone is several hundred MB)", flush=True
    )
    pip("-r", str(LOCK))
    pip("--no-deps", "-r", str(NO_DEPS))
    pip("--no-deps", "--no-build-isolation", "-e", str(PROJECT))
    STAMP.write_text(digest + "\n")
    print(f"environment ready after {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
