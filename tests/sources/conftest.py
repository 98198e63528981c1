"""Fixtures of this folder."""

from tests.sources.servers import gs, hub, moto_port, s3

__all__ = ["gs", "hub", "moto_port", "s3"]
