"""Several machines with one store in a bucket: what one has made is a cache hit on another, what one has begun goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.pipeline.push import run_push
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.serving.named import find, read_version
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.schema import STAGES
from skillsengine.storage.object_store import ObjectStore
from tests.pipeline.killed import SECTIONS
from tests.pipeline.project import make_project, tiny_experiment
from tests.pipeline.whole import run_whole
from tests.sources.servers import S3, moto_port, s3

__all__ = ["moto_port", "s3"]


def machine(project: Settings, home: Path, monkeypatch: pytest.MonkeyPatch, store: str | None) -> Settings:
    """The settings of a machine with a home of its own, and a catalog in it."""
    monkeypatch.setenv("SKILLSENGINE_HOME", str(home))
    if store is None:
        monkeypatch.delenv("SKILLSENGINE_STORE", raising=False)
    else:
        monkeypatch.setenv("SKILLSENGINE_STORE", store)
    return load_settings(project.project)


def steps(run: Run) -> dict[str, tuple[str, bool]]:
    """Run every stage; step id -> (digest, whether it was cached)."""
    return {step["id"]: (step["digest"], step["cached"]) for stage in STAGES for step in run_stage(run, stage)["steps"]}


@pytest.mark.nightly
def test_what_one_machine_has_made_is_there_on_another(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "project")
    experiment = tiny_experiment()
    first = machine(project, tmp_path / "one", monkeypatch, s3.address("skills"))
    run = run_whole(experiment, first, "first")
    version = run.catalog.resolve("tiny", "latest")
    assert isinstance(run.store, ObjectStore)
    assert version.path == run.store.place_of("register", version.artifact_digest or "")
    assert not (tmp_path / "one" / "store" / "artifacts").exists()

    second = machine(project, tmp_path / "two", monkeypatch, s3.address("skills"))
    again = steps(open_run(experiment, dag_id="tiny", run_id="second", settings=second))
    assert again and all(cached for _, cached in again.values()), again
    assert len(list((tmp_path / "two" / "cache").rglob("*.safetensors"))) == 0, "a cache hit fetches no weights"
    named = find("tiny@latest", second)
    assert named.folder.is_relative_to(tmp_path / "two" / "cache")
    assert read_version(named.folder)["number"] == 1 and (named.folder / "adapter_model.safetensors").is_file()
    assert run_push(run) == {"pushed": False, "reason": "register.hub is null"}

    local = machine(project, tmp_path / "three", monkeypatch, None)
    plan = open_run(experiment, dag_id="tiny", run_id="third", settings=local).plan
    assert {step.id: step.digest for step in plan.steps} == {name: digest for name, (digest, _) in again.items()}


@pytest.mark.nightly
def test_a_training_that_was_killed_goes_on_on_another_machine(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit the adapter of one that was never stopped, on a store in a folder."""
    project = make_project(tmp_path / "project")
    experiment = tiny_experiment(**SECTIONS)
    machine(project, tmp_path / "one", monkeypatch, s3.address("skills"))
    command = [sys.executable, "-m", "tests.pipeline.killed", str(project.project), "killed", "5"]
    killed = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=1200)
    assert killed.returncode == -signal.SIGKILL, killed.stderr

    second = machine(project, tmp_path / "two", monkeypatch, s3.address("skills"))
    resumed = open_run(experiment, dag_id="tiny", run_id="killed", settings=second)
    (trained,) = _trained(resumed)
    assert trained["resumed_from_step"] == 4

    local = machine(project, tmp_path / "three", monkeypatch, None)
    undisturbed = open_run(experiment, dag_id="tiny", run_id="whole", settings=local)
    (whole,) = _trained(undisturbed)
    assert whole["resumed_from_step"] == 0 and whole["steps"] == trained["steps"] > 5
    assert _weights(resumed) == _weights(undisturbed)
    assert isinstance(resumed.store, ObjectStore)
    assert list(resumed.store.bucket.list("checkpoints/")) == [], "dropped once it is published"


def _trained(run: Run) -> list[dict[str, float]]:
    for stage in ("format", "profile"):
        run_stage(run, stage)
    return [step["summary"] for step in run_stage(run, "finetune")["steps"]]


def _weights(run: Run) -> bytes:
    artifact = run.store.get("finetune", run.plan.adapter.digest)
    assert artifact is not None
    return artifact.file("adapter/adapter_model.safetensors").read_bytes()
