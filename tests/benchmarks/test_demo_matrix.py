"""The spec of the demo's matrix is the demo's own, changed in few lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks import demo_matrix
from benchmarks._record import RESULTS
from skillsengine.spec.load import load_spec, resolved


def test_its_spec_is_the_demos_with_another_window_and_one_epoch(tmp_path: Path) -> None:
    ours, _ = demo_matrix.prepare(tmp_path, bases=None)
    demo = load_spec(demo_matrix.PROJECT / "experiments" / "job-skills-demo.yaml").experiment
    changed = {name for name, value in resolved(ours).items() if value != resolved(demo)[name]}
    assert changed == {"name", "paused", "start_date", "data", "train", "tracking"}
    assert (ours.data.window, ours.train.epochs, str(ours.start_date)) == (6, 1, "2025-01-01")
    assert ours.data.source == demo.data.source


def test_the_page_quotes_what_was_recorded() -> None:
    found = json.loads((RESULTS / "demo_matrix.json").read_text("utf-8"))
    ages = found["ratios"]["f1_by_age_in_months"]
    page = (demo_matrix.PROJECT / "docs" / "matrix.md").read_text("utf-8")
    told = re.findall(r"^\| (\d+) \| (0\.\d{3}) \| (\d+) \| ([\d,]+) \|$", page, flags=re.MULTILINE)
    assert [age for age, *_ in told] == ["1", "3", "6", "9", "12"]
    for age, f1, cells, gold in told:
        at = ages[age]
        assert (f1, cells, gold) == (f"{at['f1']:.3f}", str(at["cells"]), f"{at['gold_skills']:,}")
    scored = [row for row in found["rows"] if row.get("state") == "scored"]
    assert len({(row["version"], row["scored_on"]) for row in scored}) == len(scored) == 12 * (18 - 6)


def test_a_demo_without_such_a_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "job-skills-demo.yaml").write_text("name: job-skills-demo\n", "utf-8")
    monkeypatch.setattr(demo_matrix, "PROJECT", tmp_path)
    with pytest.raises(ValueError, match="has no line that begins with `start_date: 2026-01-01`"):
        demo_matrix.spec_text()
