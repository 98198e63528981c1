"""The live part of `benchmarks.specs`: the embedded Airflow with many specs. How long until a file that was written shows in
the API, and what the DAG processor does while nothing changes."""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks._specs_files import name, spec, write_ours
from skillsengine.airflow import embedded
from skillsengine.airflow.client import AirflowClient
from skillsengine.settings import load_settings

ROUNDS = 5
REST_SECONDS = 120.0
_PAUSED = "paused: true\n"


def measure(count: int, folder: Path) -> dict[str, Any]:
    """One Airflow with `count` specs; every DAG is paused, so that nothing runs."""
    write_ours(folder, count, dated=True)
    for file in (folder / "experiments").glob("*.yaml"):
        file.write_text(file.read_text() + _PAUSED)
    for variable in ("SKILLSENGINE_HOME", "SKILLSENGINE_CATALOG", "SKILLSENGINE_PROJECT", "SKILLSENGINE_ENV"):
        os.environ.pop(variable, None)
    settings = load_settings(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    address = embedded.up(settings, port)
    try:
        with AirflowClient(address.url) as client:
            return _measure(count, folder, address.pid, client)
    finally:
        embedded.down(settings)


def _measure(count: int, folder: Path, supervisor: int, client: AirflowClient) -> dict[str, Any]:
    processor = next(p for p in psutil.Process(supervisor).children() if "dag-processor" in p.cmdline())
    last = f"{name(0)}.evaluations"
    # Airflow parses the newest files first; the count decides, the last file is only what is asked for cheaply.
    wait(lambda: client.dag(last) and len(client.dags()) >= 2 * count, 3600, every=2.0)
    first = cpu(processor)
    time.sleep(60)  # what was replaced is marked once more, and parsed, until then
    rest = cpu(processor)
    time.sleep(REST_SECONDS)
    rested = (cpu(processor) - rest) / REST_SECONDS * 60
    new, edited, broken = [], [], []
    for turn in range(ROUNDS):
        dag, file = name(turn), folder / "experiments" / f"{name(turn)}.yaml"
        whole, fresh, told = file.read_text(), name(count + turn), f"edit {turn}"
        text = spec(count + turn, dated=True) + _PAUSED
        new.append(latency(file.with_stem(fresh), text, partial(client.dag, fresh)))
        text = whole.replace(f"Skills of job {turn}", told)
        edited.append(latency(file, text, partial(described, client, dag, told)))
        text = whole.replace("epochs", "epoch")
        broken.append(latency(file, text, partial(refused, client, file.name)))
        file.write_text(whole)
        wait(lambda: not client.import_errors(), 120)
    return {
        "specs": count,
        "first_parse_cpu_seconds_a_spec": round(first / count, 3),
        "rest_cpu_seconds_a_minute": round(rested, 2),
        "new_seconds": summary(new),
        "edit_seconds": summary(edited),
        "import_error_seconds": summary(broken),
    }


def described(client: AirflowClient, dag: str, text: str) -> bool:
    return (client.dag(dag) or {}).get("description") == text


def refused(client: AirflowClient, file: str) -> bool:
    return any(error["filename"].endswith(f"{file}.py") for error in client.import_errors())


def latency(file: Path, text: str, seen: Callable[[], Any]) -> float:
    """Seconds from the writing of a file until `seen` says so."""
    started = time.monotonic()
    file.write_text(text)
    wait(seen, 300)
    return time.monotonic() - started


def summary(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 1), "longest": round(max(values), 1)}


def cpu(process: psutil.Process) -> float:
    """Seconds of a processor that a process and all of its ended children took."""
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def wait(seen: Callable[[], Any], seconds: float, every: float = 0.1) -> None:
    until = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > until:
            raise TimeoutError(f"not seen after {seconds:.0f} s")
        time.sleep(every)
