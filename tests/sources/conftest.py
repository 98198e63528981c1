"""Fixtures of this folder."""

from tests.sources.servers import bucket, catalog, gs, hub, moto_port, place, s3

__all__ = ["bucket", "catalog", "gs", "hub", "moto_port", "place", "s3"]
