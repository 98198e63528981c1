"""The cluster as processes has the settings of compose.yaml, but for addresses and paths. tests/e2e/cluster sees it work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.e2e.conftest import free_port
from tools.cluster import AIRFLOW, PARTS, SECOND, Cluster
from tools.composed import read_services


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path, PROJECT)


def test_every_lasting_service_is_a_part() -> None:
    assert set(PARTS) == {name for name, told in read_services(PROJECT).items() if told.told["restart"] != "no"}


@pytest.mark.parametrize("part", (*AIRFLOW, "init"))
def test_a_part_has_the_settings_of_its_container(part: str, cluster: Cluster) -> None:
    env, settings = cluster.environment(part), cluster.services[part].environment
    assert settings["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    for name, told in settings.items():
        if name == "AIRFLOW__API__PORT":
            assert env[name] == str(cluster.ports["api-server"])
            continue
        for there, here in cluster.replaced(part).items():
            told = told.replace(there, here)
        assert env[name] == told
    for there in (
        "postgres:",
        "redis:",
        "//s3:",
        "api-server:",
        "/run/",
        "/opt/skillsengine",
        "/var/lib/skillsengine",
        "0.0.0.0",
    ):
        left = {name: value for name, value in env.items() if there in value.replace("redis://", "")}
        assert left.keys() <= {"PATH"}, there


def test_two_workers_on_one_host_have_folders_of_their_own(cluster: Cluster) -> None:
    homes = [cluster.environment(part)["AIRFLOW_HOME"] for part in AIRFLOW]
    assert len(set(homes)) == len(AIRFLOW)


def test_nothing_runs_before_it_is_started(cluster: Cluster) -> None:
    assert not any(cluster.running(part) for part in PARTS)
    assert len(set(cluster.ports.values())) == 4


def test_a_second_worker_is_the_first_ones_service_in_a_folder_of_its_own(cluster: Cluster) -> None:
    for second, service in SECOND.items():
        one, other = cluster.environment(service), cluster.environment(second)
        assert {name for name in one if one[name] != other[name]} == {"AIRFLOW_HOME"}


@pytest.mark.nightly
def test_the_demo_plans_with_the_clusters_store_and_asks_its_airflow(tmp_path: Path) -> None:
    """As far as it comes without one; `python -m tools.cluster demo` runs it to its end."""
    address = f"http://127.0.0.1:{free_port()}"
    env = os.environ | {"SKILLSENGINE_PROJECT": str(PROJECT), "SKILLSENGINE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "tools.cluster_demo", address]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "job-skills-demo: " in done.stdout and "steps to run, the rest is cached" in done.stdout
    assert done.stderr.startswith(f"demo: Airflow at {address}: GET /api/v2/dags/job-skills-demo: no answer")
