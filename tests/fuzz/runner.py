"""Runs libFuzzer on the loader, and reads what it prints."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fuzz.seeds import dictionary, seeds

ATHERIS = "atheris==3.0.0"
"""Not in the locks: it has no wheel for ARM, and only this needs it."""
CHILD = (sys.executable, "-m", "tests.fuzz.child")
MAX_INPUT = 20_000
RSS_MB = 1000
"""Of the process over all its inputs: what one leaves behind adds up."""
_PROJECT = Path(__file__).parents[2]
_STATISTIC = re.compile(r"^stat::(\w+): +(\d+)", re.MULTILINE)
_PROGRESS = re.compile(r"^#\d+\t\w+ +cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_LINE = re.compile(r"^(?:#\d+\t|INFO: ).*\n", re.MULTILINE)
_MAX_TOLD = 2000


@dataclass(frozen=True)
class Outcome:
    """One run of the fuzzer."""

    figures: dict[str, Any]
    output: str
    """All that the process printed."""
    found: Path | None
    """The input that broke the loader."""

    def told(self) -> str:
        """What was found, and how to see it again."""
        if self.found is None:
            return f"the fuzzer itself failed:\n{self.output[-_MAX_TOLD:]}"
        text = self.found.read_bytes()
        why = _LINE.sub("", self.output[: self.output.rfind("SUMMARY: ")])[-_MAX_TOLD:]
        shown = text.decode(errors="backslashreplace")
        return f"{why}\nThe input, {len(text):,} bytes:\n{shown}\nAgain: python -m tests.fuzz --replay {self.found}"


def fuzz(seconds: int, corpus: Path, command: Sequence[str] = CHILD) -> Outcome:
    """Fuzz for so long, or until the first failure. `corpus` keeps what was found worth building on (`units/`), for the next
    run to begin with, and the inputs that failed (`found/`). Raises ModuleNotFoundError without atheris."""
    if importlib.util.find_spec("atheris") is None:
        raise ModuleNotFoundError(f"atheris is missing. Install it: {sys.executable} -m pip install {ATHERIS}")
    units, begin, found = (corpus / name for name in ("units", "seeds", "found"))
    shutil.rmtree(begin, ignore_errors=True)
    for folder in (units, begin, found):
        folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(seeds()):
        (begin / f"{index:04}").write_bytes(data)
    words = corpus / "words.dict"
    words.write_text(dictionary(), encoding="utf-8")
    before = set(found.iterdir())
    options = [f"-max_total_time={seconds}", f"-max_len={MAX_INPUT}", f"-dict={words}", f"-artifact_prefix={found}/"]
    # Seconds of the clock, for what stops the signal that counts those of the processor: a loop inside C.
    options += [f"-rss_limit_mb={RSS_MB}", "-timeout=60", "-print_final_stats=1", str(units), str(begin)]
    done = subprocess.run(
        [*command, *options],
        cwd=_PROJECT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
    )
    new = sorted(set(found.iterdir()) - before)
    figures = read(done.stdout) | {"failures": len(new)}
    if done.returncode and not new:
        return Outcome(figures | {"failures": 1}, done.stdout, None)
    return Outcome(figures, done.stdout, new[0] if new else None)


def read(output: str) -> dict[str, Any]:
    """libFuzzer's own figures; what it did not come to print is missing."""
    numbers = {name: int(value) for name, value in _STATISTIC.findall(output)}
    names = {
        "number_of_executed_units": "executions",
        "average_exec_per_sec": "executions_per_second",
        "new_units_added": "new_units",
        "slowest_unit_time_sec": "slowest_input_seconds",
        "peak_rss_mb": "peak_rss_mb",
    }
    figures = {ours: numbers[theirs] for theirs, ours in names.items() if theirs in numbers}
    progress = _PROGRESS.findall(output)
    if progress:
        figures |= dict(zip(("branches", "features", "corpus"), map(int, progress[-1]), strict=True))
    return figures
