"""A run that nothing happens to, to compare with, and an installation for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import disks
from tests.faults.installation import Installation, Whole, make_whole
from tests.sources.servers import moto_port, s3

__all__ = ["moto_port", "s3"]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """24 MB."""
    with disks.small_disk(tmp_path / "disk", 24_000) as disk:
        yield disk
