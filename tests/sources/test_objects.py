"""Object stores when something is wrong: nothing there, no access, no answer, another object than was found."""

from __future__ import annotations

import json
import sys
import time

import pytest

from skillsengine.sources import objects
from skillsengine.sources.connection import environment_connect
from skillsengine.sources.errors import SourceChanged, SourceError, SourceUnavailable
from skillsengine.sources.opening import open_source
from tests.sources.front import black_hole, refusing
from tests.sources.looking import content, error, files, unavailable
from tests.sources.servers import S3, Place, forget_stores, s3_error

CSV = b"id\n" + b"1\n" * 1000


def test_no_bucket(bucket: Place) -> None:
    bucket.bucket = "not-there"
    for path in ("ads.csv", "ads/*.csv", "ads/", "", "{partition}.csv"):
        address = bucket.address(path)
        said = error(address, "2026-01" if "{" in path else None)
        assert said == (
            f"data.source {address}: there is no bucket `not-there`. Check its name, and that the credentials and the "
            "endpoint are those of the account that it is in."
        )


def test_a_name_that_no_bucket_may_have(bucket: Place) -> None:
    bucket.bucket = "Not:A.Bucket"
    assert error(bucket.address("ads.csv")).startswith(f"data.source {bucket.address('ads.csv')}: ")


def test_the_object_is_replaced_between_plan_and_run(bucket: Place) -> None:
    bucket.put("ads.csv", "id\n1\n")
    (file,) = files(bucket.address("ads.csv"))
    bucket.put("ads.csv", "id\n2\n")
    with pytest.raises(SourceChanged) as caught:
        content(file)
    assert str(caught.value).startswith(f"{bucket.address('ads.csv')}: the object has changed since it was found (now ")
    assert str(caught.value).endswith("Run again once nothing writes to it: a new plan takes it as it is.")


def test_the_object_is_gone_between_plan_and_run(bucket: Place) -> None:
    bucket.put("ads.csv", "id\n1\n")
    (file,) = files(bucket.address("ads.csv"))
    bucket.remove("ads.csv")
    with pytest.raises(SourceError) as caught:
        content(file)
    assert str(caught.value) == (
        f"{bucket.address('ads.csv')}: the object is not there any more; it was there when the plan was made. Put it back, "
        "or run again so that a new plan is made."
    )


def test_the_object_is_replaced_while_the_plan_reads_it(bucket: Place) -> None:
    bucket.put("ads.csv", CSV)

    def replace(asked: object) -> None:
        if bucket.front.bytes_of("ads.csv?alt=media") or getattr(asked, "headers", {}).get("range"):
            bucket.front.then = lambda _: None
            bucket.put("ads.csv", CSV + b"2\n")

    bucket.front.then = replace
    assert "the object has changed since it was found" in unavailable(bucket.address("ads.csv"))
    (file,) = files(bucket.address("ads.csv"))
    assert content(file) == CSV + b"2\n"


def test_the_object_is_replaced_while_a_run_reads_it(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of two states are never put together."""
    monkeypatch.setattr("skillsengine.sources.objects._BLOCK", 1 << 20)
    s3.put("ads.csv", b"1" * (5 << 20))
    (file,) = files(s3.address("ads.csv"))
    stream = open_source(file, environment_connect)
    assert stream.read(100) == b"1" * 100
    s3.put("ads.csv", b"2" * (5 << 20))
    with pytest.raises(
        SourceChanged, match=r"s3://ads/ads\.csv: the object has changed while it was read\. Run again once"
    ):
        stream.read()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_that_stumbles_is_asked_again(bucket: Place, status: int) -> None:
    bucket.put("ads.csv", CSV)
    body = _refusal(bucket, status)
    bucket.front.fail(status, body, times=1)
    (file,) = files(bucket.address("ads.csv"))
    bucket.front.fail(status, body, times=1, path="ads.csv", method="GET")
    assert content(file) == CSV


def _refusal(bucket: Place, status: int) -> str:
    """As each store says it."""
    if isinstance(bucket, S3):
        return s3_error({429: "SlowDown", 500: "InternalError", 503: "SlowDown"}[status])
    return json.dumps({"error": {"code": status, "message": "no"}})


def test_an_answer_that_breaks_off_is_asked_for_again(bucket: Place) -> None:
    bucket.put("ads.csv", CSV)
    (file,) = files(bucket.address("ads.csv"))
    bucket.front.cut(100, times=1, path="ads.csv")
    assert content(file) == CSV


def test_a_store_that_stays_busy(bucket: Place) -> None:
    bucket.put("ads.csv", CSV)
    (file,) = files(bucket.address("ads.csv"))
    bucket.front.fail(503, _refusal(bucket, 503))
    said = unavailable(bucket.address("ads.csv"))
    assert said.startswith(f"data.source {bucket.address('ads.csv')}: the store does not answer (")
    assert said.endswith("Check the network and, if the connection names one, its endpoint_url; then try again.")
    with pytest.raises(SourceUnavailable, match="the store does not answer"):
        content(file)


def test_answers_that_always_break_off(bucket: Place) -> None:
    bucket.put("ads.csv", CSV)
    (file,) = files(bucket.address("ads.csv"))
    bucket.front.cut(100, path="ads.csv")
    with pytest.raises(SourceUnavailable, match="the store does not answer"):
        content(file)


ENDPOINT = {"s3": "AWS_ENDPOINT_URL", "gs": "STORAGE_EMULATOR_HOST"}


def test_nobody_listens(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    address = bucket.address("ads.csv")
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 4.0)
    monkeypatch.setenv(ENDPOINT[address[:2]], refusing())
    start = time.monotonic()
    said = unavailable(address)
    assert said.startswith(f"data.source {address}: the store does not answer ("), said
    assert time.monotonic() - start < 10


@pytest.mark.nightly
def test_nobody_answers(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that swallows everything: told after a few times what is waited for one answer, not after minutes."""
    address = bucket.address("ads.csv")
    bucket.put("ads.csv", CSV)
    (file,) = files(address)
    assert objects._READ_SECONDS * objects._ATTEMPTS**2 <= 60
    monkeypatch.setattr(objects, "_READ_SECONDS", 1)
    monkeypatch.setattr(objects, "ANSWER_SECONDS", 4.0)
    with black_hole() as hole:
        monkeypatch.setenv(ENDPOINT[address[:2]], hole)
        forget_stores()
        for ask in (lambda: files(address), lambda: content(file)):
            start = time.monotonic()
            with pytest.raises(SourceUnavailable) as caught:
                ask()
            assert str(caught.value).startswith(f"data.source {address}: the store does not answer (")
            assert time.monotonic() - start < 10


def test_the_package_is_missing(bucket: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    scheme = bucket.address("")[:2]
    package = {"s3": "s3fs", "gs": "gcsfs"}[scheme]
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert error(bucket.address("ads.csv")) == (
        f"data.source {bucket.address('ads.csv')}: {scheme}:// needs the package `{package}`, which is not installed here: "
        f"pip install 'skillsengine[{scheme}]'"
    )
