"""Fuzz the loader of specs: whatever the bytes, it returns a spec or raises SpecError, in bounds of time and memory.

python -m tests.fuzz --seconds 60            # guided by coverage; needs atheris, on Linux with an x86-64 processor
python -m tests.fuzz --replay FILE           # one input again, without atheris
python -m tests.fuzz --seconds 900 --record  # and write benchmarks/results/fuzz.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks._record import record
from tests.fuzz.runner import fuzz
from tests.fuzz.target import Target, bound_memory

CORPUS = Path(".skillsengine/fuzz")


def replay(file: Path) -> int:
    """Load one input and tell what comes of it; 1 if it breaks the loader."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        target = Target(Path(folder))
        target.prepare()
        try:
            refused = target.check(file.read_bytes())
        except Exception:  # noqa: BLE001 - whatever it is, it is the finding
            traceback.print_exc(file=sys.stdout)
            return 1
    print(refused or "a spec")
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """Exit code 1 for a failure."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="how long; a failure ends it at once (default 60)")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help=f"what earlier runs found (default {CORPUS})")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/fuzz.json")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="load one input again, and stop")
    options = parser.parse_args(words)
    if options.replay:
        if not options.replay.is_file():
            parser.error(f"there is no file {options.replay}")
        bound_memory()
        return replay(options.replay)
    print(f"fuzzing for {options.seconds} s, with what is in {options.corpus}", flush=True)
    started = time.monotonic()
    try:
        outcome = fuzz(options.seconds, options.corpus.absolute())
    except ModuleNotFoundError as error:
        sys.exit(f"fuzz: {error}")
    row = {"target": "load_spec", "atheris": importlib.metadata.version("atheris"), **outcome.figures}
    row["seconds"] = round(time.monotonic() - started)
    for name, value in row.items():
        print(f"{name.replace('_', ' '):24}{value:,}" if isinstance(value, int) else f"{name:24}{value}")
    if options.record:
        share = row["failures"] / max(1, row.get("executions", 0))
        print(record("fuzz", [row], {"failures_per_execution": share}))
    if row["failures"]:
        print(outcome.told())
    return int(bool(row["failures"]))


if __name__ == "__main__":
    sys.exit(main())
