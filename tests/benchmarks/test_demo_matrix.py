"""The spec of the demo's matrix is the demo's own, changed in few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import demo_matrix
from skillsengine.spec.load import load_spec, resolved


def test_its_spec_is_the_demos_with_another_window_and_one_epoch(tmp_path: Path) -> None:
    ours, _ = demo_matrix.prepare(tmp_path, bases=None)
    demo = load_spec(demo_matrix.PROJECT / "experiments" / "job-skills-demo.yaml").experiment
    changed = {name for name, value in resolved(ours).items() if value != resolved(demo)[name]}
    assert changed == {"name", "paused", "start_date", "data", "train", "tracking"}
    assert (ours.data.window, ours.train.epochs, str(ours.start_date)) == (6, 1, "2025-01-01")
    assert ours.data.source == demo.data.source


def test_a_demo_without_such_a_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "job-skills-demo.yaml").write_text("name: job-skills-demo\n", "utf-8")
    monkeypatch.setattr(demo_matrix, "PROJECT", tmp_path)
    with pytest.raises(ValueError, match="has no line that begins with `start_date: 2026-01-01`"):
        demo_matrix.spec_text()
