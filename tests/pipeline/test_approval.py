"""A person's word on a promotion: who is asked what, and what comes of each answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skillsengine.pipeline.approval import question, record_approval, to_approve
from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import Run, finish_run, open_run
from skillsengine.spec.schema import Gate
from tests.pipeline.gating import adapter_named, answers, challenger, champion, said, version
from tests.pipeline.project import make_project, tiny_experiment

BY_HAND = "`skillsengine promote tiny@2` makes it the champion by hand"
AGAIN = f"start a new run to be asked again (what is done is cached), or {BY_HAND}"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose gate says promote, and whose spec wants an approval."""
    settings = make_project(tmp_path / "project", base=False)
    experiment = tiny_experiment(gate={"min_gold_skills": 1, "approval": "required", "approval_timeout": "2d"})
    run = open_run(experiment, dag_id="tiny", run_id="r", settings=settings)
    answers(run, champion(run), said(20))
    answers(run, challenger(run), said(36))
    assert run_gate(run)["verdict"] == "promote"
    return run


def test_what_a_person_is_asked(run: Run) -> None:
    verdict = to_approve(run)
    assert verdict is not None
    headline, body = question(run, verdict)
    assert headline == "Promote tiny@2?"
    told, table, then = body.split("\n\n")
    assert told == f"Gate: **promote**. {verdict['reason']}."
    assert table.splitlines() == [
        "| scored on | ads | gold skills | f1 of tiny@2 | of tiny@1 |",
        "| --- | --- | --- | --- | --- |",
        "| 2026-03 | 40 | 80 | 0.947 | 0.667 |",
    ]
    assert "*Refuse*, or no answer within 2d, leaves the champion as it is" in then


def test_nobody_is_asked_where_nothing_would_come_of_it(run: Run) -> None:
    assert to_approve(replace(run, trigger="backfill")) is None
    assert to_approve(replace(run, experiment=run.experiment.model_copy(update={"gate": Gate()}))) is None
    run.catalog.set_alias("tiny", "champion", 2, reason="by hand")
    assert to_approve(run) is None
    answers(run, version(run, adapter_named("other")), said(40))
    run.catalog.set_alias("tiny", "champion", 3, reason="by hand")
    assert run_gate(run)["verdict"] == "keep" and to_approve(run) is None


def test_an_approved_version_is_promoted_and_the_history_names_who(run: Run) -> None:
    record_approval(run, approved=True, by="ann")
    outcome = run_promote(run)
    assert outcome["moved"] and run.catalog.alias("tiny", "champion") == 2
    assert run.catalog.alias_moves("tiny", "champion")[-1].reason.endswith(": better; approved by ann")
    assert finish_run(run, "success").endswith(" · champion")
    run.catalog.set_alias("tiny", "champion", 1, reason="by hand")
    assert finish_run(run, "success").endswith(" · promoted, no longer the champion"), "its report was cleared later"


def test_a_refused_one_is_not(run: Run) -> None:
    record_approval(run, approved=False, by="ann")
    outcome = run_promote(run)
    assert not outcome["moved"] and outcome["reason"].startswith("refused by ann. Gate: tiny@2 has f1 0.947 against")
    assert run.catalog.alias("tiny", "champion") == 1
    assert " · not promoted: refused by ann. Gate: tiny@2 has f1 0.947" in finish_run(run, "success")


def test_nobody_answered_or_was_asked(run: Run) -> None:
    asked = run_promote(run)["reason"]
    assert asked.startswith(
        f"gate.approval is required, and nobody was asked in this run: {BY_HAND}. Gate: tiny@2 has f1 "
    )
    record_approval(run, approved=False, by=None)
    late = run_promote(run)["reason"]
    assert late.startswith(f"gate.approval is required, and nobody answered within 2d: {BY_HAND}. Gate: tiny@2 has f1 ")
    assert run.catalog.alias("tiny", "champion") == 1


def test_an_approval_is_of_one_comparison(run: Run) -> None:
    """The champion moved while the question stood there: what was approved is no longer what would happen."""
    record_approval(run, approved=True, by="ann")
    answers(run, version(run, adapter_named("other")), said(22))
    run.catalog.set_alias("tiny", "champion", 3, reason="by hand")
    outcome = run_promote(run)
    assert not outcome["moved"] and run.catalog.alias("tiny", "champion") == 3
    assert outcome["reason"].startswith(
        f"ann approved it against tiny@1, and tiny@3 is the champion since: {AGAIN}. Gate: compared again, "
        f"as the champion moved meanwhile (tiny@1, then tiny@3): tiny@2 has f1 "
    )
    assert run_gate(run)["verdict"] == "promote"
    assert "nobody was asked in this run" in run_promote(run)["reason"], "a new verdict makes the old word void"


def test_a_run_asks_about_one_verdict_only(run: Run) -> None:
    """Of a task that was cleared Airflow shows the old question: nobody may approve what does not stand there."""
    assert to_approve(run) == to_approve(run), "a retry asks the same"
    answers(run, version(run, adapter_named("other")), said(22))
    run.catalog.set_alias("tiny", "champion", 3, reason="by hand")
    assert run_gate(run)["verdict"] == "promote" and to_approve(run) is None
    assert run_promote(run)["reason"].startswith(
        f"gate.approval is required, and this run's question was about another verdict: {AGAIN}. Gate: tiny@2 has f1 "
    )
