"""The shipped specs on the data that is shipped with them: each can be planned, not only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.pipeline.plan import find_sources, make_plan
from skillsengine.settings import load_settings
from skillsengine.spec.load import find_specs, load_spec
from tests.conftest import PROJECT

BRINGS_ITS_OWN = {"skillspan"}
"""Specs whose data a user fetches."""
SPECS = [path for path in find_specs(PROJECT / "experiments") if path.stem not in BRINGS_ITS_OWN]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_shipped_spec_finds_its_data(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_HOME", str(tmp_path))
    experiment, settings = load_spec(path).experiment, load_settings(PROJECT)
    plan = make_plan(experiment, find_sources(experiment, None, settings), settings)
    assert plan.of("format") and plan.of("register")
