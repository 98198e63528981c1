"""A run that nothing happens to, to compare with, and an installation for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.installation import Installation, Whole, make_whole
from tests.faults.machine import small_disk
from tests.sources.servers import moto_port, s3

__all__ = ["moto_port", "s3", "small_disk"]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return make_whole(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path)
