"""`data.source` taken apart."""

from __future__ import annotations

import pytest

from skillsengine.sources.address import Address, parse_address
from skillsengine.sources.errors import SourceError

GOOD = [
    ("ads/{partition}.csv", ("file", "", "ads/{partition}.csv", None)),
    ("/data/s3:/x.csv", ("file", "", "/data/s3:/x.csv", None)),
    ("s3://ads/a/{partition}.csv", ("s3", "ads", "a/{partition}.csv", None)),
    ("S3://ads", ("s3", "ads", "", None)),
    ("s3://ads/", ("s3", "ads", "", None)),
    ("gs://my_bucket.example/a b/*.csv", ("gs", "my_bucket.example", "a b/*.csv", None)),
    ("hf://org/ads", ("hf", "org/ads", "", None)),
    ("hf://datasets/org/ads@v1/data/*.parquet", ("hf", "org/ads", "data/*.parquet", "v1")),
    ("hf://org/ads/data", ("hf", "org/ads", "data", None)),
    ("hf://org/ads@refs/convert/parquet/default", ("hf", "org/ads", "default", "refs/convert/parquet")),
    ("hf://org/ads@refs%2Fpr%2F3/default", ("hf", "org/ads", "default", "refs/pr/3")),
    ("hf://org/ads/a@b.csv", ("hf", "org/ads", "a@b.csv", None)),
]


@pytest.mark.parametrize(("source", "parts"), GOOD)
def test_what_is_an_address(source: str, parts: tuple[str, str, str, str | None]) -> None:
    found = parse_address(source)
    assert (found.scheme, found.root, found.path, found.revision) == parts
    assert (found.source, found.local) == (source, parts[0] == "file")
    assert isinstance(found, Address)


BAD = [
    ("s3://", "no bucket is named. Write s3://bucket/key, s3://bucket/folder/ or a glob such as s3://bucket/ads/*.csv"),
    ("s3:///ads.csv", "no bucket is named"),
    ("s3://ads-{partition}/a.csv", "only the path may have `{partition}` or `*` in it"),
    ("gs://*/a.csv", "only the path may have"),
    ("hf://ads", "no data set of the Hub. Write hf://organization/name@revision"),
    ("hf://org/ads@", "no data set of the Hub"),
    ("hf://org/{partition}", "no data set of the Hub"),
    (
        "https://example.org/ads.csv",
        "https:// is no source. Name a local file, a folder or a glob, or an address that begins with",
    ),
    ("gcs://ads/a.csv", "gcs:// is no source"),
    ("file:///ads.csv", "file:// is no source"),
]


@pytest.mark.parametrize(("source", "told"), BAD)
def test_what_is_none(source: str, told: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_address(source)
    assert str(caught.value).startswith(f"data.source {source}: ")
    assert told in str(caught.value)
