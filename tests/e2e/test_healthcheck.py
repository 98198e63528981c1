"""The images' health check asks a real Airflow about each of its parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from skillsengine.airflow import embedded_config
from tests.conftest import PROJECT
from tests.e2e.conftest import Platform

pytestmark = pytest.mark.nightly


def check(platform: Platform, role: str, **more: str) -> subprocess.CompletedProcess[str]:
    port = urlsplit(str(platform.settings.airflow_url or platform.client.url)).port
    assert port
    environment = embedded_config.environment(platform.settings, port)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["AIRFLOW__API__PORT"] = str(port)
    command = [sys.executable, str(PROJECT / "docker" / "healthcheck.py"), role]
    for _ in range(5):
        done = subprocess.run(command, capture_output=True, text=True, env=environment | more)
        if "timed out after" not in done.stdout:  # as on a machine that does much else: the next look comes in a minute
            break
    return done


@pytest.mark.parametrize("role", ["api-server", "scheduler", "dag-processor", "triggerer"])
def test_a_part_that_runs(platform: Platform, role: str) -> None:
    done = check(platform, role)
    assert (done.stdout, done.returncode) == (f"{role}: healthy\n", 0)


@pytest.mark.parametrize("role", ["scheduler", "dag-processor", "triggerer"])
def test_another_host_has_no_part(platform: Platform, role: str) -> None:
    """As if this container's scheduler were dead and that of another one alive."""
    done = check(platform, role, AIRFLOW__CORE__HOSTNAME_CALLABLE="platform.machine")
    assert done.returncode == 1
    assert "No alive jobs found." in done.stdout
