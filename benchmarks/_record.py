"""Where a benchmark's figures go: benchmarks/results/<name>.json with when, machine, versions, rows and ratios."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

RESULTS = Path(__file__).parent / "results"
_LOAD = os.getloadavg()
"""When this was imported: before the run."""
_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "rensa", "pyarrow", "apache-airflow")


def record(name: str, rows: Sequence[Mapping[str, Any]], ratios: Mapping[str, Any]) -> Path:
    """Write the figures of one run of the benchmark `name`; returns the file. Ratios are what a noisy machine can be quoted
    for, rows are what they were made of."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    data = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "rows": list(rows),
        "ratios": dict(ratios),
    }
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_rows(name: str) -> list[dict[str, Any]]:
    """The rows of the last recorded run; none where there is none."""
    path = RESULTS / f"{name}.json"
    return list(json.loads(path.read_text(encoding="utf-8"))["rows"]) if path.is_file() else []


def machine() -> dict[str, Any]:
    """What kind of machine, without its name."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load_before": [round(value, 2) for value in _LOAD],
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


def versions() -> dict[str, str]:
    """Python, the libraries that matter, and the commit."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {"commit": os.environ.get("COMMIT") or _commit()}


def _commit() -> str:
    """What git says; a copy without its history can be told by the variable COMMIT."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(command, cwd=RESULTS.parent, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        said = ""
    return said.strip() or "unknown"
