"""`push` of a real run: what a user elsewhere gets, repetition, and a run that has nothing to push."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillsengine.pipeline.plan import PlanError, RunOptions
from skillsengine.pipeline.push import run_push
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.schema import STAGES
from skillsengine.stages.contract import Limit
from tests.pipeline.project import make_project, tiny_experiment
from tests.tracking.hub_repo import FakeHub
from tests.tracking.test_hub import hub as hub

REPO = "talent/job-skills"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_project(tmp_path_factory.mktemp("push") / "project")


def _run(settings: Settings, run_id: str, *, limit: Limit | None = None, to: str | None = REPO) -> Run:
    experiment = tiny_experiment(register={"hub": to})
    return open_run(experiment, dag_id="tiny", run_id=run_id, settings=settings, options=RunOptions(limit=limit))


def test_a_registered_version_is_pushed_once(settings: Settings, hub: FakeHub) -> None:
    run = _run(settings, "r1")
    for stage in STAGES:
        run_stage(run, stage)
    first = run_push(run)
    assert (first["pushed"], first["version"], first["tag"]) == (True, "tiny@1", "v1")
    files = hub.repos[REPO].files
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md", "version.json", "tokenizer.json"} <= set(
        files
    )
    assert json.loads(files["version.json"])["number"] == 1
    assert str(settings.project).encode() not in b"".join(files.values()), "no path of this machine leaves it"
    assert run.catalog.run_by_id(run.id).data["hub"]["url"] == f"{hub.endpoint}/{REPO}/tree/v1"

    again = _run(settings, "r2")
    for stage in STAGES:
        run_stage(again, stage)
    assert run_push(again)["pushed"] is False
    assert len(hub.repos[REPO].commits) == 1


def test_nothing_is_registered_yet(settings: Settings, hub: FakeHub, tmp_path: Path) -> None:
    run = _run(make_project(tmp_path / "project", base=False), "r3")
    with pytest.raises(PlanError, match=f"there is nothing to push to {REPO}: this run has not registered its adapter"):
        run_push(run)
    assert hub.asked == []


def test_who_does_not_ask_for_it_pushes_nothing(settings: Settings, hub: FakeHub) -> None:
    assert run_push(_run(settings, "r4", to=None)) == {"pushed": False, "reason": "register.hub is null"}
    smoke = run_push(_run(settings, "r5", limit=Limit(4)))
    assert smoke == {"pushed": False, "reason": "a smoke test (--limit) registers nothing"}
    assert hub.asked == []
