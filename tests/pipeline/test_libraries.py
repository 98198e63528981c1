"""Warnings of cached artifacts that other versions of the libraries made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.execute import environment
from skillsengine.pipeline.libraries import other_versions
from skillsengine.settings import Settings
from skillsengine.storage.store import Store
from tests.pipeline.past import plan_of, remember
from tests.pipeline.project import make_project, tiny_experiment

HERE = environment()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_project(tmp_path / "project", base=False)


def warnings(settings: Settings, made_with: Mapping[str, str], **sections: Any) -> list[str]:
    plan = plan_of(tiny_experiment(**sections), settings)
    remember(plan, settings, environment={**HERE, **made_with})
    return list(other_versions(plan.steps, Store(settings.store_root)))


def test_the_same_versions_are_no_matter(settings: Settings) -> None:
    assert warnings(settings, {}) == []


def test_what_computes_is_held_against_what_is_installed(settings: Settings) -> None:
    now = HERE["torch"]
    assert warnings(settings, {"torch": "2.0.1", "datasets": "1.0", "python": "3.9"}) == [
        f"made with torch 2.0.1, and {now} is installed here: finetune, evaluate[base], evaluate[adapter]. They stay cached, "
        "for no digest holds versions of libraries; `skillsengine run SPEC --force` trains again"
    ]


def test_the_tokenizer_counts_for_the_profile_and_bitsandbytes_for_a_quantized_base(settings: Settings) -> None:
    (told,) = warnings(settings, {"transformers": "4.0", "bitsandbytes": "0.1"})
    assert "transformers 4.0" in told and "profile, finetune" in told
    quantized = warnings(settings, {"bitsandbytes": "0.1"}, base={"model": "base", "quantization": "int8"})
    assert quantized[-1].startswith("made with bitsandbytes 0.1, "), "the profile is still the one from above"


def test_a_control_plane_without_the_libraries_says_nothing(settings: Settings) -> None:
    plan = plan_of(tiny_experiment(), settings)
    remember(plan, settings, environment={**HERE, "torch": "2.0.1"})
    bare = {name: "not installed" for name in HERE}
    assert list(other_versions(plan.steps, Store(settings.store_root), bare)) == []
