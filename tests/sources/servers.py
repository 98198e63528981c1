"""Stores on loopback, as fixtures: S3 by moto, Google Cloud Storage by its emulator, data sets by a fake of the Hub.

Each has a door before it (`tests.sources.front`) that counts requests and bytes and can answer wrongly. The environment of
the test points the real client libraries at the door.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import boto3
import gcsfs.core
import gcsfs.retry
import httpx
import pytest
import s3fs
from botocore.config import Config

from skillsengine.airflow.process import die_with_parent
from skillsengine.sources import objects
from skillsengine.storage.catalog import Catalog
from tests.sources.front import Front, front_of
from tests.tracking.hub_repo import FakeHub, point_at, serve_hub

KEY, SECRET = "testing", "testing"
"""What the environment says; moto takes any key until `S3.demand_keys`."""
_NO_KEYS = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "GOOGLE_APPLICATION_CREDENTIALS", "HF_TOKEN")


@pytest.fixture(scope="session")
def moto_port() -> Iterator[int]:
    """A process of its own: some tests measure the memory of theirs, and its threads would be counted."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        until = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < until:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/moto-api/data.json").raise_for_status()
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"moto's server does not answer on port {port} (exit {server.poll()})")
        yield port
    finally:
        server.kill()
        server.wait()


@cache
def _http() -> httpx.Client:
    """One for all: a client reads the machine's certificates when it is made, which takes 50 ms."""
    return httpx.Client(trust_env=False)


@cache
def _client(kind: str, endpoint: str) -> Any:
    config = Config(s3={"addressing_style": "path"})
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    return boto3.client(kind, endpoint_url=endpoint, config=config, **keys)


@dataclass
class S3:
    """S3 with one bucket, `ads`."""

    front: Front
    client: Any
    """boto3's, which goes past the door."""
    direct: str
    bucket: str = "ads"

    @property
    def endpoint(self) -> str:
        return self.front.endpoint

    def put(self, key: str, body: bytes | str, bucket: str | None = None) -> None:
        self.client.put_object(Bucket=bucket or self.bucket, Key=key, Body=body)

    def address(self, path: str) -> str:
        return f"s3://{self.bucket}/{path}"

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def etag(self, key: str) -> str:
        return str(self.client.head_object(Bucket=self.bucket, Key=key)["ETag"]).strip('"')

    def demand_keys(self, *actions: str, bucket: str = "ads") -> tuple[str, str]:
        """From now on only keys that are known may do something. Returns (key, secret) of a user who may do `actions`
        (`s3:ListBucket`, `s3:GetObject`) with the bucket and its objects."""
        iam = _client("iam", self.direct)
        iam.create_user(UserName="reader")
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": f"arn:aws:s3:::{bucket}*"}
        if actions:
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName="reader", PolicyName="reads", PolicyDocument=policy)
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        httpx.post(f"{self.direct}/moto-api/reset-auth", content="0").raise_for_status()
        return key["AccessKeyId"], key["SecretAccessKey"]


@pytest.fixture
def s3(moto_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    direct = f"http://127.0.0.1:{moto_port}"
    _no_other_keys(monkeypatch)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    forget_stores()
    with front_of(("127.0.0.1", moto_port)) as front:
        client = _client("s3", direct)
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.endpoint)
        client.create_bucket(Bucket="ads")
        try:
            yield S3(front, client, direct)
        finally:
            _http().post(f"{direct}/moto-api/reset-auth", content="inf").raise_for_status()
            _http().post(f"{direct}/moto-api/reset").raise_for_status()
            forget_stores()


Place = Any
"""One of S3, GS and Hub: `put(path, body)`, `address(path)`, `front`."""


