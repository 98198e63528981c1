"""A project with a tiny base, and a folder beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.tiny import make_tiny_base


@pytest.fixture(scope="module")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture
def project(tmp_path: Path, tiny_base: Path) -> Path:
    """A project with the shared specs and a base that trains in a second."""
    folder = tmp_path / "project"
    shutil.copytree(PROJECT / "experiments" / "_base", folder / "experiments" / "_base")
    shutil.copytree(tiny_base, folder / "base")
    return folder


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder
