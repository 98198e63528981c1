"""`data.source` taken apart: which store, which bucket or repository, which path in it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from skillsengine.sources.errors import SourceError

Scheme = Literal["file", "s3", "gs", "hf"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_HUB = re.compile(
    r"(?:datasets/)?(?P<root>[\w.-]+/[\w.-]+)"
    # A revision has no `/`, but for those that the Hub itself makes.
    r"(?:@(?P<revision>refs/(?:convert|pr|heads)/[\w.-]+|[^/@]+))?(?:/(?P<path>.*))?"
)


@dataclass(frozen=True)
class Address:
    """Where a source is."""

    source: str
    """As the spec says it."""
    scheme: Scheme
    root: str
    """Bucket, or `org/name` of a data set; empty for a local path."""
    path: str
    """Path in it, maybe with `{partition}` and wildcards."""
    revision: str | None = None
    """`hf` only: commit, tag or branch; None is the main branch."""

    @property
    def local(self) -> bool:
        return self.scheme == "file"


def parse_address(source: str) -> Address:
    """Raises SourceError for a scheme that is not read, and an address that is not whole."""
    found = _SCHEME.fullmatch(source)
    if found is None:
        return Address(source, "file", "", source)
    scheme, rest = found[1].lower(), found[2]
    if scheme in ("s3", "gs"):
        bucket, _, path = rest.partition("/")
        if not re.fullmatch(r"[\w.:-]+", bucket):
            raise SourceError(
                f"data.source {source}: no bucket is named. Write {scheme}://bucket/key, {scheme}://bucket/folder/ or a glob "
                f"such as {scheme}://bucket/ads/*.csv; only the path may have `{{partition}}` or `*` in it."
            )
        return Address(source, "s3" if scheme == "s3" else "gs", bucket, path)
    if scheme == "hf":
        hub = _HUB.fullmatch(rest)
        if hub is None:
            raise SourceError(
                f"data.source {source}: no data set of the Hub. Write hf://organization/name@revision, with a folder, a file "
                "or a glob behind it if not all of it is meant: hf://organization/name@main/data/*.parquet."
            )
        revision = hub["revision"].replace("%2F", "/") if hub["revision"] else None
        return Address(source, "hf", hub["root"], hub["path"] or "", revision)
    raise SourceError(
        f"data.source {source}: {found[1]}:// is no source. Name a local file, a folder or a glob, or an address that begins "
        "with s3://, gs:// or hf://."
    )
