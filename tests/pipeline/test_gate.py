"""The gate on hand-written cells: who surely beats whom, on the ads both were scored on, and on which partitions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline import gate_evidence
from skillsengine.pipeline.plan import PlanError
from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import Run, open_run
from skillsengine.spec.schema import Gate
from tests.pipeline.gating import answers, challenger, champion, said
from tests.pipeline.project import make_project, tiny_experiment, write_month

NO_MORE = "there is no earlier partition left that neither was trained on"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Of 2026-03, trained on 2026-01 and 2026-02; there are no earlier months."""
    settings = make_project(tmp_path / "project", base=False)
    return open_run(tiny_experiment(), dag_id="tiny", run_id="r", settings=settings)


def gated(run: Run, **gate: Any) -> Run:
    rule = Gate.model_validate({"min_gold_skills": 1, **gate})
    return replace(run, experiment=run.experiment.model_copy(update={"gate": rule}))


def test_the_first_version_must_surely_beat_the_untuned_base(run: Run) -> None:
    new = challenger(run)
    answers(run, None, said(20))
    answers(run, new, said(21))
    result = run_gate(run)
    assert (result["verdict"], result["opponent"], result["champion"]) == ("keep", "base", None)
    assert re.fullmatch(
        r"tiny@1 has f1 0\.689 against 0\.667 of the untuned base, on 40 ads with 80 gold skills \(difference \+0\.022, "
        r"[+-]0\.\d{3} to \+0\.\d{3}\): no difference that chance could not make",
        result["reason"],
    )
    assert set(result["scores"]) == {
        *("challenger", "opponent", "rows", "gold_skills", "partitions"),
        *("difference", "low", "high", "p_value"),
    }
    assert result["scores"]["partitions"] == [
        {
            "partition": "2026-03",
            "challenger": pytest.approx(84 / 122),
            "opponent": pytest.approx(2 / 3),
            "rows": 40,
            "gold_skills": 80,
        }
    ]
    assert run.catalog.resolve("tiny", "1").verdict == result, "the version keeps what was said of it"


def test_a_better_first_version_becomes_champion(run: Run) -> None:
    new = challenger(run)
    answers(run, None, said(5, wrong=10))
    answers(run, new, said(25))
    result = run_gate(run)
    assert result["verdict"] == "promote"
    assert result["reason"].endswith(": better, and there is no champion yet")
    assert run_promote(run)["moved"] is True
    assert run.catalog.alias("tiny", "champion") == 1
    assert run_promote(run) == {"moved": False, "reason": "tiny@1 is the champion already"}
    assert run_gate(run)["reason"] == "tiny@1 is the champion already"


def test_only_ads_that_both_were_scored_on_count(run: Run) -> None:
    new = challenger(run)
    # The base fails on an ad that the challenger was not scored on: it must not help the challenger.
    answers(run, None, {"1": ["a", "b"], "2": []})
    answers(run, new, {"1": ["a", "b"]})
    result = run_gate(run)
    assert result["scores"]["rows"] == 1
    assert result["verdict"] == "keep"


def test_a_margin_is_to_be_surely_passed(run: Run) -> None:
    answers(run, champion(run), said(20))
    answers(run, challenger(run), said(32))
    assert run_gate(gated(run, margin=0.01))["verdict"] == "promote"
    result = run_gate(gated(run, margin=0.15))
    assert result["verdict"] == "keep" and result["reason"].endswith("not surely by more than gate.margin, 0.15")


@pytest.mark.parametrize("name", ["parse_rate", "verbatim_rate"])
def test_floors(run: Run, name: str) -> None:
    new = challenger(run)
    answers(run, None, said(0))
    answers(run, new, said(40), **{name: 0.9})
    assert run_gate(gated(run, **{f"min_{name}": 0.9}))["verdict"] == "promote"
    result = run_gate(gated(run, **{f"min_{name}": 0.95}))
    why = f"but its {name.replace('_', ' ')} of 0.900 is below gate.min_{name}, 0.95"
    assert result["verdict"] == "keep" and result["reason"].endswith(why)


