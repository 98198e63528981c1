"""Fixtures of this folder."""

from tests.sources.servers import bucket, catalog, gs, gs_server, hub, moto_port, place, s3

__all__ = ["bucket", "catalog", "gs", "gs_server", "hub", "moto_port", "place", "s3"]
