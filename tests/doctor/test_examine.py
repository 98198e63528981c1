"""The whole look: what is found of a project and its Airflow, and that it ends whatever does not answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from skillsengine.doctor import examine as module
from skillsengine.doctor.examine import examine
from skillsengine.doctor.finding import Finding
from skillsengine.settings import load_settings
from skillsengine.spec.load import check_specs, resolved
from skillsengine.storage.catalog import Catalog
from skillsengine.tracking import server
from tests.doctor.airflow_server import answering, recorded, silent
from tests.pipeline.project import make_project, tiny_experiment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_project(tmp_path / "project", base=False)
    return tmp_path / "project"


def _write(project: Path, name: str, **sections: Any) -> None:
    spec = resolved(tiny_experiment(name, **sections))
    (project / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(spec))


def _found(project: Path, *, whole: bool = True) -> list[Finding]:
    settings = load_settings(project)
    return list(examine(check_specs(settings.experiments), settings, whole=whole))


def _told(found: list[Finding]) -> Mapping[tuple[str, str], str]:
    return {(finding.level, finding.subject): finding.text for finding in found}


def test_a_project_and_its_airflow(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(project, "good", base={"model": "smollm2-135m-instruct"}, resources={"device": "cpu", "pool": "gpu"})
    (project / "experiments" / "new.yaml").write_text("name: new\nschedul: none\n")
    catalog = Catalog.open(load_settings(project).catalog_url)
    row = catalog.allocate_version("old", "1" * 64, experiment="old", partition=None, run_id=None, spec={})
    catalog.publish_version("old", row.number, "1" * 64, "/nowhere", {}, {})
    with answering(recorded()) as url:
        monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", url)
        found = _found(project)
        only = _found(project, whole=False)
    told = _told(found)
    assert [finding.group for finding in found] == sorted(
        (finding.group for finding in found), key=["settings", "machine", "Airflow", "specs"].index
    )
    assert told["problem", "pool gpu"] == "Airflow has no such pool: tasks of good are never started"
    assert told["unknown", "queues"].startswith("gpu: Airflow does not tell which executor it has")
    assert told["warning", "DAGs"].startswith("good: Airflow's DAG is made from another state of the spec")
    assert "experiments/new.yaml:2:1: schedul: unknown key" in told["problem", "spec new.yaml"]
    assert told["ok", "data of good"] == "data/ads/{partition}.jsonl: partition 2026-03, 3 files"
    assert told["warning", "versions of old"].startswith("1 version (old@latest), made by old, ")
    # The files of `gone` stand beside those of `good`, which is a spec of this project.
    assert told["ok", "DAGs without a spec"].startswith("gone: nothing starts any more")
    assert {finding.subject for finding in found} - {finding.subject for finding in only} == {
        "versions of old", "DAGs without a spec"
    }  # fmt: skip


def test_a_project_is_left_as_it_was(project: Path) -> None:
    _write(project, "good", base={"model": "smollm2-135m-instruct"})
    before = sorted(project.rglob("*"))
    _found(project)
    assert sorted(project.rglob("*")) == before


def test_it_ends_where_nothing_answers(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    far = {"source": "s3://bucket/{partition}.jsonl"}
    for name in ("a", "b"):
        _write(project, name, data=far, base={"model": "smollm2-135m-instruct"}, tracking={"mode": "auto"})
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(module, "_AIRFLOW", (0.2, 0.2))
    monkeypatch.setattr(module, "_DATA", (9.0, 0.2))
    monkeypatch.setattr(server, "PROBE_SECONDS", 0.2)
    with silent() as url:
        for name in ("SKILLSENGINE_AIRFLOW_URL", "AWS_ENDPOINT_URL", "WANDB_BASE_URL"):
            monkeypatch.setenv(name, url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "WANDB_API_KEY"):
            monkeypatch.setenv(name, "x" * 40)
        told = _told(_found(project))
    assert told["problem", "Airflow"].startswith(f"{url}: no answer within 0 s; so pools, queues and DAGs were not")
    assert told["problem", "data of a"] == "s3://bucket/{partition}.jsonl: no answer within 0 s"
    assert told["unknown", "data of b"] == (
        "s3://bucket/{partition}.jsonl: not looked at: those before it took all of 0 s"
    )
    assert told["warning", "Weights & Biases"].startswith(
        f"WANDB_API_KEY is set, and {url} does not answer within 0.2 s"
    )