def test_floors_of_slices(run: Run) -> None:
    new = challenger(run)
    answers(run, None, said(0))
    answers(run, new, said(30), words=lambda n: 5000 if n >= 25 else 20)
    assert run_gate(gated(run, min_slice_scores={"length=long": 0.5, "length=short": 1}))["verdict"] == "promote"
    result = run_gate(gated(run, min_slice_scores={"length=long": 0.51}))
    why = (
        "but its f1 of 0.500 on the 15 ads of the slice `length=long` is below its floor in gate.min_slice_scores, 0.51"
    )
    assert result["verdict"] == "keep" and result["reason"].endswith(why)
    result = run_gate(gated(run, min_slice_scores={"source=tech": 0.3}))
    why = "but none of its ads is in the slice `source=tech` of gate.min_slice_scores: the slices are length=long, length=short"
    assert result["verdict"] == "keep" and result["reason"].endswith(why)


def test_without_labels_nothing_is_decided(run: Run) -> None:
    new = challenger(run)
    answers(run, new, {"1": ["a"], "2": []}, gold=None)
    result = run_gate(run)
    reason = f"there are no ads to compare tiny@1 and the untuned base on: 2026-03: no labels; {NO_MORE}"
    assert (result["verdict"], result["reason"]) == ("undecided", reason)
    assert result["scores"] == {"rows": 0}
    assert run_promote(run) == {"moved": False, "reason": reason}


def test_a_backfilled_run_never_promotes(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project", base=False)
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="r", settings=settings, trigger="backfill")
    answers(run, None, said(0))
    answers(run, challenger(run), said(40))
    assert run_gate(run)["verdict"] == "promote"
    assert run_promote(run) == {"moved": False, "reason": "a backfilled retrain registers but never promotes"}
    assert run.catalog.alias("tiny", "champion") is None


HISTORY = ("2025-09", "2025-10", "2025-11", "2025-12", "2026-01", "2026-02", "2026-03")


@pytest.fixture
def late(tmp_path: Path) -> Run:
    """Of 2026-03, trained on 2026-01 and 2026-02; there are four earlier months, and a later one."""
    settings = make_project(tmp_path / "project", (*HISTORY, "2026-04"), base=False)
    experiment = tiny_experiment(gate={"min_gold_skills": 200})
    return open_run(experiment, dag_id="tiny", run_id="r", settings=settings, partition="2026-03")


