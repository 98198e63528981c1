"""Fills Airflow's tables and the catalog with experiments, by the means that fill them in earnest as far as they are cheap."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from skillsengine.airflow.dagfile import broken_file, good_file
from skillsengine.spec.load import load_spec, resolved
from skillsengine.storage.catalog import Catalog
from tests.airflow.support import write_spec

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
CHAIN = "\n\nThe above exception was the direct cause of the following exception:\n\n"


class AirflowTables:
    """A session of Airflow's database."""

    def __enter__(self) -> Self:
        from airflow import settings

        self.session = settings.Session()
        return self

    def __exit__(self, *exc: object) -> None:
        self.session.close()

    def teams(self, *names: str) -> None:
        """Those that are not there yet, as they are in a database that is used again."""
        from airflow.models.dagbundle import DagBundleModel
        from airflow.models.team import Team

        for name in names:
            if self.session.get(Team, name) is not None:
                continue
            team = Team(name=name)
            bundle = DagBundleModel(name=name)
            bundle.teams.append(team)
            self.session.add_all([team, bundle])
        self.session.commit()

    def clear(self) -> None:
        from airflow.models.dag import DagModel
        from airflow.models.dagrun import DagRun
        from airflow.models.errors import ParseImportError

        for model in (DagRun, ParseImportError):
            self.session.query(model).delete()
        for dag in self.session.query(DagModel):
            self.session.delete(dag)
        self.session.commit()

    def dag(self, dag_id: str, *, team: str = "red", code: str | None = None, **more: Any) -> None:
        """A DAG of ours, unless `tags` say otherwise."""
        from airflow.models.dag import DagModel, DagTag
        from airflow.models.dag_version import DagVersion
        from airflow.models.dagcode import DagCode

        tags = more.pop("tags", ("skillsengine", "retrain"))
        facts = {
            "bundle_name": team,
            "relative_fileloc": f"{dag_id}.py",
            "fileloc": f"/bundle/{dag_id}.py",
            "owners": "ann",
            "is_stale": False,
            "is_paused": False,
            "max_active_tasks": 16,
            "max_consecutive_failed_dag_runs": 0,
            "has_task_concurrency_limits": False,
            "timetable_description": "Never, external triggers only",
        } | more
        self.session.add(DagModel(dag_id=dag_id, tags=[DagTag(name=tag, dag_id=dag_id) for tag in tags], **facts))
        self.session.flush()
        if code is not None:
            version = DagVersion(dag_id=dag_id, version_number=1, bundle_name=team)
            self.session.add(version)
            self.session.add(DagCode(version, f"/bundle/{dag_id}.py", code))
        self.session.commit()

    def experiment(self, project: Path, name: str, more: str = "", *, team: str = "red", **facts: Any) -> None:
        """A spec, and both DAGs that it compiles to."""
        loaded = load_spec(write_spec(project, name, more))
        source = f"experiments/{name}.yaml"
        code = good_file(source=source, text=loaded.text, experiment=loaded.experiment, project=str(project))
        self.dag(name, team=team, code=code, **facts)
        self.dag(f"{name}.evaluations", team=team, tags=("skillsengine", "evaluations"))

    def import_error(self, name: str, message: str, *, team: str = "red", has_good: bool = False) -> None:
        """As Airflow keeps what the error file of a spec raises."""
        from airflow.models.errors import ParseImportError

        headline = f"{name} does not compile; {'the last good DAG stays' if has_good else 'it has no DAG yet'}"
        assert repr(headline) in broken_file(source="s", name=name, message=message, has_good=has_good)
        text = f"spec: {message}{CHAIN}Traceback (most recent call last):\n  ...\nspec: {headline}\n"
        self.session.add(ParseImportError(timestamp=NOW, filename=f"{name}.yaml.py", bundle_name=team, stacktrace=text))
        self.session.commit()

    def run(self, dag_id: str, run_id: str, state: str, since: datetime = NOW, **more: Any) -> None:
        from airflow.models.dagrun import DagRun

        run = DagRun(dag_id=dag_id, run_id=run_id, run_type="manual", start_date=since, run_after=since, **more)
        run.state = state
        self.session.add(run)
        self.session.commit()


