"""What must hold of compose.yaml and its settings. That its parts work together is tests/e2e/cluster's to show."""

from __future__ import annotations

import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from skillsengine.airflow.broker import default_executor
from skillsengine.spec.schema import Experiment
from tests.conftest import PROJECT
from tests.pipeline.project import tiny_experiment
from tools.composed import Service, read_compose, read_services

SERVICES = read_services(PROJECT)
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "default-worker", "gpu-worker")
WORKERS = ("default-worker", "gpu-worker")
ONCE = ("s3-volume", "init")
"""Services that end."""
SETTINGS = sorted((PROJECT / "deploy" / "env").glob("*.env"))
_SECRET = re.compile(r"/run/secrets/([a-z0-9_]+)")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    return int(text[:-1]) * _SECONDS[text[-1]]


def mounts(service: Service) -> list[list[str]]:
    return [str(volume).split(":") for volume in service.told.get("volumes", ())]


def each(*names: str) -> Any:
    return pytest.mark.parametrize(
        "service", [SERVICES[name] for name in names or SERVICES], ids=lambda found: found.name
    )


def test_all_parts_are_there() -> None:
    assert set(SERVICES) == {"postgres", "redis", "s3", *ONCE, *AIRFLOW}


@each()
def test_a_part_may_do_nothing_that_it_need_not(service: Service) -> None:
    told = service.told
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"] and not told.get("cap_add") and not told.get("privileged")
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert told["user"] not in ("root", "0", "0:0")
    assert not {"network_mode", "pid", "ipc"} & told.keys() or told["network_mode"] == "none"
    assert not [mount for mount in mounts(service) if "docker.sock" in mount[0]]


@each()
def test_what_it_is_given_of_the_host_it_cannot_write(service: Service) -> None:
    given = [mount for mount in mounts(service) if mount[0].startswith((".", "/"))]
    assert [mount for mount in given if mount[-1] != "ro"] == []
    assert all((PROJECT / mount[0]).exists() for mount in given)


def test_specs_are_mounted_alike_where_they_are_read() -> None:
    for name in ("dag-processor", *WORKERS):
        assert ["./experiments", "/opt/skillsengine/experiments", "ro"] in mounts(SERVICES[name])
        assert ["state", "/var/lib/skillsengine"] in mounts(SERVICES[name])


def test_only_the_pages_are_published_and_only_here() -> None:
    published = {name: service.told["ports"] for name, service in SERVICES.items() if "ports" in service.told}
    assert published == {"api-server": ["127.0.0.1:8080:8080"]}


def test_the_data_is_on_a_network_without_a_way_out() -> None:
    assert read_compose(PROJECT)["networks"]["back"] == {"internal": True}
    for name in ("postgres", "redis", "s3", "scheduler", "dag-processor", "init"):
        assert SERVICES[name].told["networks"] == ["back"]


@each(*(name for name in SERVICES if name not in ONCE))
def test_it_says_how_it_is_and_comes_back(service: Service) -> None:
    check = service.told["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL") and check["start_period"]
    assert seconds(check["timeout"]) < seconds(check["interval"])
    assert service.told["restart"] == "unless-stopped"
    if service.name in AIRFLOW:
        assert check["test"] == ["CMD", "healthcheck"]


def test_nothing_starts_before_what_it_needs() -> None:
    needs = {name: service.told.get("depends_on", {}) for name, service in SERVICES.items()}
    assert needs["init"]["postgres"] == {"condition": "service_healthy"}
    for name in AIRFLOW:
        assert needs[name]["init"] == {"condition": "service_completed_successfully"}
        if name != "api-server":
            assert needs[name]["api-server"] == {"condition": "service_healthy"}, "a task that finds none fails"
            assert needs[name]["redis"] == {"condition": "service_healthy"}


