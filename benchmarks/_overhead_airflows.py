"""The Airflows of `benchmarks.overhead`, each with a project of its own and a tiny Llama: the embedded one, and the cluster."""

from __future__ import annotations

import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psutil
from sqlalchemy import URL, create_engine, text

from skillsengine.airflow import embedded as embedded_airflow
from skillsengine.airflow.client import AirflowClient
from skillsengine.airflow.embedded_state import read_state
from skillsengine.settings import Settings, load_settings
from skillsengine.storage.catalog import Catalog
from tests.e2e.conftest import SPEC, free_port
from tests.pipeline.project import make_project

DAGS = Path(__file__).resolve().parent.parent / "dags"
_SAMPLE_SECONDS = 5.0
_ASK_SECONDS = 2.0
"""Between two questions to the API: each costs Airflow some hundredths of a processor second, which are counted."""
_OVER = ("success", "failed")


class Airflow(ABC):
    """One that runs, and what is measured of it."""

    def __init__(self, settings: Settings, client: AirflowClient) -> None:
        self.settings, self.client = settings, client

    @abstractmethod
    def processes(self) -> list[psutil.Process]:
        """The first process of each part."""

    @abstractmethod
    def database_bytes(self) -> int:
        """How large Airflow's own database is."""

    def write_dag(self, dag_id: str, code: str) -> None:
        """A DAG file of nobody's spec."""
        (self.settings.project / "dags" / f"{dag_id}.py").write_text(code, encoding="utf-8")
        self._wait_for(dag_id)

    def write_specs(self, names: Sequence[str], rank: int) -> None:
        """Specs of the tests' shape; those of one rank share their artifacts."""
        for name in names:
            body = SPEC.format(name=name).replace("lora: {r: 4, alpha: 8}", f"lora: {{r: {rank}, alpha: 8}}")
            assert f"r: {rank}," in body
            (self.settings.experiments / f"{name}.yaml").write_text(body, encoding="utf-8")
        for name in names:
            self._wait_for(name)

    def _wait_for(self, dag_id: str) -> None:
        _until(f"the DAG {dag_id}", lambda: self.client.dag(dag_id), 600)
        self.client.set_paused(dag_id, False)

    def run(self, dag_id: str) -> dict[str, float]:
        """One run alone: seconds, where they went, processor seconds of all parts. Raises RuntimeError where it fails."""
        before, cpu = datetime.now().astimezone(), self._cpu()
        run_id = self.client.trigger(dag_id)
        run = self._ended(dag_id, run_id)
        tasks = sorted(self.client.task_instances(dag_id, run_id), key=lambda task: _time(task["start_date"]))
        last, starting, within = before, 0.0, 0.0
        for task in tasks:
            began, ended = _time(task["start_date"]), _time(task["end_date"])
            starting += (began - last).total_seconds()
            within += (ended - began).total_seconds()
            last = ended
        work = self._work(dag_id, run_id)
        return {
            "seconds": round((_time(run["end_date"]) - before).total_seconds(), 2),
            "work": round(work, 2),
            "starting": round(starting, 2),
            "in_tasks": round(within - work, 2),
            "cpu_seconds": round(self._cpu() - cpu, 2),
        }

    def _work(self, dag_id: str, run_id: str) -> float:
        """Seconds that the stages of a run took, by the catalog."""
        catalog = Catalog.open(self.settings.catalog_url)
        row = catalog.get_run(dag_id, run_id)
        steps = [] if row is None else catalog.steps_of(row.id)
        catalog.close()
        return sum(step.seconds or 0.0 for step in steps if step.state == "done")

    def run_all(self, dag_ids: Sequence[str]) -> dict[str, Any]:
        """One run of each, triggered without a pause: until all are over, and what that takes. How many failed is told: the
        others have cost what they cost."""
        size, cpu, started = self.database_bytes(), self._cpu(), time.monotonic()
        with _Memory(self.processes()) as memory:
            runs = {dag_id: self.client.trigger(dag_id) for dag_id in dag_ids}
            failed = sum(self._over(dag_id, run_id)["state"] != "success" for dag_id, run_id in runs.items())
        count = len(dag_ids)
        return {
            "failed": failed,
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds_a_run": round((self._cpu() - cpu) / count, 2),
            "memory_mb": round(memory.most / 1e6),
            "database_kb_a_run": round((self.database_bytes() - size) / 1e3 / count, 1),
        }

    def _ended(self, dag_id: str, run_id: str) -> Mapping[str, Any]:
        run = self._over(dag_id, run_id)
        if run["state"] != "success":
            raise RuntimeError(f"{dag_id} {run_id}: {run['state']}: {run['note']}")
        return run

    def _over(self, dag_id: str, run_id: str) -> Mapping[str, Any]:
        def over() -> Mapping[str, Any] | None:
            run = self.client.run(dag_id, run_id)
            return run if run and run["state"] in _OVER else None

        found: Mapping[str, Any] = _until(f"the end of {run_id} of {dag_id}", over, 7200)
        return found

    def _cpu(self) -> float:
        """Seconds of a processor that all processes took, those that have ended, too."""
        total = 0.0
        for process in _trees(self.processes()):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total


