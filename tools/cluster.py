"""The topology of compose.yaml as plain processes on this machine: `.venv/bin/python -m tools.cluster up|demo|status|down`.

Commands and settings are those of compose.yaml, deploy/ and the Dockerfile. What differs from the containers is what `replaced`
gives and `_PART` says: addresses, ports and paths, the workers' names (in containers, host names), and moto in the place of the
S3 server's image. PostgreSQL and redis-server must be installed (`apt-get install postgresql redis-server`); as root,
PostgreSQL runs as the user `postgres`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from skillsengine.airflow.client import AirflowClient
from tools.cluster_machine import (
    ClusterError,
    answers,
    as_user,
    end_all,
    free_ports,
    login_packages,
    postgres_bin,
    postgres_user,
    program,
)
from tools.composed import Service, read_services

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / ".skillsengine" / "cluster"
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "default-worker", "gpu-worker")
"""The parts of Airflow, in the order in which they start."""
PARTS = ("postgres", "redis", "s3", *AIRFLOW)
SECOND = {"gpu-worker-2": "gpu-worker"}
"""Parts that `up` does not start, as of a further host -> the service that they are."""
_LISTENING = ("postgres", "redis", "s3", "api-server")
_PASSED = ("LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "HF_HUB_OFFLINE", "TZ")
"""What the caller's environment hands on; a container gets none of it."""
_PART = {
    # On one host, two workers must be told apart by name.
    "default-worker": ("--celery-hostname", "default-worker"),
    "gpu-worker": ("--celery-hostname", "gpu-worker"),
    "gpu-worker-2": ("--celery-hostname", "gpu-worker-2"),
}
_START_SECONDS = 300.0
_STOP_SECONDS = 20.0


