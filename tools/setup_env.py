"""Make `.venv` from the lock of its Python. Standard library only: it runs before anything is installed.

Does nothing if the environment already matches the lock and `pyproject.toml`. `--venv FOLDER` makes another environment,
with the Python that runs this: `python3.13 tools/setup_env.py --venv /tmp/py313`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    Version = tuple[int, int]

PROJECT = Path(__file__).resolve().parent.parent
LOCKS = PROJECT / "locks"
STAMP = "skillsengine-lock.sha256"
NEEDED_GB = 12.0
"""The CUDA build of torch and its libraries take about 7 GB installed and 4 GB while they are unpacked."""
NEEDED_CPU_GB = 5.0
PREFERRED = (3, 11)
"""The Python that every commit is tested on."""


def stop(text: str) -> NoReturn:
    sys.exit(f"make env: {text}")


def locked() -> dict[Version, Path]:
    """The Pythons that have a lock, and their locks: `locks/py311.txt` is that of 3.11."""
    found = ((re.fullmatch(r"py3(\d+)\.txt", path.name), path) for path in LOCKS.glob("py3*.txt"))
    return dict(sorted(((3, int(match[1])), path) for match, path in found if match))


def lock_for(version: Version) -> Path:
    """The lock of a Python. Stops with the mend where there is none."""
    locks = locked()
    if version in locks:
        return locks[version]
    names = [f"{major}.{minor}" for major, minor in locks]
    stop(
        f"there is no lock for Python {version[0]}.{version[1]}: locks/ has one for {', '.join(names)}. Install one of these "
        f"and run `make env` again, for example: apt-get install python{names[0]} python{names[0]}-venv"
    )


def version_of(python: str) -> Version:
    """Of an interpreter. Stops if it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    if done.returncode:
        stop(f"{python} does not run: {done.stderr.strip()}\nRemove its environment, then run `make env` again.")
    major, minor = done.stdout.split()
    return int(major), int(minor)


def find_python() -> str:
    """The preferred Python if it is there, else this one if it has a lock, else any that has one, else this one."""
    own: Version = (sys.version_info[0], sys.version_info[1])
    wanted = [PREFERRED, *([own] if own in locked() else []), *locked()]
    for version in wanted:
        if version == own:
            return sys.executable
        found = shutil.which(f"python{version[0]}.{version[1]}")
        # A version manager may leave a command on the PATH that runs nothing.
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            return found
    return sys.executable


def check(python: str, version: Version, folder: Path) -> None:
    """Stop if an environment cannot be made: no venv, no room."""
    if subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True).returncode:
        stop(f"Python's venv is missing. Install it: apt-get install python{version[0]}.{version[1]}-venv")
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    needed = NEEDED_GB if shutil.which("nvidia-smi") else NEEDED_CPU_GB
    if free < needed:
        stop(
            f"{free:.1f} GB are free in {folder}, the environment needs up to {needed:.0f} GB. Make room and try again."
        )


def digest_of(lock: Path) -> str:
    """Of all that decides what is installed."""
    whole = hashlib.sha256()
    for path in (lock, LOCKS / "cuda.txt", LOCKS / "no-deps.txt", PROJECT / "pyproject.toml"):
        whole.update(path.read_bytes())
    return whole.hexdigest()


def pip(venv: Path, *words: str) -> None:
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile", *words]
    # The local package indexes of some machines make pip warn once per package; errors still show.
    env = os.environ | {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(command, env=env, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        problems = [line for line in done.stderr.splitlines() if not line.startswith("WARNING: Location")]
        stop(
            "pip could not install the lock:\n"
            + "\n".join(problems[-15:])
            + "\nCheck the network, then run `make env` again."
        )


def make(venv: Path, python: str, compiled: bool = True) -> None:
    """Bring an environment to its lock; `python` makes it where there is none. `compiled`: all of it at once."""
    there = (venv / "bin" / "python").exists()
    version = version_of(str(venv / "bin" / "python") if there else python)
    lock = lock_for(version)
    digest, stamp = digest_of(lock), venv / STAMP
    if there and stamp.is_file() and stamp.read_text().strip() == digest:
        return
    check(python, version, venv)
    started = time.monotonic()
    if not there:
        print(f"making {venv.name} with Python {version[0]}.{version[1]}", flush=True)
        subprocess.run([python, "-m", "venv", str(venv)], check=True)
    count = sum(1 for line in lock.read_text().splitlines() if "==" in line)
    print(
        f"installing {count} pinned packages of {lock.name} into {venv.name} (a few minutes)",
        flush=True,
    )
    pip(venv, "-r", str(lock))
    pip(venv, "--no-deps", "-r", str(LOCKS / "no-deps.txt"))
    pip(venv, "--no-deps", "--no-build-isolation", "-e", str(PROJECT))
    if compiled:
        # pip would do it on one core, and the packages' own tests with it. Some packages carry files that are no Python of this
        # version: nobody imports them.
        words = ["-m", "compileall", "-qq", "-j", "0", "-x", r"/tests?/", str(venv / "lib")]
        subprocess.run([str(venv / "bin" / "python"), *words], check=False)
    stamp.write_text(digest + "\n")
    print(f"environment ready after {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make .venv from the lock of its Python.")
    parser.add_argument("--venv", type=Path, help="another folder than .venv, with the Python that runs this")
    parser.add_argument("--no-compile", action="store_true", help="each module is compiled when it is first imported")
    words = parser.parse_args()
    if words.venv is None:
        make(PROJECT / ".venv", find_python(), not words.no_compile)
    else:
        make(words.venv.resolve(), sys.executable, not words.no_compile)


if __name__ == "__main__":
    main()
