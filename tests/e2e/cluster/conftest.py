"""The topology of compose.yaml as processes: one cluster for all tests of this folder, and a training on it to be disturbed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster.running import Running, connected, lay_out, login_packages
from tests.e2e.cluster.training import Training, begin, in_the_middle
from tools.cluster import PARTS, Cluster

KEPT = "CLUSTER_FOLDER"
"""Names a folder in which the cluster stays up between sessions, for who works on these tests."""


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    kept = os.environ.get(KEPT)
    folder = Path(kept) if kept else tmp_path_factory.mktemp("cluster")
    packages = login_packages()
    if not (folder / "project").exists():
        lay_out(folder / "project")
        (folder / "cluster").mkdir()
    cluster = Cluster(folder / "cluster", folder / "project", packages, {"HF_HUB_OFFLINE": "1"})
    try:
        if not all(cluster.running(part) for part in PARTS):
            cluster.up()
        with connected(cluster, folder / "alone") as running:
            yield running
    finally:
        if not kept:
            cluster.remove()


@pytest.fixture
def begun(running: Running) -> Training:
    """A run that has just been triggered, to be trained anew."""
    return begin(running)


@pytest.fixture
def at_work(begun: Training) -> Training:
    """The same, in the middle of the training."""
    return in_the_middle(begun)
