from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skillsengine.scoring.comparison import ComparisonError, compare


def row(id: str, gold: list[str] | None, predicted: list[str], key: str = "k") -> dict[str, Any]:
    return {"id": id, "key": key + id, "gold": gold, "predicted": predicted, "raw": "", "parsed": True}


def test_only_rows_in_both_count() -> None:
    a = [row("1", ["Excel"], ["Excel"]), row("2", ["SQL"], ["SQL"]), row("3", ["Go"], [])]
    b = [row("2", ["SQL"], []), row("1", ["Excel"], ["excel"]), row("4", ["R"], ["R"])]
    result = compare(a, b, "f1")
    assert (result.rows, result.a) == (2, 1.0)
    assert result.b == pytest.approx(2 / 3)
    assert result.difference == pytest.approx(1 / 3)
    assert (result.scores_a.true_positives, result.scores_b.true_positives) == (2, 1)


@pytest.mark.parametrize(("metric", "expected"), [("f1", 2 / 3), ("precision", 0.5), ("recall", 1.0)])
def test_the_metric_asked_for(metric: str, expected: float) -> None:
    assert compare([row("1", ["Excel"], ["Excel", "x1"])], [row("1", ["Excel"], [])], metric).a == pytest.approx(
        expected
    )


def test_unlabelled_rows_do_not_count() -> None:
    result = compare([row("1", None, ["Excel"])], [row("1", None, ["Excel"])], "f1")
    assert (result.rows, result.a, result.b) == (0, 0.0, 0.0)


def test_ads_with_one_id_are_told_apart_by_their_text_then_by_order() -> None:
    a = [row("1", ["Excel"], ["Excel"], "x"), row("1", ["SQL"], ["SQL"], "y"), row("1", ["Go"], [], "y")]
    b = [row("1", ["SQL"], ["SQL"], "y"), row("1", ["Go"], ["Go"], "y")]
    result = compare(a, b, "recall")
    assert (result.rows, result.a, result.b) == (2, 0.5, 1.0)


def test_different_labels_are_refused() -> None:
    with pytest.raises(ComparisonError, match=r"1 of 2 ads carry different labels .*\(the first: 2\).*`data.labels`"):
        compare([row("1", ["a"], []), row("2", ["b"], [])], [row("1", ["A"], []), row("2", ["c"], [])], "f1")


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ComparisonError, match="bleu: no score to compare by; it is one of f1, precision, recall"):
        compare([], [], "bleu")


def test_the_gate_needs_the_standard_library_alone(project: Path) -> None:
    modules = ("comparison", "metrics", "matching", "lexicon", "few_shot")
    code = "import sys, " + ", ".join(f"skillsengine.scoring.{module}" for module in modules)
    heavy = "{'torch', 'transformers', 'numpy', 'sklearn', 'pandas', 'wandb', 'peft', 'pydantic'}"
    command = [sys.executable, "-c", f"{code}; print(sorted({heavy} & set(sys.modules)))"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