@pytest.fixture(params=["s3", pytest.param("gs", marks=pytest.mark.nightly), "hub"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each store in turn; Google's by night, what is its own alone is in `bucket` and in tests of it."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> Place:
    """Each object store in turn."""
    return request.getfixturevalue(request.param)


def s3_error(code: str, message: str = "no") -> str:
    """The body of an answer with which S3 refuses."""
    return f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'


@dataclass
class GS:
    """Google Cloud Storage with one bucket, `ads`."""

    front: Front
    direct: str
    bucket: str = "ads"

    @property
    def endpoint(self) -> str:
        return self.front.endpoint

    def put(self, key: str, body: bytes | str) -> None:
        url = f"{self.direct}/upload/storage/v1/b/{self.bucket}/o?uploadType=media&name={quote(key, safe='')}"
        _http().post(url, content=body, headers={"Content-Type": "application/octet-stream"}).raise_for_status()

    def address(self, path: str) -> str:
        return f"gs://{self.bucket}/{path}"

    def remove(self, key: str) -> None:
        _http().delete(f"{self.direct}/storage/v1/b/{self.bucket}/o/{quote(key, safe='')}").raise_for_status()

    def key_file(self, email: str = "reader@ads.iam.gserviceaccount.com") -> dict[str, str]:
        """The key file of a service account, whose token the door gives out."""

        def token(_: bytes) -> tuple[int, bytes]:
            return 200, json.dumps({"access_token": f"token-of-{email}", "expires_in": 3600}).encode()

        self.front.local["/token"] = token
        return {
            "type": "service_account",
            "project_id": "ads",
            "private_key_id": "1",
            "private_key": _private_key(),
            "client_email": email,
            "token_uri": f"{self.endpoint}/token",
        }


@cache
def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


@pytest.fixture(scope="module")
def gs_server() -> Iterator[Any]:
    """The emulator: it takes a second to stop."""
    from gcp_storage_emulator import server as emulator

    with pytest.MonkeyPatch.context() as patch:
        # Its own answers one connection after the other, and waits for one that is kept open and says nothing.
        patch.setattr(emulator, "server", SimpleNamespace(HTTPServer=ThreadingHTTPServer))
        server = emulator.create_server("127.0.0.1", 0, in_memory=True, default_bucket="ads")
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
def gs(gs_server: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[GS]:
    _no_other_keys(monkeypatch)
    port = gs_server._api._httpd.server_address[1]
    monkeypatch.setattr(gcsfs.retry, "asyncio", SimpleNamespace(sleep=_at_once))  # its pauses between its own retries
    forget_stores()
    with front_of(("127.0.0.1", port)) as front:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", front.endpoint)
        try:
            yield GS(front, f"http://127.0.0.1:{port}")
        finally:
            gs_server.wipe(keep_buckets=True)
            forget_stores()


async def _at_once(seconds: float) -> None: ...


def forget_stores() -> None:
    """Both libraries keep what they once opened, and ask neither environment nor endpoint again."""
    s3fs.S3FileSystem.clear_instance_cache()
    gcsfs.core.GCSFileSystem.clear_instance_cache()
    objects._default_token.cache_clear()
    objects._finds_keys.cache_clear()


def _no_other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of whoever runs the tests is taken."""
    for name in _NO_KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@dataclass
class Hub:
    """The Hub; `state` is what lies there. Where nothing else is said, its data set `org/ads`."""

    front: Front
    state: FakeHub
    cache: Path

    @property
    def endpoint(self) -> str:
        return self.front.endpoint

    def put(self, path: str, body: bytes | str) -> None:
        self.commit("org/ads", {path: body})

    def address(self, path: str) -> str:
        return f"hf://org/ads/{path}"

    def commit(self, name: str, files: Mapping[str, bytes | str], **kept: Any) -> str:
        """A commit of a data set (`branch`, `private`, `gated`, `replace`) in which `files` are added or replaced; its id."""
        found = {path: body.encode() if isinstance(body, str) else body for path, body in files.items()}
        return self.state.put(f"datasets/{name}", found, **kept)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    _no_other_keys(monkeypatch)
    with serve_hub() as state, front_of(("127.0.0.1", int(state.endpoint.rpartition(":")[2]))) as front:
        point_at(front.endpoint, monkeypatch, tmp_path)
        state.endpoint = front.endpoint
        monkeypatch.delenv("HF_TOKEN")
        yield Hub(front, state, tmp_path / "hub")


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """Remembers what reading has shown."""
    return Catalog.open(f"sqlite:///{tmp_path}/catalog.db")
