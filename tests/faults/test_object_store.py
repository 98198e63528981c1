"""A store that fails: a bucket whose server fails each third request or is slow, a folder that may not be written."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.faults.installation import Installation, Whole, check
from tests.faults.recorded import Row, keep
from tests.sources.front import Asked, Fault
from tests.sources.servers import S3, s3_error

pytestmark = pytest.mark.nightly

SLOW_SECONDS = 0.5


def in_bucket(installation: Installation, s3: S3) -> Installation:
    installation.env = {
        "SKILLSENGINE_STORE": s3.address("skills"),
        "SKILLSENGINE_CATALOG": f"sqlite:///{installation.project}/catalog.db",
    }
    return installation


@pytest.mark.parametrize("answer", [(503, "SlowDown"), (500, "InternalError")], ids=lambda answer: answer[1])
def test_a_server_that_fails_each_third_request(
    installation: Installation, whole: Whole, s3: S3, answer: tuple[int, str]
) -> None:
    counted, lock = itertools.count(1), threading.Lock()

    def third(_: Asked) -> bool:
        with lock:
            return next(counted) % 3 == 0

    s3.front.faults.append(Fault(third, 1_000_000, answer[0], s3_error(answer[1]).encode()))
    ended = in_bucket(installation, s3).run(seconds=1200)
    failed = sum(asked.status == answer[0] for asked in s3.front.asked)
    assert ended.code == 0 and failed >= len(s3.front.asked) // 3 > 10, ended.said
    s3.front.forget()
    keep(Row("a bucket whose server fails each third request", OUTCOME, check(installation, whole, at_most=0)))


def test_a_slow_server(installation: Installation, whole: Whole, s3: S3) -> None:
    def slow(_: Asked) -> None:
        time.sleep(SLOW_SECONDS)

    s3.front.then = slow
    ended = in_bucket(installation, s3).run(seconds=1200)
    assert ended.code == 0 and len(s3.front.asked) > 10, ended.said
    s3.front.then = lambda asked: None
    keep(
        Row(
            f"a bucket that answers each request after {SLOW_SECONDS:g} s",
            OUTCOME,
            check(installation, whole, at_most=0),
        )
    )


def mounted(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def test_a_folder_that_may_not_be_written(installation: Installation, whole: Whole, small_disk: Path) -> None:
    installation.env = {"SKILLSENGINE_STORE": str(small_disk / "store")}
    assert installation.start("run", str(installation.spec), "--until", "profile").ended().code == 0
    mounted(small_disk, "ro")
    try:
        refused = installation.run()
    finally:
        mounted(small_disk, "rw")
    assert refused.code == 1 and "Traceback" not in refused.said, refused.said
    said = f"could not be made: {small_disk}/store may not be written: Read-only file system ({small_disk}/store/"
    assert said in refused.said and "mount it to be written, or let SKILLSENGINE_HOME" in refused.said, refused.said
    again = installation.run()
    assert again.code == 0, again.said
    told = "the error names it; what was made is still read; written again, the same command goes on"
    keep(Row("a store on a disk that is mounted to be read only", told, check(installation, whole, at_most=0)))


OUTCOME = "the run goes through, with the same digests and the same adapter"
