"""Write `locks/` anew from pyproject.toml: `.venv/bin/python tools/lock.py`. Needs the extra `dev` (uv) and a package index.

What is pinned keeps its version unless pyproject.toml asks for another, so that a new dependency changes the lines it has to.
`--upgrade` takes the newest of everything, `--upgrade-package NAME` of one package.

| file | what | who installs it |
| --- | --- | --- |
| `py311.txt`, `py312.txt`, `py313.txt` | control plane, worker, test tools; the same versions where possible | `make env` |
| `py311-control.txt`, `py311-worker.txt` | what the two images need of `py311.txt` | the Dockerfile |
| `py311-fab.txt` | what FAB's auth manager needs beside `py311-control.txt` | the control image, `tools/cluster.py` |
| `cuda.txt` | constraints: CUDA libraries of torch | pip, if its index gives torch's CUDA build |
| `no-deps.txt` | written by hand | both |
| `sbom.txt` | written by hand: what lists an image's packages | the Dockerfile, in stages that no image stands on |

The CUDA libraries stand apart because a lock that lists them would install them for a CPU build of torch too.
No other Python than the running one needs to be there: uv resolves from the packages' metadata.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOCKS = PROJECT / "locks"
PYTHONS = ("3.11", "3.12", "3.13")
"""The first one is the image's, and leads: the others take its versions where they can."""
PLATFORM = "x86_64-manylinux_2_28"
EXTRAS = {"": ("worker", "dev"), "-control": ("s3", "gs", "hf", "cluster"), "-worker": ("worker", "cluster")}
"""Which extras of pyproject.toml each kind of lock holds beside the core. The control plane looks where the data is, too."""
BESIDE = "-fab"
"""The lock of what the extra `fab` adds to the control plane's, and is in no other."""
CONSTRAINTS = "-c cuda.txt"
_CUDA = re.compile(r"(?:nvidia|cuda)-|triton==")
_KIND = {
    "": "control plane, worker and test tools",
    "-control": "the control plane's image; a subset of py{tag}.txt",
    "-worker": "the worker's image; a subset of py{tag}.txt",
    BESIDE: "what FAB's auth manager needs beside py{tag}-control.txt",
}


def lock_name(python: str, kind: str = "") -> str:
    """`py311.txt`, `py311-control.txt`."""
    return f"py{python.replace('.', '')}{kind}.txt"


def split(resolved: str) -> tuple[list[str], list[str]]:
    """A resolution's lines as (what every machine installs, CUDA libraries)."""
    pins = [line for line in resolved.splitlines() if "==" in line and not line.startswith("#")]
    return [line for line in pins if not _CUDA.match(line)], [line for line in pins if _CUDA.match(line)]


def resolve(python: str, extras: Sequence[str], preferred: str, options: Sequence[str] = ()) -> str:
    """Let uv resolve pyproject.toml for one Python, with the pins in `preferred` kept where possible."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "lock.txt")
        out.write_text(preferred, encoding="utf-8")
        command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--quiet", "--no-header"]
        command += ["--annotation-style", "line", "--python-version", python, "--python-platform", PLATFORM]
        command += [word for extra in extras for word in ("--extra", extra)]
        done = subprocess.run(
            [*command, "--output-file", str(out), *options], cwd=PROJECT, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            sys.exit(f"lock: uv found no versions for Python {python} that agree:\n{done.stderr.strip()}")
        return out.read_text(encoding="utf-8")


def added(lock: str, more: str) -> list[str]:
    """The pins of `more` that are not in `lock`. Ends the program where the two differ in a version."""
    there = dict(line.split()[0].split("==") for line in split(lock)[0])
    found = []
    for line in split(more)[0]:
        name, version = line.split()[0].split("==")
        if there.get(name, version) != version:
            sys.exit(f"lock: FAB wants {name} {version}, and the control plane's lock holds {there[name]}.")
        if name not in there:
            found.append(line)
    return found


def _with_own(whole: str, python: str) -> str:
    """What is preferred for the lock beside: the control plane's versions, and those that it holds already."""
    path = LOCKS / lock_name(python, BESIDE)
    return whole + (path.read_text(encoding="utf-8") if path.exists() else "")


def write(name: str, about: str, lines: Sequence[str]) -> None:
    head = f"# {about}\n# Written by tools/lock.py; edit pyproject.toml and run it again."
    (LOCKS / name).write_text("\n".join((head, *lines)) + "\n", encoding="utf-8")
    print(f"locks/{name}: {sum('==' in line for line in lines)} packages")


def write_all(options: Sequence[str]) -> None:
    """Resolve all locks, then write them: an error leaves all files as they are."""
    lead = PYTHONS[0]
    kept = [(LOCKS / name).read_text(encoding="utf-8") for name in (lock_name(lead), "cuda.txt")]
    pinned = [line for text in kept for part in split(text) for line in part]
    whole = resolve(lead, EXTRAS[""], "\n".join(pinned) + "\n", options)
    cuda = split(whole)[1]
    texts = {(lead, kind): resolve(lead, extras, whole) for kind, extras in EXTRAS.items() if kind}
    texts |= {(python, ""): resolve(python, EXTRAS[""], whole) for python in PYTHONS[1:]}
    beside = added(texts[(lead, "-control")], resolve(lead, (*EXTRAS["-control"], "fab"), _with_own(whole, lead)))
    for (python, kind), text in texts.items():
        other = [line.split()[0] for line in split(text)[1]]
        if other and other != [line.split()[0] for line in cuda]:
            sys.exit(
                f"lock: {lock_name(python, kind)} needs other CUDA libraries than {lock_name(lead)}, and cuda.txt holds one "
                f"set:\n{chr(10).join(other)}\nGive that Python a file of its own in tools/lock.py."
            )
    for (python, kind), text in sorted({(lead, ""): whole, **texts}.items()):
        about = f"Python {python}: {_KIND[kind].format(tag=python.replace('.', ''))}."
        write(lock_name(python, kind), about, [*([CONSTRAINTS] if split(text)[1] else []), *split(text)[0]])
    write(lock_name(lead, BESIDE), f"Python {lead}: {_KIND[BESIDE].format(tag=lead.replace('.', ''))}.", beside)
    write("cuda.txt", "Constraints, installed only with torch's CUDA build for Linux.", cuda)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write locks/ anew from pyproject.toml.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of everything")
    parser.add_argument(
        "--upgrade-package", action="append", default=[], metavar="NAME", help="take the newest version of one package"
    )
    words = parser.parse_args()
    if importlib.util.find_spec("uv") is None:
        sys.exit("lock: uv is missing. It is in the extra `dev`: run this with .venv/bin/python after `make env`.")
    options = [word for name in words.upgrade_package for word in ("--upgrade-package", name)]
    write_all([*options, *(["--upgrade"] if words.upgrade else [])])


if __name__ == "__main__":
    main()