def spec_of(project: Path, name: str) -> dict[str, Any]:
    return resolved(load_spec(project / "experiments" / f"{name}.yaml").experiment)


@cache
def _empty_catalog() -> bytes:
    """Made once: its migrations are a good part of a test's time."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "catalog.db"
        Catalog.open(f"sqlite:///{path}").close()
        return path.read_bytes()


class Filled:
    """A catalog of a project, and a clock that is set by hand."""

    def __init__(self, project: Path, url: str | None = None) -> None:
        """The project's own SQLite catalog, or a new one at `url`."""
        self.now = NOW
        if url is not None:
            self.catalog = Catalog.open(url, now=lambda: self.now)
            return
        path = project / ".skillsengine" / "catalog.db"
        path.parent.mkdir()
        path.write_bytes(_empty_catalog())
        self.catalog = Catalog.open(f"sqlite:///{path}", now=lambda: self.now)

    def run(
        self,
        name: str,
        run_id: str,
        *,
        spec: Mapping[str, Any],
        steps: Mapping[str, tuple[str, float]] | None = None,
        state: str | None = "success",
        note: str = "",
        trigger: str = "manual",
        kind: str = "retrain",
        partition: str = "2026-06",
        error: str | None = None,
    ) -> int:
        """`steps` are id -> (state, seconds); None as `state` leaves the run open."""
        dag_id = name if kind == "retrain" else f"{name}.evaluations"
        row = self.catalog.pin_run(
            dag_id,
            run_id,
            experiment=name,
            kind=kind,
            partition=partition,
            spec=spec,
            options={"files": {}},
            trigger=trigger,
            spec_commit=None,
        )
        for step, (told, seconds) in (steps or {}).items():
            stage, _, key = step.partition("[")
            self.catalog.start_step(row.id, step, stage, key.rstrip("]") or None, f"{step}-{run_id}")
            if told != "running":
                self.catalog.finish_step(row.id, step, told, seconds, {}, error if told == "failed" else None)
        if state is not None:
            self.now += timedelta(minutes=10)
            self.catalog.finish_run(row.id, state, note)
        return row.id

    def version(
        self,
        name: str,
        f1: float | None,
        *,
        run: int | None = None,
        model: str | None = None,
        verdict: Mapping[str, Any] | None = None,
        champion: bool = False,
        spec: Mapping[str, Any] | None = None,
        partition: str = "2026-06",
    ) -> int:
        """A ready version with an interval of ±0.05, and a base at a tenth."""
        model = model or name
        digest = f"{len(self.catalog.versions()):064x}"
        row = self.catalog.allocate_version(
            model, digest, experiment=name, partition=partition, run_id=run, spec=spec or {"name": name}
        )
        scored: dict[str, Any] = {"partition": partition, "rows": 24, "gold_skills": 133}
        if f1 is not None:
            scored |= {"f1": f1, "f1_low": f1 - 0.05, "f1_high": f1 + 0.05}
        metrics = {"adapter": scored, "base": {"f1": 0.1, "partition": partition}}
        self.catalog.publish_version(model, row.number, digest, Path("/versions"), metrics, {"format": {}})
        if verdict is not None:
            self.catalog.set_verdict(model, row.number, verdict)
        if champion:
            self.catalog.set_alias(model, "champion", row.number, "better")
        return row.number


def verdict(number: int, said: str = "promote", reason: str = "it is better") -> dict[str, Any]:
    return {
        "number": number,
        "champion": None,
        "metric": "f1",
        "opponent": "base",
        "passed_over": {},
        "scores": {},
        "verdict": said,
        "reason": reason,
    }
