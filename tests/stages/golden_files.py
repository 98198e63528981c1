"""Golden outputs: what a stage made of a small fixed input when its VERSION was last raised.

An output that changes while VERSION does not would leave old artifacts standing under digests that now mean something
else. To accept a change: raise VERSION in the stage's module, run its golden test with GOLDEN=write in the environment,
and look at the difference before you commit it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "golden"
_VERSION = "version.txt"


def check_golden(stage: str, version: int, outputs: Mapping[str, str]) -> None:
    """Fail if `outputs` (file name -> text) differ from the golden ones, or if these are of another VERSION."""
    folder = FOLDER / stage
    known = (folder / _VERSION).read_text("utf-8").strip() if (folder / _VERSION).exists() else None
    changed = [
        name
        for name, text in outputs.items()
        if not (folder / name).exists() or (folder / name).read_text("utf-8") != text
    ]
    mend = f"raise VERSION in skillsengine/stages/{stage}.py, run this test with GOLDEN=write, and read the difference"
    if os.environ.get("GOLDEN") == "write":
        if changed and known == str(version):
            pytest.fail(f"{stage}: VERSION is still {version}, so the golden files are not overwritten: {mend}")
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in outputs.items():
            (folder / name).write_text(text, "utf-8")
        (folder / _VERSION).write_text(f"{version}\n")
        return
    if known != str(version):
        pytest.fail(f"{stage}: VERSION is {version}, the golden files are of {known}: run this test with GOLDEN=write")
    for name in changed:
        assert outputs[name] == (folder / name).read_text("utf-8"), f"{name} changed while VERSION did not: {mend}"
