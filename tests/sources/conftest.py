"""Fixtures of this folder."""

from tests.sources.servers import bucket, gs, hub, moto_port, place, s3

__all__ = ["bucket", "gs", "hub", "moto_port", "place", "s3"]