def compared(run: Run, months: tuple[str, ...], *, trained_on: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """The verdict where both are scored on the run's own month and on `months`, 40 ads with 80 gold skills each."""
    old, new = champion(run, {key: f"f{key}" for key in trained_on}), challenger(run)
    for key in (run.partition, *months):
        answers(run, old, said(20, wrong=5), key)
        answers(run, new, said(34), key, **more)
    return run_gate(run)


def test_earlier_partitions_fill_up_until_there_are_skills_enough(late: Run) -> None:
    result = compared(late, ("2025-12", "2025-11"), trained_on=("2025-10",))
    assert [part["partition"] for part in result["scores"]["partitions"]] == ["2026-03", "2025-12", "2025-11"]
    assert (result["verdict"], result["scores"]["gold_skills"]) == ("promote", 240)
    assert "on 120 ads with 240 gold skills of 2026-03, 2025-12 and 2025-11 (difference +" in result["reason"]
    cells = late.catalog.cells(experiment="tiny")
    assert {cell.partition for cell in cells} == {"2026-03", "2025-12", "2025-11"}, "the matrix has them"


def test_what_one_of_them_was_trained_on_is_left_out(late: Run) -> None:
    result = compared(late, ("2025-11", "2025-09"), trained_on=("2025-12", "2025-10"))
    assert [part["partition"] for part in result["scores"]["partitions"]] == ["2026-03", "2025-11", "2025-09"]


def test_a_champion_that_was_trained_on_the_runs_own_partition_is_met_elsewhere(late: Run) -> None:
    result = compared(late, ("2025-12", "2025-11", "2025-10"), trained_on=("2026-03",))
    assert [part["partition"] for part in result["scores"]["partitions"]] == ["2025-12", "2025-11", "2025-10"]
    assert " of 2025-12, 2025-11 and 2025-10 (difference +" in result["reason"]
    assert result["reason"].endswith(": better; passed over: 2026-03: tiny@1 was trained on it")


def test_too_few_in_the_end_decide_nothing(late: Run) -> None:
    result = compared(late, ("2025-12",), trained_on=("2025-09", "2025-10", "2025-11"))
    assert result["verdict"] == "undecided"
    assert result["reason"].endswith(
        "on 80 ads with 160 gold skills of 2026-03 and 2025-12: too few to decide: gate.min_gold_skills is 200, and "
        + NO_MORE
    )


def test_only_so_many_earlier_partitions_are_looked_at(late: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_evidence, "MOST_EARLIER", 1)
    result = compared(late, ("2025-12", "2025-11"))
    assert result["verdict"] == "undecided"
    assert result["reason"].endswith(", and 1 earlier partitions are the most that the gate looks at")


def test_a_month_that_cannot_be_read_is_told_and_passed_over(late: Run) -> None:
    (late.settings.project / "data" / "ads" / "2025-12.jsonl").write_text('{"id": 1}\n')
    result = compared(late, ("2025-11", "2025-10"))
    assert [part["partition"] for part in result["scores"]["partitions"]] == ["2026-03", "2025-11", "2025-10"]
    assert (
        ": better; passed over: 2025-12: " in result["reason"] and "2025-12.jsonl" in result["passed_over"]["2025-12"]
    )


def test_a_month_without_labels_is_not_answered_at_all(late: Run) -> None:
    path = late.settings.project / "data" / "ads" / "2025-12.jsonl"
    path.write_text("".join(f'{{"id": "{n}", "job_description": "A crew of {n} wants mowing."}}\n' for n in range(4)))
    result = compared(late, ("2025-11", "2025-10"))
    assert result["passed_over"] == {"2025-12": "no labels"}, "or it would have failed for the lack of an adapter"
    assert result["verdict"] == "promote"


def test_a_cell_that_is_marked_is_not_tried_again(late: Run) -> None:
    from skillsengine.pipeline.cells import CellLayout, mark_cell
    from skillsengine.pipeline.plan import find_sources

    new = challenger(late)
    files = find_sources(late.experiment, "2025-12", late.settings, trains=False).files["2025-12"]
    _, step = CellLayout(late.experiment, late.settings, late.options, new).steps("2025-12", files)
    mark_cell(late.catalog, "tiny", "2025-12", step, "all of its ads stand in the training data")
    result = compared(late, ("2025-11", "2025-10"))
    why = f"its ads, or near copies of them, stand in the training data of {new.name}"
    assert result["passed_over"] == {"2025-12": why}


def test_a_champion_whose_adapter_is_gone_cannot_be_met(late: Run) -> None:
    old, new = champion(late), challenger(late)
    answers(late, new, said(40))
    with pytest.raises(PlanError) as caught:
        run_gate(late)
    assert str(caught.value).startswith(
        "the champion tiny@1 cannot be scored on 2026-03, so tiny@2 is not judged, and tiny@champion stays where it is: its "
        f"adapter (finetune {old.adapter_digest[:12]}) is not in the store "
    )
    assert "`skillsengine rollback tiny`" in str(caught.value)
    assert run_promote(late) == {"moved": False, "reason": "there is no verdict to act on"}
    assert late.catalog.alias("tiny", "champion") == old.number


def test_a_run_that_has_registered_nothing_is_told(run: Run) -> None:
    with pytest.raises(PlanError, match="this run's adapter is not registered: run stage `register` of this run first"):
        run_gate(run)


def test_a_static_source_has_its_test_rows_alone(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project", (), base=False)
    for split in ("train", "test"):
        write_month(settings.project / "data" / "static" / f"{split}.jsonl", "2026-01", salt=len(split))
    experiment = tiny_experiment(data={"source": "data/static"}, gate={"min_gold_skills": 100})
    run = open_run(experiment, dag_id="tiny", run_id="r", settings=settings)
    answers(run, None, said(0))
    answers(run, challenger(run), said(40))
    result = run_gate(run)
    assert result["reason"].endswith("with 80 gold skills: too few to decide: gate.min_gold_skills is 100")
    other = tiny_experiment("other", data={"source": "data/static"}, lora={"r": 2})
    unlabelled = open_run(other, dag_id="other", run_id="r", settings=settings)
    answers(unlabelled, challenger(unlabelled), said(1), gold=None)
    assert run_gate(unlabelled)["reason"].endswith(" on: the test rows: no labels")
