"""What the gate promises: worse is refused, better within noise is refused, too few labels decide nothing, really better is
promoted, and taken back; all of it where two gates judge at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import Run, finish_run, open_run
from skillsengine.settings import Settings
from tests.pipeline.gating import Answers, answers, challenger, champion, said
from tests.pipeline.project import make_project, tiny_experiment
from tests.storage.support import at_once

CHAMPION = said(24, wrong=6)
WORSE, NOISE, BETTER = said(12, wrong=6), said(26, wrong=6), said(36)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project", base=False)


def trained(settings: Settings, name: str, predicted: Answers, **gate: Any) -> Run:
    """A run of an experiment of its own for the model `skills`, whose adapter is registered and answers so."""
    experiment = tiny_experiment(
        name,
        register={"model": "skills"},
        gate={"min_gold_skills": 60, **gate},
        train={"epochs": 1, "seed": sum(map(ord, name))},
    )
    run = open_run(experiment, dag_id=name, run_id="r", settings=settings)
    answers(run, challenger(run), predicted)
    return run


def against(run: Run, predicted: Answers = CHAMPION) -> Run:
    """The same run, where the present champion has answered so on its partition."""
    number = run.catalog.alias("skills", "champion")
    answers(run, run.catalog.resolve("skills", str(number)) if number else None, predicted)
    return run


@pytest.mark.parametrize(
    ("predicted", "gate", "verdict", "why"),
    [
        (WORSE, {}, "keep", ": worse"),
        (NOISE, {}, "keep", ": no difference that chance could not make"),
        (
            BETTER,
            {"min_gold_skills": 300},
            "undecided",
            "too few to decide: gate.min_gold_skills is 300, and there is no ",
        ),
        (BETTER, {}, "promote", ": better"),
    ],
    ids=["worse", "noise", "few", "better"],
)
@pytest.mark.parametrize("raced", [False, True])
def test_the_verdict_and_what_follows_also_under_a_race(
    settings: Settings, predicted: Answers, gate: dict[str, Any], verdict: str, why: str, raced: bool
) -> None:
    """Raced: another version, itself really better, takes the place between this one's gate and its promotion."""
    run = trained(settings, "one", predicted, **gate)
    old = champion(run)
    against(run)
    result = run_gate(run)
    assert result["verdict"] == verdict and why in result["reason"]
    assert f"of the champion {old.name}" in result["reason"]
    if raced:
        other = against(trained(settings, "two", BETTER))
        assert run_gate(other)["verdict"] == "promote" and run_promote(other)["moved"]
        against(run, BETTER)
    moved = run_promote(run)
    taken = challenger(run).number
    now = run.catalog.alias("skills", "champion")
    note = finish_run(run, "success")
    if verdict == "promote" and not raced:
        assert moved["moved"] and now == taken and note.endswith(" · champion")
        back = run.catalog.roll_back("skills", "champion", "by hand, ann")
        assert back == (taken, old.number) and run.catalog.alias("skills", "champion") == old.number
    elif verdict == "promote":
        assert not moved["moved"] and now == 3, "the other one is as good, so it stays"
        assert moved["reason"].startswith(
            f"compared again, as the champion moved meanwhile ({old.name}, then skills@3): {challenger(run).name} has f1 "
        )
        assert " · keep: compared again, as the champion moved meanwhile (" in note
    else:
        assert moved == {"moved": False, "reason": result["reason"]} and f" · {verdict}: " in note
        assert now == (3 if raced else old.number)


def test_the_slower_of_two_wins_if_it_is_better_than_the_faster_one(settings: Settings) -> None:
    one, two = trained(settings, "one", said(40)), trained(settings, "two", said(33))
    old = champion(one)
    for run in (one, two):
        against(run)
        assert run_gate(run)["verdict"] == "promote"
    assert run_promote(two)["moved"]
    moved = run_promote(one)
    assert moved["moved"] and moved["reason"].startswith("compared again, as the champion moved meanwhile (")
    moves = [(move.old_number, move.number) for move in one.catalog.alias_moves("skills", "champion")]
    assert moves == [
        (None, old.number),
        (old.number, challenger(two).number),
        (challenger(two).number, challenger(one).number),
    ]


def test_of_two_processes_that_promote_at_the_same_moment_one_wins(settings: Settings) -> None:
    runs = [trained(settings, name, BETTER) for name in ("one", "two")]
    champion(runs[0])
    for run in runs:
        against(run)
        assert run_gate(run)["verdict"] == "promote"
    for run, other in (runs, runs[::-1]):  # each is asked about the other, if it loses
        answers(run, challenger(other), BETTER)
    for run in runs:
        run.catalog.close()

    def promote(index: int) -> dict[str, Any]:
        name = ("one", "two")[index]
        return run_promote(open_run(runs[index].experiment, dag_id=name, run_id="r", settings=settings))

    told = at_once(2, promote)
    assert sorted(outcome["moved"] for outcome in told) == [False, True]
    winner = next(index for index in (0, 1) if told[index]["moved"])
    number = challenger(runs[winner]).number
    assert runs[0].catalog.alias("skills", "champion") == number
    assert told[1 - winner]["reason"].startswith(
        f"compared again, as the champion moved meanwhile (skills@3, then skills@{number}): "
    )
    assert len(runs[0].catalog.alias_moves("skills", "champion")) == 2
