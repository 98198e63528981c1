"""Credentials by the name of an Airflow connection: the right ones are used, and none is ever shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from skillsengine.sources.connection import environment_connect, fields_of, storage_options
from skillsengine.sources.errors import SourceError
from skillsengine.sources.find import Source
from tests.sources.front import front_of
from tests.sources.looking import content, error, files, listen, said_anywhere
from tests.sources.servers import GS, S3, Hub, s3_error
from tests.tracking.hub_repo import TOKEN

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYSECRETKEY="


def connection(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> None:
    """The connection `store`, as JSON."""
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(fields))


def authorization(store: S3 | GS | Hub) -> set[str]:
    """What the requests for data were signed with."""
    found = set()
    for asked in store.front.asked:
        if "/token" not in asked.path and "agent-harnesses" not in asked.path:
            said = asked.headers.get("authorization", "nothing")
            found.add(said.partition("Credential=")[2].partition("/")[0] or said)
    return found


# The right keys


@pytest.mark.parametrize("as_uri", [True, False])
def test_s3_is_asked_with_the_keys_of_the_connection(s3: S3, monkeypatch: pytest.MonkeyPatch, as_uri: bool) -> None:
    s3.put("ads.csv", "id\n1\n")
    key, secret = s3.demand_keys("s3:ListBucket", "s3:GetObject")
    if as_uri:
        monkeypatch.setenv("AIRFLOW_CONN_STORE", f"aws://{key}:{quote(secret, safe='')}@/?region_name=us-east-1")
    else:
        connection(monkeypatch, conn_type="aws", login=key, password=secret, extra={"region_name": "us-east-1"})
    (file,) = files("s3://ads/ads.csv", connection="store")
    assert file.connection == "store"
    assert content(file) == b"id\n1\n"
    assert authorization(s3) == {key}
    assert "the credentials are not accepted" in error("s3://ads/ads.csv")  # the environment's own


def test_gs_is_asked_with_the_key_of_the_connection(gs: GS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gs.put("ads.csv", "id\n1\n")
    key = gs.key_file()
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    extras: list[dict[str, Any]] = [
        {"keyfile_dict": json.dumps(key)},
        {"keyfile_dict": key},
        {"key_path": str(path)},
        {"extra__google_cloud_platform__keyfile_dict": json.dumps(key)},
    ]
    for extra in extras:
        gs.front.forget()
        connection(monkeypatch, conn_type="google_cloud_platform", extra=extra)
        (file,) = files("gs://ads/ads.csv", connection="store")
        assert content(file) == b"id\n1\n"
        assert authorization(gs) == {"Bearer token-of-reader@ads.iam.gserviceaccount.com"}, extra


def test_the_hub_is_asked_with_the_token_of_the_connection(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("org/ads", {"ads.csv": "id\n1\n"}, private=True)
    for fields in ({"password": TOKEN}, {"extra": {"token": TOKEN}}):
        hub.front.forget()
        connection(monkeypatch, conn_type="generic", **fields)
        (file,) = files("hf://org/ads", connection="store")
        assert content(file) == b"id\n1\n"
        assert authorization(hub) == {f"Bearer {TOKEN}"}
    assert "no data set `org/ads`, or it is private and the worker has no token for it" in error("hf://org/ads")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert len(files("hf://org/ads")) == 1


def test_the_endpoint_of_the_connection_goes_before_the_environments(
    s3: S3, gs: GS, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put("ads.csv", "id\n1\n")
    gs.put("ads.csv", "id\n1\n")
    for store, kind in ((s3, "aws"), (gs, "google_cloud_platform")):
        with front_of(store.front.upstream) as other:
            connection(monkeypatch, conn_type=kind, extra={"endpoint_url": other.endpoint, "is_anonymous": True})
            store.front.forget()
            assert len(files(store.address("ads.csv"), connection="store")) == 1
            assert (bool(other.asked), store.front.asked) == (True, [])
    with front_of(s3.front.upstream) as other:
        service = {"service_config": {"s3": {"endpoint_url": other.endpoint}}}
        connection(monkeypatch, conn_type="aws", extra={**service, "endpoint_url": "http://127.0.0.1:1"})
        assert len(files("s3://ads/ads.csv", connection="store")) == 1
        assert other.asked


def test_a_public_bucket_needs_no_credentials(s3: S3, gs: GS, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("ads.csv", "id\n1\n")
    s3.client.put_object_acl(Bucket="ads", Key="ads.csv", ACL="public-read")
    gs.put("ads.csv", "id\n1\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for store in (s3, gs):
        (file,) = files(store.address("ads.csv"))
        assert content(file) == b"id\n1\n"
        assert authorization(store) == {"nothing"}
    s3.front.fail(403, s3_error("AccessDenied"))
    assert "access denied" in error("s3://ads/ads.csv")


# What is wrong with a connection


def test_a_connection_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("s3://ads/a.csv", "gs://ads/a.csv"):
        assert error(name, connection="my-store") == (
            "data.connection: `my-store` is not known here. Outside of Airflow it is read from AIRFLOW_CONN_MY_STORE (a URI or "
            "JSON, as `airflow connections get` prints it). Set it, or leave data.connection out: then the environment's own "
            "credentials are taken."
        )
    monkeypatch.setenv("AIRFLOW_CONN_MY_STORE", "aws://")
    assert environment_connect("my-store")["type"] == "aws"


WRONG = {
    ("s3", "google_cloud_platform"): "is of type `google_cloud_platform`; an `s3://` source wants one of type `aws`",
    ("s3", "generic"): "is of type `generic`; an `s3://` source wants one of type `aws`",
    ("gs", "aws"): "is of type `aws`; an `gs://` source wants one of type `google_cloud_platform`",
    ("gs", ""): "is of type ``; an `gs://` source wants one of type `google_cloud_platform`",
}


@pytest.mark.parametrize(("scheme", "kind"), WRONG)
def test_a_connection_of_another_type(monkeypatch: pytest.MonkeyPatch, scheme: str, kind: str) -> None:
    connection(monkeypatch, conn_type=kind, login="key", password=SECRET)
    said = error(f"{scheme}://ads/a.csv", connection="store")
    assert WRONG[scheme, kind] in said
    assert said.endswith("Name another connection, or change its type.")


UNUSABLE: list[tuple[str, dict[str, Any], str]] = [
    ("s3", {"conn_type": "aws", "login": "AKIA"}, "has only one of login (the access key's id) and password"),
    ("s3", {"conn_type": "aws", "password": SECRET}, "has only one of login"),
    (
        "s3",
        {"conn_type": "aws", "extra": {"role_arn": "arn:aws:iam::1:role/r"}},
        "asks for `role_arn`, which is not supported",
    ),
    (
        "gs",
        {"conn_type": "google_cloud_platform", "extra": {"key_path": "/no/key.json"}},
        "there is no such file",
    ),
    (
        "gs",
        {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": f"{{{SECRET}"}},
        "is no JSON object",
    ),
    (
        "gs",
        {"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": "[1]"}},
        "is no JSON object",
    ),
    ("gs", {"conn_type": "gcs", "extra": {"impersonation_chain": "a@b"}}, "asks for `impersonation_chain`"),
    ("hf", {"conn_type": "generic", "login": SECRET}, "has no password, which holds the token for an `hf://` source"),
]


@pytest.mark.parametrize(("scheme", "fields", "told"), UNUSABLE)
def test_a_connection_that_does_not_do(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, scheme: str, fields: Mapping[str, Any], told: str
) -> None:
    connection(monkeypatch, **fields)
    said = error(f"{scheme}://org/ads", connection="store")
    assert said.startswith("data.connection: `store`")
    assert told in said
    assert SECRET not in said


@pytest.mark.parametrize(
    "text",
    [f"{SECRET}", f'{{"conn_type": "aws", "password": "{SECRET}"', f"aws://k:{SECRET}@host:nan/", '{"extra": "[1]"}'],
)
def test_a_variable_that_holds_no_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STORE", text)
    with pytest.raises(SourceError) as caught:
        files("s3://ads/a.csv", connection="store")
    assert "data.connection: `store`: AIRFLOW_CONN_STORE holds neither JSON" in str(caught.value)
    assert SECRET not in said_anywhere(caught.value, caplog)


def test_the_keys_of_a_service_account_that_are_none(gs: GS, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    listen(caplog)
    gs.put("ads.csv", "id\n1\n")
    key = {**gs.key_file(), "private_key": f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----\n"}
    for bad in (key, {"type": "service_account", "private_key": SECRET}, {"type": "martian", "private_key": SECRET}):
        connection(monkeypatch, conn_type="google_cloud_platform", extra={"keyfile_dict": bad})
        with pytest.raises(SourceError) as caught:
            files("gs://ads/ads.csv", connection="store")
        assert str(caught.value).startswith("data.connection: `store` holds no usable key of a service account: ")
        assert SECRET not in said_anywhere(caught.value, caplog)


# No secret anywhere


REFUSALS = {
    "InvalidAccessKeyId": "the credentials are not accepted",
    "SignatureDoesNotMatch": "the credentials are not accepted",
    "ExpiredToken": "the credentials have expired (ExpiredToken). Renew them in data.connection",
    "AccessDenied": "access denied",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
    "PermanentRedirect": "the bucket is in another region or at another endpoint",
    "AuthorizationHeaderMalformed": "the bucket is in another region or at another endpoint",
}


@pytest.mark.parametrize("code", REFUSALS)
def test_what_s3_refuses(s3: S3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: str) -> None:
    listen(caplog)
    s3.put("ads.csv", "id\n1\n")
    extra = {"aws_session_token": "session-" + SECRET, "region_name": "us-east-1"}
    connection(monkeypatch, conn_type="aws", login="AKIAIOSFODNN7EXAMPLE", password=SECRET, extra=extra)
    (file,) = files("s3://ads/ads.csv", connection="store")
    s3.front.fail(400 if "Expired" in code else 403, s3_error(code, "Go away."))
    asks = (lambda: files("s3://ads/ads.csv", connection="store"), lambda: content(file))
    for ask in asks:
        with pytest.raises(SourceError) as caught:
            ask()
        assert str(caught.value).startswith("data.source s3://ads/ads.csv: ")
        said = said_anywhere(caught.value, caplog)
        assert SECRET not in said
        assert "AKIAIOSFODNN7EXAMPLE" not in str(caught.value)
        if ask is asks[0]:
            assert REFUSALS[code] in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("status", "told"), [(401, "the credentials are not accepted"), (403, "access denied"), (400, "cannot be read")]
)
def test_what_gs_refuses(
    gs: GS, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int, told: str
) -> None:
    listen(caplog)
    gs.put("ads.csv", "id\n1\n")
    key = gs.key_file()
    connection(monkeypatch, conn_type="google_cloud_platform", extra={"keyfile_dict": key})
    (file,) = files("gs://ads/ads.csv", connection="store")
    gs.front.fail(status, json.dumps({"error": {"code": status, "message": "Go away."}}), path="/storage/")
    for ask in (lambda: files("gs://ads/ads.csv", connection="store"), lambda: content(file)):
        with pytest.raises(SourceError) as caught:
            ask()
        assert told in str(caught.value), str(caught.value)
        said = said_anywhere(caught.value, caplog)
        assert key["private_key"][40:80] not in said
        assert "token-of-reader" not in said


def test_who_may_read_but_not_list_reads_a_file_by_its_name(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put("ads.csv", "id\n1\n")
    key, secret = s3.demand_keys("s3:GetObject")
    connection(monkeypatch, conn_type="aws", login=key, password=secret)
    (file,) = files("s3://ads/ads.csv", connection="store")
    assert content(file) == b"id\n1\n"
    said = error("s3://ads/*.csv", connection="store")
    assert "access denied" in said
    assert (
        "Whoever owns `ads` has to allow these credentials (or everybody, if there are none) to list the bucket" in said
    )


def test_a_source_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, conn_type="aws", login="key", password=SECRET)
    found = environment_connect("store")
    assert storage_options("s3", "store", found) == {"key": "key", "secret": SECRET}
    from tests.sources.looking import look

    source: Source = look("s3://ads/ads.csv", connection="store")
    assert SECRET not in repr(vars(source)) + repr(source)


def test_extras_as_airflow_writes_them() -> None:
    for extra in (None, "", "{}", {}):
        assert fields_of("aws", {"extra": extra})["extra"] == {}
    with pytest.raises(ValueError, match="extra is no object"):
        fields_of("aws", {"extra": "[]"})