class _Embedded(Airflow):
    def processes(self) -> list[psutil.Process]:
        state = read_state(self.settings)
        assert state is not None
        return [psutil.Process(state.pid)]

    def database_bytes(self) -> int:
        return sum(path.stat().st_size for path in (self.settings.home / "airflow").glob("airflow.db*"))


@contextmanager
def embedded(work: Path) -> Iterator[Airflow]:
    """The embedded Airflow of a new project in `work`."""
    for variable in ("SKILLSENGINE_HOME", "SKILLSENGINE_CATALOG", "SKILLSENGINE_PROJECT", "SKILLSENGINE_ENV"):
        os.environ.pop(variable, None)
    project = work / "project"
    make_project(project)
    shutil.copytree(DAGS, project / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    settings = load_settings(project)
    address = embedded_airflow.up(settings, free_port())
    try:
        with AirflowClient(address.url) as client:
            yield _Embedded(settings, client)
    finally:
        embedded_airflow.down(settings)


class _Cluster(Airflow):
    def __init__(self, settings: Settings, client: AirflowClient, cluster: Any) -> None:
        super().__init__(settings, client)
        self._cluster = cluster

    def processes(self) -> list[psutil.Process]:
        from tools.cluster import PARTS

        return [process for part in PARTS if (process := self._cluster.process(part)) is not None]

    def database_bytes(self) -> int:
        password = (self._cluster.secrets / "airflow_password").read_text(encoding="utf-8")
        place = {"host": "127.0.0.1", "port": self._cluster.ports["postgres"], "database": "airflow"}
        engine = create_engine(URL.create("postgresql+psycopg", username="airflow", password=password, **place))
        try:
            with engine.connect() as connection:
                return int(connection.scalar(text("SELECT pg_database_size('airflow')")) or 0)
        finally:
            engine.dispose()


@contextmanager
def cluster(work: Path, packages: Path | None) -> Iterator[Airflow]:
    """The topology of compose.yaml as processes, with a new project in `work`."""
    from tests.e2e.cluster.running import connected, lay_out
    from tools.cluster import Cluster

    project = work / "project"
    lay_out(project)
    running = Cluster(work / "cluster", project, packages)
    running.folder.mkdir()
    try:
        running.up()
        with connected(running, work / "alone") as found:
            yield _Cluster(found.settings, found.client, running)
    finally:
        running.remove()


class _Memory:
    """The most memory that processes and all below them held at once, bytes: what they share counts once (PSS)."""

    def __init__(self, processes: Sequence[psutil.Process]) -> None:
        self.most = 0
        self._processes, self._over = processes, Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            held = 0
            for process in _trees(self._processes):
                with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    held += process.memory_full_info().pss
            self.most = max(self.most, held)
            if self._over.wait(_SAMPLE_SECONDS):
                return


def _trees(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found |= {each.pid: each for each in (process, *process.children(recursive=True))}
    return list(found.values())


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


def _until(what: str, look: Any, seconds: float) -> Any:
    until = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > until:
            raise TimeoutError(f"{what}: not after {seconds:.0f} s")
        time.sleep(_ASK_SECONDS)
    return found