def test_one_gpu_one_training() -> None:
    gpu = SERVICES["gpu-worker"]
    devices = gpu.told["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert "deploy" not in SERVICES["default-worker"].told
    assert gpu.environment["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "1"
    queues = {name: SERVICES[name].command[SERVICES[name].command.index("--queues") + 1] for name in WORKERS}
    assert queues == {"default-worker": "default", "gpu-worker": "gpu"}
    overlay = yaml.safe_load((PROJECT / "experiments" / "_env" / "cluster.yaml").read_text(encoding="utf-8"))[
        "resources"
    ]
    asked = {overlay["queue"]} | {stage["queue"] for stage in overlay["stages"].values()}
    assert asked == set(queues.values()), "a queue that nobody serves holds a run for ever"
    assert {stage["pool"] for stage in overlay["stages"].values()} == {"gpu"}
    assert "airflow pools set gpu 1 " in (PROJECT / "deploy" / "init.sh").read_text(encoding="utf-8")


def test_a_training_may_reach_a_checkpoint_when_its_worker_is_told_to_stop() -> None:
    grace = {name: seconds(SERVICES[name].told["stop_grace_period"]) for name in (*AIRFLOW, "postgres", "redis", "s3")}
    assert grace["gpu-worker"] == max(grace.values()) >= 600


@pytest.mark.parametrize("file", SETTINGS, ids=lambda path: path.stem)
def test_settings_are_written_so_that_every_reader_sees_the_same(file: Path) -> None:
    """NAME=value, or NAME='...': Compose, dotenv and a shell read nothing else alike."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert lines
    wrong = [line for line in lines if not re.fullmatch(r"[A-Z_0-9]+=([\w.:/?=@+,-]+|'[^']+')", line)]
    assert wrong == []
    assert file.read_text(encoding="utf-8").startswith("# "), "it says for whom it is"


def test_every_settings_file_is_used() -> None:
    used = {path for service in SERVICES.values() for path in service.told.get("env_file", ())}
    assert used == {str(path.relative_to(PROJECT)) for path in SETTINGS}


@each()
def test_it_has_the_secrets_that_its_settings_name_and_no_others(service: Service) -> None:
    text = " ".join((*service.environment.values(), *service.command, str(service.told.get("healthcheck", ""))))
    scripts = {"init": "init.sh", "postgres": "postgres-roles.sh", "redis": "redis.conf"}
    if service.name in scripts:
        script = (PROJECT / "deploy" / scripts[service.name]).read_text(encoding="utf-8")
        text += script.replace("$secrets/", "/run/secrets/").replace("password catalog", "/run/secrets/catalog")
    assert set(service.secrets) == set(_SECRET.findall(text))


def test_workers_hold_no_key_of_airflows_and_the_pages_only_read() -> None:
    for name in WORKERS:
        own = set(SERVICES[name].secrets)
        assert not own & {"airflow_password", "fernet_key", "api_secret_key", "jwt_secret", "postgres_password"}
        assert not [option for option in SERVICES[name].environment if "SQL_ALCHEMY" in option]
    assert "catalog_service" not in SERVICES["api-server"].secrets
    assert "//catalog_reader@" in SERVICES["api-server"].environment["SKILLSENGINE_CATALOG_READ"]
    holders = {name for name, service in SERVICES.items() if "admin_password" in service.secrets}
    assert holders == {"init"}


def test_no_secret_stands_in_a_setting() -> None:
    """What Airflow calls a secret comes from a command that reads a file; an address has no password in it."""
    for service in SERVICES.values():
        for name, value in service.environment.items():
            assert not re.search(r"(KEY|SECRET|PASSWORD|TOKEN|_CONN|BROKER_URL|RESULT_BACKEND)$", name), name
            assert not re.search(r"://[^/\s@]*:[^%/\s@]+@", value), name


def test_the_commands_read_the_files(tmp_path: Path) -> None:
    """As Airflow runs them, with passwords of a test."""
    env = SERVICES["scheduler"].environment
    found = {}
    for name in [name for name in env if name.endswith("_CMD")]:
        for secret in _SECRET.findall(env[name]):
            (tmp_path / secret).write_text(f"of-{secret}", encoding="utf-8")
        command = shlex.split(env[name].replace("/run/secrets", str(tmp_path)))
        found[name.removesuffix("_CMD")] = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found == {
        "AIRFLOW__CELERY__BROKER_URL": "redis://:of-redis_password@redis:6379/0",
        "AIRFLOW__CELERY__RESULT_BACKEND": "db+postgresql+psycopg2://celery:of-celery_password@postgres:5432/celery",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow:of-airflow_password@postgres:5432/airflow",
        "AIRFLOW__CORE__FERNET_KEY": "of-fernet_key",
        "AIRFLOW__API__SECRET_KEY": "of-api_secret_key",
        "AIRFLOW__API_AUTH__JWT_SECRET": "of-jwt_secret",
    }
    (tmp_path / "redis_password").unlink()
    command = shlex.split(env["AIRFLOW__CELERY__BROKER_URL_CMD"].replace("/run/secrets", str(tmp_path)))
    missing = subprocess.run(command, capture_output=True, text=True)
    assert missing.returncode != 0 and missing.stdout == "", "never an address without its password"


def test_secrets_are_made_once_and_are_nobody_elses(tmp_path: Path) -> None:
    def make() -> str:
        command = [str(PROJECT / "deploy" / "make-secrets.sh"), str(tmp_path / "secrets")]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    make()
    files = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    told = read_compose(PROJECT)["secrets"]
    assert told == {name: {"file": f"deploy/secrets/{name}"} for name in files}, "all that compose.yaml asks for"
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o640}
    assert len(set(files.values())) == len(files) and min(map(len, files.values())) >= 44
    assert not [name for name, text in files.items() if text.endswith("\n")]
    (tmp_path / "secrets" / "jwt_secret").unlink()
    assert "made jwt_secret" in make()
    again = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "secrets").iterdir()}
    assert {name for name in files if again[name] != files[name]} == {"jwt_secret"}
    assert (
        files["worker_login"].startswith("worker:") and files["redis_auth"] == f"requirepass {files['redis_password']}"
    )


def test_the_broker_waits_for_the_longest_task() -> None:
    env = SERVICES["scheduler"].environment
    assert default_executor(env["AIRFLOW__CORE__EXECUTOR"]) == "CeleryExecutor"
    longest = Experiment.model_validate(tiny_experiment().model_dump()).resources.timeout
    assert int(env["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) >= longest.total_seconds() + 3600
    assert SERVICES["gpu-worker"].environment.items() >= {
        (name, value) for name, value in env.items() if name.startswith("AIRFLOW__CELERY_BROKER")
    }


def test_what_holds_secrets_is_in_no_commit_and_no_image() -> None:
    ignored = (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/deploy/secrets/", "/.env"} <= set(ignored)
