"""Sources in object stores and on the Hub that are not there, not allowed, or do not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gcsfs
import pytest
import s3fs

from tests.sources.front import refusing
from tests.sources.servers import GS, S3, Hub, s3_error
from tests.stages.bad_input_files import ads, encode
from tests.stages.bad_input_run import Door

Patch = pytest.MonkeyPatch
S3_CASES: dict[str, Callable[[Door, S3, Patch], str]] = {}
GS_CASES: dict[str, Callable[[Door, GS, Patch], str]] = {}
HUB_CASES: dict[str, Callable[[Door, Hub, Patch], str]] = {}
GOOD = encode("jsonl", ads())


def case(cases: dict[str, Any], title: str) -> Callable[[Any], Any]:
    def keep(work: Any) -> Any:
        cases[title] = work
        return work

    return keep


# --- both object stores -------------------------------------------------------------------------------------------------


def _stored(door: Door, store: S3 | GS, path: str = "ads.jsonl", **options: Any) -> str:
    scheme = "s3" if isinstance(store, S3) else "gs"
    return door.tell({"source": f"{scheme}://{path}"}, **options)


for _cases, _scheme in ((S3_CASES, "s3"), (GS_CASES, "gs")):

    @case(_cases, f"{_scheme}: no such bucket")
    def _(door: Door, store: Any, patch: Patch) -> str:
        return _stored(door, store, "nowhere/ads.jsonl")

    @case(_cases, f"{_scheme}: no such key")
    def _(door: Door, store: Any, patch: Patch) -> str:
        store.put("other.jsonl", GOOD)
        return _stored(door, store, "ads/ads.jsonl")

    @case(_cases, f"{_scheme}: a zip archive")
    def _(door: Door, store: Any, patch: Patch) -> str:
        store.put("ads.zip", b"PK\x03\x04")
        return _stored(door, store, "ads/ads.zip")

    @case(_cases, f"{_scheme}: good")
    def _(door: Door, store: Any, patch: Patch) -> str:
        store.put("ads.jsonl", GOOD)
        return _stored(door, store, "ads/ads.jsonl")

    @case(_cases, f"{_scheme}: a packed file that is cut off")
    def _(door: Door, store: Any, patch: Patch) -> str:
        store.put("ads.csv.gz", encode("csv.gz", ads())[:-20])
        return _stored(door, store, "ads/ads.csv.gz")

    @case(_cases, f"{_scheme}: the Parquet file is cut off")
    def _(door: Door, store: Any, patch: Patch) -> str:
        store.put("ads.parquet", encode("parquet", ads())[:-20])
        return _stored(door, store, "ads/ads.parquet")

    @case(_cases, f"{_scheme}: changed since the plan")
    def _(door: Door, store: Any, patch: Patch) -> str:
        store.put("ads.jsonl", GOOD)
        changed = encode("jsonl", ads()[:9])
        return _stored(door, store, "ads/ads.jsonl", between=lambda: store.put("ads.jsonl", changed))

    @case(_cases, f"{_scheme}: no credentials under that name")
    def _(door: Door, store: Any, patch: Patch) -> str:
        scheme = "s3" if isinstance(store, S3) else "gs"
        return door.tell({"source": f"{scheme}://ads/ads.jsonl", "connection": "our_store"})


# --- S3 -----------------------------------------------------------------------------------------------------------------


def _refused(code: str, status: int, *, between: bool = False) -> Callable[[Door, S3, Patch], str]:
    def work(door: Door, s3: S3, patch: Patch) -> str:
        s3.put("ads.jsonl", GOOD)

        def refuse() -> None:
            s3.front.fail(status, s3_error(code, "as the store says it"))

        if between:
            return _stored(door, s3, "ads/ads.jsonl", between=refuse)
        refuse()
        return _stored(door, s3, "ads/ads.jsonl")

    return work


S3_CASES |= {
    "s3: the credentials have expired": _refused("ExpiredToken", 400),
    "s3: the credentials have expired since the plan": _refused("ExpiredToken", 400, between=True),
    "s3: the key is unknown": _refused("InvalidAccessKeyId", 403),
    "s3: access denied": _refused("AccessDenied", 403),
    "s3: the store is busy": _refused("SlowDown", 503),
}


@case(S3_CASES, "s3: gone since the plan")
def _(door: Door, s3: S3, patch: Patch) -> str:
    s3.put("ads.jsonl", GOOD)
    return _stored(door, s3, "ads/ads.jsonl", between=lambda: s3.client.delete_object(Bucket="ads", Key="ads.jsonl"))


@case(S3_CASES, "s3: no network")
def _(door: Door, s3: S3, patch: Patch) -> str:
    patch.setenv("AWS_ENDPOINT_URL", refusing())
    s3fs.S3FileSystem.clear_instance_cache()
    return _stored(door, s3, "ads/ads.jsonl")


# --- Google Cloud Storage -----------------------------------------------------------------------------------------------


def _answered(status: int, message: str) -> Callable[[Door, GS, Patch], str]:
    def work(door: Door, gs: GS, patch: Patch) -> str:
        gs.front.fail(status, f'{{"error": {{"code": {status}, "message": "{message}"}}}}')
        return _stored(door, gs, "ads/ads.jsonl")

    return work


GS_CASES |= {
    "gs: the credentials have expired": _answered(401, "Invalid Credentials"),
    "gs: access denied": _answered(403, "reader@ads does not have storage.objects.list access"),
}


@case(GS_CASES, "gs: no network")
def _(door: Door, gs: GS, patch: Patch) -> str:
    patch.setenv("STORAGE_EMULATOR_HOST", refusing())
    gcsfs.GCSFileSystem.clear_instance_cache()
    return _stored(door, gs, "ads/ads.jsonl")


# --- the Hub ------------------------------------------------------------------------------------------------------------


def _hub(door: Door, source: str = "org/ads", **options: Any) -> str:
    return door.tell({"source": f"hf://{source}"}, **options)


@case(HUB_CASES, "hf: good")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.jsonl": GOOD})
    return _hub(door)


@case(HUB_CASES, "hf: no such data set")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    return _hub(door, "org/gone")


@case(HUB_CASES, "hf: a private data set without a token")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.jsonl": GOOD}, private=True)
    return _hub(door)


@case(HUB_CASES, "hf: no such revision")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.jsonl": GOOD})
    return _hub(door, "org/ads@v9")


@case(HUB_CASES, "hf: no such file")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.jsonl": GOOD})
    return _hub(door, "org/ads@main/gone.jsonl")


@case(HUB_CASES, "hf: a data set of code")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.py": b"import os", "README.md": b"# ads"})
    return _hub(door)


@case(HUB_CASES, "hf: gated")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.jsonl": GOOD}, gated=True)
    return _hub(door)


@case(HUB_CASES, "hf: access denied")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.jsonl": GOOD})
    hub.front.fail(403, b"", headers={"X-Error-Message": "Your token may not."})
    return _hub(door)


@case(HUB_CASES, "hf: the token is not accepted")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.front.fail(401, b"", headers={"X-Error-Message": "Invalid username or password."})
    return _hub(door)


@case(HUB_CASES, "hf: no network")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    import huggingface_hub.constants
    from huggingface_hub import hf_api
    from huggingface_hub.utils import _http

    endpoint = refusing()
    patch.setenv("HF_ENDPOINT", endpoint)
    for module in (huggingface_hub.constants, hf_api, _http):
        if hasattr(module, "ENDPOINT"):
            patch.setattr(module, "ENDPOINT", endpoint)
    hub.front.upstream = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
    return _hub(door)


@case(HUB_CASES, "hf: a pointer of Git LFS in place of the file")
def _(door: Door, hub: Hub, patch: Patch) -> str:
    hub.commit("org/ads", {"ads.csv": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"})
    return _hub(door)
