"""What a person sees of a run: the lines while it goes on, and the result at its end."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from skillsengine.cli.follow import Follower
from skillsengine.cli.result import Commands, show_result
from skillsengine.pipeline.run import Run, finish_run, open_run, run_stage
from skillsengine.spec.schema import STAGES
from tests.pipeline.project import make_project, tiny_experiment


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = make_project(tmp_path_factory.mktemp("show") / "project")
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="r", settings=settings)
    for stage in STAGES:
        run_stage(run, stage)
    finish_run(run, "success")
    return run


def console() -> Console:
    return Console(file=io.StringIO(), width=200, highlight=False)


def printed(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_each_finished_step_is_told_once(run: Run) -> None:
    shown = console()
    with Follower(run.catalog, "tiny", "r", shown) as follower:
        follower.look()
        follower.look()
    lines = printed(shown).splitlines()
    assert len(lines) == len(run.plan.steps)
    assert sum(line.startswith("✔ finetune") for line in lines) == 1


def test_a_running_and_a_failed_step_are_told(run: Run) -> None:
    row = run.catalog.pin_run(
        "tiny",
        "half",
        experiment="tiny",
        kind="retrain",
        partition="x",
        spec={},
        options={},
        trigger="cli",
        spec_commit=None,
    )
    run.catalog.start_step(row.id, "finetune", "finetune", None, "d1")
    run.catalog.update_step(row.id, "finetune", {"text": "step 3/9 · loss 1.20", "fraction": 0.33, "seconds_left": 240})
    shown = console()
    follower = Follower(run.catalog, "tiny", "half", shown)
    follower.look()
    run.catalog.finish_step(row.id, "finetune", "failed", 1.0, {}, error="the loss is no number")
    follower.look()
    first, second = printed(shown).splitlines()
    assert first == "… finetune: step 3/9 · loss 1.20 · 33% · 4 min left"
    assert second.startswith("✘ finetune")
    assert second.endswith("the loss is no number")


def test_a_run_that_has_not_begun_shows_nothing(run: Run) -> None:
    shown = console()
    Follower(run.catalog, "tiny", "nobody", shown).look()
    assert printed(shown) == ""


def test_the_result_holds_scores_examples_and_where_to_look(run: Run) -> None:
    shown = console()
    show_result(run.plan, run.store, run.catalog, "http://127.0.0.1:8080", shown)
    text = printed(shown)
    for line in ("the adapter", "untuned base, 4-shot", "lexicon of labels", "tiny on 2026-03 (8 ads)"):
        assert line in text
    assert text.count("→") == 3
    assert text.count("±0.") == 3, "each F1 stands with its interval"
    for baseline in ("untuned base, 4-shot", "lexicon of labels"):
        assert re.search(rf"F1 against the {baseline}: (the .* is better by 0|no difference seen \()", text)
    assert "http://127.0.0.1:8080/dags/tiny" in text
    assert "| .venv/bin/skillsengine extract tiny@latest -" in text and "run `make demo`:" in text
    assert text.rstrip().endswith("stop:       make down")
    assert f"tiny@1 (latest)  {Path(run.settings.store_root) / 'versions' / 'tiny' / '1'}" in text


def test_on_a_cluster_the_next_commands_are_the_clusters(run: Run) -> None:
    shown = console()
    show_result(
        run.plan, run.store, run.catalog, "http://127.0.0.1:8080", shown, Commands("cluster demo", "cluster down")
    )
    text = printed(shown)
    assert "try it:     http://127.0.0.1:8080/skillsengine/experiments/tiny/try" in text
    assert "run `cluster demo`: only" in text and text.rstrip().endswith("stop:       cluster down")
    assert "skillsengine extract" not in text and "make d" not in text
