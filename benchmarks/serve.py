"""`skillsengine serve` under 50 clients for a minute: errors, latency, memory, and whether the answers are those of `extract`.

    python -m benchmarks.serve                                # the seeded tiny Llama of the tests: the server's own cost
    python -m benchmarks.serve --version .skillsengine/store/versions/job-skills-demo/1 --seconds 120    # a real model

The server is `skillsengine serve` in a process of its own, on loopback. Each client sends an ad of the demo corpus, waits for
the answer and sends the next. Then `skillsengine extract` reads the same ads, in another process; every answer of the server is
compared with its. Memory is the server's resident size, looked at each second; `start` is the median of the first tenth after
the first answers of all clients, `end` that of the last tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil

from benchmarks._record import read_rows, record

PROJECT = Path(__file__).resolve().parent.parent
_SKILLSENGINE = (sys.executable, "-m", "skillsengine")
_PATIENCE = 600.0


@dataclass
class Seen:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    """Of each answered request."""
    errors: list[str] = field(default_factory=list)
    answers: dict[int, set[str]] = field(default_factory=dict)
    """Number of the ad -> the answers that it had."""
    memory_mb: list[float] = field(default_factory=list)


def tiny(folder: Path) -> Path:
    """A project with a version around the tiny base of the tests, which has learned six answers; returns its folder."""
    from tests.serving.taught import make_taught_version

    return make_taught_version(folder)


def copied(version: Path, folder: Path) -> Path:
    """A project with a copy of a version, and with the bases of its store."""
    (folder / "experiments").mkdir(parents=True)
    store = version.absolute().parents[2]
    (folder / ".skillsengine" / "store").mkdir(parents=True)
    (folder / ".skillsengine" / "store" / "bases").symlink_to(store / "bases")
    return shutil.copytree(version, folder / "version")


def ads() -> list[str]:
    lines = (
        line for path in sorted((PROJECT / "data" / "demo").glob("*.jsonl")) for line in path.open(encoding="utf-8")
    )
    return [json.loads(line)["job_description"] for line in lines]


async def client(number: int, address: str, texts: Sequence[str], until: float, seen: Seen) -> None:
    # Each begins elsewhere, so that at no time all ask the same.
    order = itertools.cycle(range(len(texts)))
    for _ in range(number * len(texts) // 50):
        next(order)
    async with httpx.AsyncClient(base_url=address, timeout=_PATIENCE) as http:
        for ad in order:
            if time.monotonic() > until:
                return
            started = time.monotonic()
            try:
                said = await http.post("/extract", json={"text": texts[ad]})
            except httpx.HTTPError as error:
                seen.errors.append(f"{type(error).__name__}: {error}")
                continue
            if said.status_code != 200:
                seen.errors.append(f"{said.status_code}: {said.text[:200]}")
                continue
            seen.seconds.append(time.monotonic() - started)
            seen.answers.setdefault(ad, set()).add(json.dumps(said.json()["results"][0]["skills"]))


async def watch(process: psutil.Process, until: float, seen: Seen) -> None:
    while time.monotonic() < until:
        seen.memory_mb.append(process.memory_info().rss / 1e6)
        await asyncio.sleep(1.0)


async def under_clients(
    address: str, process: psutil.Process, texts: Sequence[str], clients: int, seconds: float
) -> Seen:
    seen = Seen()
    await asyncio.gather(*(first(address, texts[number % len(texts)]) for number in range(clients)))
    until = time.monotonic() + seconds
    asked = [client(number, address, texts, until, seen) for number in range(clients)]
    await asyncio.gather(*asked, watch(process, until, seen))
    return seen


async def first(address: str, text: str) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=_PATIENCE) as http:
        await http.post("/extract", json={"text": text})


def measure(name: str, version: Path, given: argparse.Namespace) -> dict[str, Any]:
    texts = ads()[: given.ads]
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads), "HF_HUB_OFFLINE": "1"}
    common = ["--batch-size", str(given.batch_size)]
    words = [*_SKILLSENGINE, "serve", str(version), "--port", "0", "--timeout", str(_PATIENCE), *common]
    project = version.parent
    load = os.getloadavg()[0]
    server = subprocess.Popen(words, cwd=project, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        told = next(line for line in server.stdout or () if line.startswith("serving"))
        process = psutil.Process(server.pid)
        before = process.cpu_times()
        seen = asyncio.run(under_clients(told.split()[3], process, texts, given.clients, given.seconds))
        after = process.cpu_times()
        health = httpx.get(f"{told.split()[3]}/healthz").json()
    finally:
        server.terminate()
        code = server.wait(60)
    (project / "ads.jsonl").write_text("".join(json.dumps({"job_description": text}) + "\n" for text in texts), "utf-8")
    started = time.monotonic()
    done = subprocess.run(
        [*_SKILLSENGINE, "extract", str(version), "ads.jsonl", *common],
        cwd=project, env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    took = time.monotonic() - started
    expected = [json.dumps(json.loads(line)["skills"]) for line in done.stdout.splitlines()]
    same = sum(found == {expected[ad]} for ad, found in seen.answers.items())
    tenth = max(1, len(seen.memory_mb) // 10)
    cut = quantiles(seen.seconds, n=100)
    return {
        "model": name,
        "clients": given.clients,
        "seconds": given.seconds,
        "batch_size": given.batch_size,
        "threads": given.threads,
        "requests": len(seen.seconds),
        "errors": len(seen.errors),
        "first_errors": seen.errors[:3],
        "requests_per_second": round(len(seen.seconds) / given.seconds, 2),
        "latency_p50": round(cut[49], 3),
        "latency_p95": round(cut[94], 3),
        "latency_p99": round(cut[98], 3),
        "latency_max": round(max(seen.seconds), 3),
        "cpu_seconds": round(after.user + after.system - before.user - before.system, 1),
        "memory_start_mb": round(median(seen.memory_mb[:tenth]), 1),
        "memory_end_mb": round(median(seen.memory_mb[-tenth:]), 1),
        "ads": len(seen.answers),
        "ads_with_the_answer_of_extract": same,
        "extract_seconds": round(took, 1),
        "open_at_the_end": health["waiting"],
        "exit_code": code,
        "load": round(load, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=Path, help="folder of a registered version; default: around the tiny Llama")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--ads", type=int, default=432, help="different ads of the demo that are asked")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1, help="of torch, in the server")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        project = Path(work) / "project"
        name = "tiny Llama" if given.version is None else given.version.absolute().parent.name
        row = measure(name, tiny(project) if given.version is None else copied(given.version, project), given)
    print(json.dumps(row, indent=1))
    rows = [each for each in read_rows("serve") if each["model"] != name] + [row]
    record(
        "serve",
        rows,
        {
            each["model"]: {
                "errors": each["errors"],
                "same_answers": f"{each['ads_with_the_answer_of_extract']} of {each['ads']}",
                "memory_end_to_start": round(each["memory_end_mb"] / each["memory_start_mb"], 3),
            }
            for each in rows
        },
    )


if __name__ == "__main__":
    main()
