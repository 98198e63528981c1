"""What the fuzzer runs: any bytes as a spec, as its base, its overlay and its overrides. It needs no fuzzer itself.

An input is the spec's own text. After a line `%% base`, `%% overlay` or `%% set` follow the text of `_base/fuzz.yaml`, of the
overlay `_env/fuzz.yaml`, and overrides, one a line.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import load_spec, resolved

CPU_SECONDS = 2
MEMORY_BYTES = 500_000_000
"""So much may be added to what the process takes before its first input."""
MAX_ERROR = 25_000
SPEC, BASE, OVERLAY, SET = "spec", "base", "overlay", "set"
_PART = re.compile(rb"^%% (base|overlay|set)\n", re.MULTILINE)
_SHIPPED = Path(__file__).parents[2] / "experiments" / "_base"


class Violation(Exception):
    """The loader did what it must not do."""


def joined(parts: dict[str, bytes]) -> bytes:
    """The input that `split` takes apart again."""
    others = (b"%% " + name.encode() + b"\n" + parts[name] for name in (BASE, OVERLAY, SET) if name in parts)
    return b"\n".join([parts.get(SPEC, b""), *others])


def split(data: bytes) -> dict[str, bytes]:
    """The parts of an input by their names; of two with one name the last."""
    first, *rest = _PART.split(data)
    return {SPEC: first} | {name.decode(): body for name, body in zip(rest[::2], rest[1::2], strict=True)}


@dataclass(frozen=True)
class Target:
    """`experiments/` in a folder of its own, with the shipped bases; each input is written into it and loaded."""

    folder: Path

    @property
    def experiments(self) -> Path:
        return self.folder / "experiments"

    def prepare(self) -> None:
        shutil.copytree(_SHIPPED, self.experiments / "_base")
        (self.experiments / "_env").mkdir()

    def check(self, data: bytes) -> SpecError | None:
        """Load an input; the error that it was refused with. Raises whatever else the loader raises, and Violation for an
        error or a spec that nobody can show, or for more than CPU_SECONDS."""
        parts = split(data)
        spec, overlay = self.experiments / "job.yaml", self.experiments / "_env" / "fuzz.yaml"
        spec.write_bytes(parts[SPEC])
        (self.experiments / "_base" / "fuzz.yaml").write_bytes(parts.get(BASE, b"lora: {r: 8}\n"))
        overlay.write_bytes(parts.get(OVERLAY, b""))
        overrides = [os.fsdecode(line) for line in parts.get(SET, b"").split(b"\n") if line]
        with _timed():
            try:
                loaded = load_spec(
                    spec,
                    overrides=overrides,
                    experiments=self.experiments,
                    overlay=overlay if OVERLAY in parts else None,
                )
            except SpecError as error:
                told = str(error)
                refused = error
            else:
                json.dumps(resolved(loaded.experiment), allow_nan=False, ensure_ascii=False).encode()
                return None
        if not told or not refused.problems:
            raise Violation("an error that says nothing")
        if len(told) >= MAX_ERROR:
            raise Violation(f"an error of {len(told):,} characters")
        odd = {c for c in told if not c.isprintable()} - {"\n"}
        if odd:
            raise Violation(f"an error with characters that cannot be shown: {sorted(odd)!r}")
        return refused


def bound_memory() -> None:
    """From here on a MemoryError tells what takes MEMORY_BYTES more than there is now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextmanager
def _timed() -> Iterator[None]:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Violation(f"takes more than {CPU_SECONDS} seconds of a processor")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