class Cluster:
    """The parts of one cluster, whose state, logs and secrets are in `folder`.

    `project` holds `experiments/`, `dags/` and data; `packages` is a folder with FAB, for Pythons that lack it. `more` is added
    to every part's environment.
    """

    def __init__(
        self, folder: Path, project: Path = PROJECT, packages: Path | None = None, more: Mapping[str, str] | None = None
    ) -> None:
        self.folder, self.project, self._packages = folder.resolve(), project.resolve(), packages
        self.services, self._more = read_services(PROJECT), dict(more or {})
        self._file = self.folder / "cluster.json"
        kept = json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else {}
        self.ports: dict[str, int] = kept.get("ports") or dict(zip(_LISTENING, free_ports(4), strict=True))
        self._started: dict[str, list[float]] = kept.get("started", {})
        """Part -> pid, and when that process began."""
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    # --- where things are

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def home(self) -> Path:
        return self.folder / "state"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['api-server']}"

    @property
    def url_with_login(self) -> str:
        """Of the user `admin`."""
        password = (self.secrets / "admin_password").read_text(encoding="utf-8")
        return f"http://admin:{password}@127.0.0.1:{self.ports['api-server']}"

    def service(self, part: str) -> Service:
        """What compose.yaml says of a part."""
        return self.services[SECOND.get(part, part)]

    def log(self, part: str) -> Path:
        return self.folder / "logs" / f"{part}.log"

    def replaced(self, part: str) -> dict[str, str]:
        """What stands in the settings for containers -> what it is here. This list is all that differs."""
        here = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        return {
            "postgres:5432": here["postgres"],
            "redis:6379": here["redis"],
            "s3:8333": here["s3"],
            "api-server:8080": here["api-server"],
            "localhost:8080": here["api-server"],
            "0.0.0.0": "127.0.0.1",
            "/run/secrets": str(self.secrets),
            "/run/airflow": str(self.folder / "airflow" / part),
            "/var/lib/skillsengine": str(self.home),
            "/opt/skillsengine": str(self.project),
        }

    def environment(self, part: str) -> dict[str, str]:
        """What a part finds in its environment."""
        found = {name: os.environ[name] for name in _PASSED if name in os.environ}
        for name, value in self.service(part).environment.items():
            for there, here in self.replaced(part).items():
                value = value.replace(there, here)
            found[name] = value
        if "AIRFLOW__API__PORT" in found:
            found["AIRFLOW__API__PORT"] = str(self.ports["api-server"])
        paths = [str(PROJECT), *([str(self._packages)] if self._packages else [])]
        return found | {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{postgres_bin()}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(paths),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            **self._more,
        }

    # --- all of it

    def up(self, tell: Callable[[str], None] = print) -> None:
        """Start everything, in compose.yaml's order, and wait until Airflow is well. Raises ClusterError."""
        for folder in (self.folder / "logs", self.home, self.folder / "redis"):
            folder.mkdir(parents=True, exist_ok=True)
        self._run([str(PROJECT / "deploy" / "make-secrets.sh"), str(self.secrets)], os.environ, "secrets")
        for part in ("postgres", "redis", "s3"):
            self.start(part)
        tell("PostgreSQL, Redis and an S3 server are up; making tables, users and the pool")
        self._run(
            ["bash", str(PROJECT / "deploy" / "init.sh")],
            self.environment("init") | {"SECRETS": str(self.secrets)},
            "init",
        )
        for part in AIRFLOW:
            self.start(part)
        self.wait_until_well()
        tell(f"up: {self.url}, user admin, password in {self.secrets / 'admin_password'}")

    def down(self) -> None:
        """End every part, the last one first. What they keep stays."""
        for part in (*SECOND, *reversed(PARTS)):
            self.stop(part)

    def remove(self) -> None:
        """End every part and remove all that they keep."""
        self.down()
        shutil.rmtree(self._postgres_folder().parent)
        shutil.rmtree(self.folder)

    def wait_until_well(self, seconds: float = _START_SECONDS) -> None:
        """Until the API server finds database, scheduler, DAG processor and triggerer healthy. Raises ClusterError."""

        def well() -> bool:
            with AirflowClient(self.url) as client:
                health = client.health() or {}
            return all(
                health.get(part, {}).get("status") == "healthy" for part in ("scheduler", "dag_processor", "triggerer")
            )

        self._wait("api-server", well, seconds)

    # --- one part

    def start(self, part: str, more: Mapping[str, str] | None = None) -> None:
        """Start one part, and wait until others can reach it where they must. `more` is added to the environment of a part of
        Airflow. Raises ClusterError."""
        if self.running(part):
            return
        if part == "postgres":
            self._start_postgres()
        elif part == "redis":
            self._popen(part, [program("redis-server"), str(self._redis_conf())], self.environment(part))
            self._wait(part, lambda: answers(self.ports["redis"]))
        elif part == "s3":
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.ports["s3"])]
            self._popen(part, command, self.environment(part))
            self._wait(part, lambda: answers(self.ports["s3"]))
        else:
            command = [sys.executable, "-P", "-m", *self.service(part).command, *_PART.get(part, ())]
            self._popen(part, command, self.environment(part) | dict(more or {}))
            if part == "api-server":
                with AirflowClient(self.url) as client:
                    self._wait(part, lambda: client.health() is not None)

    def stop(self, part: str, sig: signal.Signals = signal.SIGTERM, seconds: float = _STOP_SECONDS) -> None:
        """Tell a part to end, and end what is left of it after `seconds`."""
        process = self.process(part)
        if process is not None:
            family = [process, *process.children(recursive=True)]
            process.send_signal(signal.SIGINT if part == "postgres" and sig == signal.SIGTERM else sig)
            self._reap(process, seconds)
            end_all(family)
        self._forget(part)

    def kill(self, part: str) -> list[psutil.Process]:
        """`kill -9` of a part and all its processes, as a machine that goes away takes them. What was killed."""
        process = self.process(part)
        if process is None:
            raise ClusterError(f"{part} does not run")
        process.suspend()  # or it starts others while its children are counted
        family = [process, *process.children(recursive=True)]
        end_all(family)
        self._reap(process, _STOP_SECONDS)
        self._forget(part)
        return family

    def process(self, part: str) -> psutil.Process | None:
        """A part's first process, if it runs."""
        pid, began = self._started.get(part, (0, 0))
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(pid))
            if pid and process.create_time() == began and process.status() != psutil.STATUS_ZOMBIE:
                return process
        return None

    def running(self, part: str) -> bool:
        return self.process(part) is not None

    # --- how

    def _for_scripts(self, part: str) -> dict[str, str]:
        """For those of deploy/, which read secrets themselves."""
        return self.environment(part) | {"SECRETS": str(self.secrets)}

    def _start_postgres(self) -> None:
        data, port, new = self._postgres_folder(), self.ports["postgres"], False
        env, user = self.environment("postgres"), postgres_user()
        bin_ = postgres_bin()
        superuser = (self.secrets / "postgres_password").read_text(encoding="utf-8")
        if not (data / "PG_VERSION").exists():
            new = True
            password = data.parent / "password"
            password.touch(mode=0o600)
            password.write_text(superuser, encoding="utf-8")
            if user:
                shutil.chown(password, user)
            options = env["POSTGRES_INITDB_ARGS"].split()
            command = [
                f"{bin_}/initdb",
                "-D",
                str(data),
                "-U",
                "postgres",
                f"--pwfile={password}",
                "-E",
                "UTF8",
                *options,
            ]
            self._run(command, env, "postgres", user)
            password.unlink()
        command = [f"{bin_}/postgres", "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(data.parent)]
        self._popen("postgres", command, env, user)
        ready = [f"{bin_}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        self._wait("postgres", lambda: subprocess.run(ready, check=False).returncode == 0)
        if new:
            login = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGPASSWORD": superuser}
            script = ["bash", str(PROJECT / "deploy" / "postgres-roles.sh")]
            self._run(script, self._for_scripts("postgres") | login, "postgres")

    def _postgres_folder(self) -> Path:
        """Where its user can reach it: root's folders may be closed to him."""
        user = postgres_user()
        if user is None:
            folder = self.folder / "postgres"
        else:
            folder = Path("/var/tmp") / f"skillsengine-postgres-{self.ports['postgres']}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if user:
            shutil.chown(folder, user)
        return folder / "data"

    def _redis_conf(self) -> Path:
        text = (PROJECT / "deploy" / "redis.conf").read_text(encoding="utf-8")
        own = {"dir /data": f"dir {self.folder / 'redis'}", "port 6379": f"port {self.ports['redis']}"}
        for there, here in (self.replaced("redis") | own).items():
            text = text.replace(there, here)
        path = self.folder / "redis.conf"
        path.write_text(text, encoding="utf-8")
        return path

    def _popen(self, part: str, command: list[str], env: Mapping[str, str], user: str | None = None) -> None:
        with self.log(part).open("ab") as out:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=dict(env), cwd="/",
                start_new_session=True, **as_user(user),
            )  # fmt: skip
        self._children[child.pid] = child
        self._started[part] = [child.pid, psutil.Process(child.pid).create_time()]
        self._save()

    def _run(self, command: list[str], env: Mapping[str, str], log: str, user: str | None = None) -> None:
        """A command that ends. Raises ClusterError with the last lines that it said."""
        with self.log(log).open("ab") as out:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=dict(env), cwd="/",
                start_new_session=True, check=False, **as_user(user),
            ).returncode  # fmt: skip
        if code:
            raise ClusterError(f"`{' '.join(command[:2])}` ended with {code}.\n{self._last_lines(log)}")

    def _wait(self, part: str, ready: Callable[[], bool], seconds: float = _START_SECONDS) -> None:
        until = time.monotonic() + seconds
        while not ready():
            if not self.running(part):
                raise ClusterError(f"{part} ended before it was ready.\n{self._last_lines(part)}")
            if time.monotonic() > until:
                raise ClusterError(f"{part} is not ready after {seconds:.0f} s.\n{self._last_lines(part)}")
            time.sleep(0.5)

    def _last_lines(self, log: str, count: int = 15) -> str:
        path = self.log(log)
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[-count:] if path.exists() else []
        return "\n".join([f"--- {path}", *(f"    {line}" for line in lines)])

    def _reap(self, process: psutil.Process, seconds: float) -> None:
        child = self._children.pop(process.pid, None)
        with contextlib.suppress(subprocess.TimeoutExpired, psutil.TimeoutExpired):
            process.wait(seconds) if child is None else child.wait(seconds)
        if child is not None and child.poll() is None:
            self._children[process.pid] = child

    def _forget(self, part: str) -> None:
        if self._started.pop(part, None):
            self._save()

    def _save(self) -> None:
        self._file.write_text(json.dumps({"ports": self.ports, "started": self._started}), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="The topology of compose.yaml as processes on this machine.")
    parser.add_argument("what", choices=("up", "demo", "status", "down"))
    parser.add_argument("--folder", type=Path, default=FOLDER, help="state, logs, secrets")
    words = parser.parse_args()
    words.folder.mkdir(parents=True, exist_ok=True)
    try:
        starts = words.what in ("up", "demo")
        cluster = Cluster(words.folder, packages=login_packages(words.folder / "fab") if starts else None)
        if words.what == "down":
            cluster.down()
        elif words.what == "status":
            for part in PARTS:
                process = cluster.process(part)
                print(f"{part}: " + (f"running, pid {process.pid}" if process else "not running"))
        else:
            cluster.up()
            if words.what == "demo":
                # With what a worker finds in its environment: the same store, the same catalog.
                command = [sys.executable, "-m", "tools.cluster_demo", cluster.url_with_login]
                if words.folder != FOLDER:
                    command += ["--folder", str(words.folder)]
                sys.exit(
                    subprocess.run(command, env=cluster.environment("gpu-worker"), cwd=PROJECT, check=False).returncode
                )
    except ClusterError as error:
        sys.exit(f"cluster: {error}")


if __name__ == "__main__":
    main()
