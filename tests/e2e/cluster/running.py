"""A cluster of processes that runs, with a project of its own, and what tests ask of it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from skillsengine.airflow.client import AirflowClient
from skillsengine.settings import Settings, load_settings
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.opening import open_store
from tests.conftest import PROJECT
from tests.e2e.conftest import SPEC, Platform, wait_for
from tests.pipeline.project import make_project
from tests.tiny import make_tiny_base
from tools.cluster import Cluster

PACKAGES = "FAB_PACKAGES"
"""Names the folder with what locks/py311-fab.txt holds, where this Python lacks FAB."""
WIDE = "wide"
"""A base on which a step takes some tenths of a second."""
_OURS = ("SKILLSENGINE_", "PGSERVICEFILE", "AWS_")
_EXECUTED = re.compile(r"Executing workload in Celery: .*log_path='dag_id=([^/]+)/run_id=([^/]+)/task_id=([^/]+)/")


@dataclass(frozen=True)
class Running:
    """A cluster that runs, and its project."""

    cluster: Cluster
    platform: Platform
    alone: Path
    """Home of what is run without Airflow, to compare with."""

    @property
    def client(self) -> AirflowClient:
        return self.platform.client

    @property
    def settings(self) -> Settings:
        return self.platform.settings

    def drop(self, name: str, train: str | None = None, base: str = "base") -> None:
        """Drop a spec and wait for its DAGs; `train` is in the place of the short training."""
        text = SPEC.format(name=name).replace("base: {model: base}", f"base: {{model: {base}}}")
        if train:
            text = re.sub(r"^train:.*\n", train, text, flags=re.MULTILINE)
        path = self.settings.experiments / f"{name}.yaml"
        if not path.exists():
            path.write_text(text, encoding="utf-8")
        wait_for(f"the DAGs of {name}", lambda: self.client.dag(name), 600)

    def places(self, dag_id: str, run_id: str) -> dict[str, set[str]]:
        """Task -> the workers that executed it, by the workers' own logs."""
        found: dict[str, set[str]] = {}
        for worker in ("default-worker", "gpu-worker"):
            for line in self.cluster.log(worker).read_text(encoding="utf-8", errors="replace").splitlines():
                if (task := _EXECUTED.search(line)) and task[1] == dag_id and task[2] == run_id:
                    found.setdefault(task[3], set()).add(worker)
        return found

    def versions(self, name: str) -> list[VersionRow]:
        return list(Catalog.open(self.settings.catalog_url).versions(name))

    def run_alone(self, name: str, *words: str) -> Settings:
        """The same spec by `skillsengine run`, with a home and a catalog of its own, whose settings are given back."""
        home = self.alone / name
        own = {"SKILLSENGINE_HOME": str(home), "SKILLSENGINE_CATALOG": "", "SKILLSENGINE_STORE": ""}
        env = self.cluster.environment("gpu-worker") | own
        command = [sys.executable, "-m", "skillsengine", "run", f"experiments/{name}.yaml", *words]
        done = subprocess.run(command, env=env, cwd=self.settings.project, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
        with environ(own):
            return load_settings()


def adapter_files(settings: Settings, digest: str) -> dict[str, str]:
    """File of an adapter -> sha256 of its bytes."""
    store = open_store(settings)
    artifact = store.get("finetune", digest)
    assert artifact is not None
    assert store.verify(artifact) == []
    return {name: entry.sha256 for name, entry in artifact.manifest.files.items() if name.endswith(".safetensors")}


@contextmanager
def environ(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def login_packages() -> Path | None:
    if importlib.util.find_spec("flask_appbuilder") is not None:
        return None
    if PACKAGES not in os.environ:
        pytest.skip(
            f"FAB is not installed; {PACKAGES} may name a folder with locks/py311-fab.txt (.ci/nightly does it)"
        )
    return Path(os.environ[PACKAGES])


def lay_out(project: Path) -> None:
    """A project as the images hold it, with two tiny bases."""
    make_project(project)
    make_tiny_base(project / WIDE, hidden=512)
    for name in ("dags", "experiments/_env"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))


@contextmanager
def connected(cluster: Cluster, alone: Path) -> Iterator[Running]:
    """A running cluster, with this process set up as a worker's."""
    env = cluster.environment("gpu-worker")
    ours = {name: value for name, value in env.items() if name.startswith(_OURS)}
    with environ(ours), AirflowClient(cluster.url_with_login, timeout=120) as client:
        yield Running(cluster, Platform(load_settings(), client, 0.0), alone)
