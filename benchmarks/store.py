"""Publish and fetch: one artifact of a gigabyte and 200 small ones, in a folder and in a bucket, beside plain copies.

    python -m benchmarks.store [--megabytes 1000] [--small 200] [--rounds 3] [--work DIR]

A folder is compared with `shutil.copytree`, a bucket with boto3's `upload_file` and `download_file`, one file after the other
as one would write it by hand. The server is moto, in a process of its own on this machine: seconds are those of moto, and only
ratios say something. Publishing hashes and flushes all files, fetching compares their sha256; the plain copies do neither.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import boto3

from benchmarks._record import record
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.bucket import Bucket
from skillsengine.storage.cache import Cache
from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.store import Store

BUCKET = "benchmark"
_SMALL_BYTES = 20_000
_STAGE = "finetune"


@contextmanager
def s3_server() -> Iterator[str]:
    """moto in a process of its own; its address. The environment names it and holds keys for it."""
    program = (
        "from moto.server import ThreadedMotoServer as S\n"
        "import sys\n"
        "s = S('127.0.0.1', 0, verbose=False); s.start(); print(s.get_host_and_port()[1], flush=True); sys.stdin.read()\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None and server.stdin is not None
    try:
        address = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        os.environ |= {
            "AWS_ENDPOINT_URL_S3": address,
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.stdin.close()
        server.wait(30)


def fill(folder: Path, files: Mapping[str, int]) -> None:
    """Random bytes: nothing on the way can compress them."""
    for name, size in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            while size > 0:
                file.write(secrets.token_bytes(min(size, 8 << 20)))
                size -= 8 << 20


def timed(work: Callable[[], object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def publish(store: Store, source: Path, digest: str) -> float:
    """Seconds of `Store.publish` alone; the files are linked into the building folder before."""
    with store.building(_STAGE, digest) as out:
        shutil.copytree(source, out, copy_function=os.link, dirs_exist_ok=True)
        return timed(lambda: store.publish(out, Manifest(_STAGE, 1, None, digest, {}, {}, {})))


def fetch(store: Store, digest: str) -> float:
    """Seconds until all files of an artifact may be read; of a folder that is its manifest."""

    def read() -> None:
        artifact = store.get(_STAGE, digest)
        if artifact is None:
            raise LookupError(digest)
        for name in artifact.manifest.files:
            artifact.file(name)

    return timed(read)


def folder_round(work: Path, sources: Sequence[Path]) -> dict[str, float]:
    """Seconds of one round, all artifacts together."""
    store = Store(work / "store")
    digests = [secrets.token_hex(32) for _ in sources]
    copied = sum(timed(lambda s=s, n=n: shutil.copytree(s, work / f"copy-{n}")) for n, s in enumerate(sources))  # type: ignore[misc]
    made = sum(publish(store, source, digest) for source, digest in zip(sources, digests, strict=True))
    read = sum(fetch(store, digest) for digest in digests)
    return {"publish": made, "fetch": read, "plain_write": copied, "plain_read": copied}


def bucket_round(work: Path, sources: Sequence[Path]) -> dict[str, float]:
    """Seconds of one round, all artifacts together; fetched to another machine's cache."""
    here, there = (
        ObjectStore(Bucket(BUCKET, "store"), Cache(work / name, 10**12), work / name / "bases")
        for name in ("one", "two")
    )
    client, digests = boto3.client("s3"), [secrets.token_hex(32) for _ in sources]
    files = [(path, f"plain/{n}/{path.name}") for n, s in enumerate(sources) for path in s.rglob("*") if path.is_file()]
    sent = sum(timed(lambda p=p, k=k: client.upload_file(str(p), BUCKET, k)) for p, k in files)  # type: ignore[misc]
    (work / "plain").mkdir()
    got = sum(
        timed(lambda k=k, n=n: client.download_file(BUCKET, k, str(work / "plain" / str(n))))  # type: ignore[misc]
        for n, (_, k) in enumerate(files)
    )
    made = sum(publish(here, source, digest) for source, digest in zip(sources, digests, strict=True))
    read = sum(fetch(there, digest) for digest in digests)
    here.bucket.delete_below("")
    Bucket(BUCKET).delete_below("plain/")
    return {"publish": made, "fetch": read, "plain_write": sent, "plain_read": got}


def measure(work: Path, megabytes: int, small: int, rounds: int) -> list[dict[str, Any]]:
    """A row for each kind of store and each load; seconds are medians of the rounds."""
    large = {"adapter/adapter_model.safetensors": int(megabytes * 0.9e6), "trained_on.bin": int(megabytes * 0.1e6)}
    loads = {
        f"1 x {megabytes} MB": [large],
        f"{small} small": [{"rows.jsonl": _SMALL_BYTES, "index.npy": 1000}] * small,
    }
    rows = []
    for load, artifacts in loads.items():
        with tempfile.TemporaryDirectory(dir=work) as made:
            sources = [Path(made) / str(number) for number in range(len(artifacts))]
            for source, files in zip(sources, artifacts, strict=True):
                fill(source, files)
            for kind, once in (("file", folder_round), ("s3", bucket_round)):
                found = []
                for _ in range(rounds):
                    with tempfile.TemporaryDirectory(dir=work) as scratch:
                        found.append(once(Path(scratch), sources))
                seconds = {name: round(median(each[name] for each in found), 4) for name in found[0]}
                rows.append({"store": kind, "load": load, "rounds": rounds, "seconds": seconds})
                print(f"{kind:5} {load:14} {seconds}", flush=True)
    return rows


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Publishing and fetching over the plain copies of the same files: 1 is as fast as a copy."""
    told = {}
    for row in rows:
        seconds, name = row["seconds"], f"{row['store']}, {row['load']}"
        told[f"publish over a plain copy ({name})"] = round(seconds["publish"] / seconds["plain_write"], 2)
        told[f"fetch over a plain copy ({name})"] = round(seconds["fetch"] / seconds["plain_read"], 3)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the large artifact")
    parser.add_argument("--small", type=int, default=200, help="number of small artifacts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="a folder on the disk to measure; 5 times --megabytes of room")
    parser.add_argument("--dry", action="store_true", help="print, and record nothing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.work) as work, s3_server():
        Bucket(BUCKET).has("warm")  # the first client of a process costs a third of a second, whoever makes it
        rows = measure(Path(work), given.megabytes, given.small, given.rounds)
    told = ratios(rows)
    for name, value in told.items():
        print(f"{name}: {value}")
    if not given.dry:
        print(record("store", rows, told))


if __name__ == "__main__":
    main()
