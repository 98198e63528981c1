"""What a draft says about the base, by what --base says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from skillsengine.draft.bases import LLAMA2, draft_base
from skillsengine.draft.errors import DraftError
from tests.conftest import PROJECT
from tests.tiny import make_tiny_base


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "experiments" / "_base", tmp_path / "experiments" / "_base")
    return tmp_path / "experiments"


@pytest.mark.parametrize("model", [None, "smollm2-135m-instruct"])
def test_the_built_in_base_is_small_and_needs_nothing(model: str | None, experiments: Path) -> None:
    base = draft_base(model, experiments)
    assert (base.model, base.extends, base.large, base.doubt) == ("smollm2-135m-instruct", None, False, "")


def test_llama_2_extends_the_shared_spec(experiments: Path) -> None:
    assert draft_base("meta-llama/Llama-2-7b-hf", experiments).extends == LLAMA2
    (experiments / LLAMA2).unlink()
    alone = draft_base("meta-llama/Llama-2-7b-hf", experiments)
    assert (alone.extends, alone.large, alone.why) == (None, True, "about 7 billion parameters")


@pytest.mark.parametrize(
    ("model", "large", "why"),
    [
        ("HuggingFaceTB/SmolLM2-135M", False, "about 135 million parameters"),
        ("TinyLlama/TinyLlama-1.1B-Chat-v1.0", False, "about 1.1 billion parameters"),
        ("Qwen/Qwen2.5-7B", True, "about 7 billion parameters"),
        ("mistralai/Mixtral-8x7B-v0.1", True, "about 56 billion parameters"),
        ("org/name_70b", True, "about 70 billion parameters"),
    ],
)
def test_a_name_tells_the_size(model: str, large: bool, why: str, experiments: Path) -> None:
    base = draft_base(model, experiments)
    assert (base.large, base.why, base.doubt) == (large, why, "")


def test_a_name_that_tells_nothing_is_doubted(experiments: Path) -> None:
    base = draft_base("org/phi", experiments)
    assert not base.large
    assert base.doubt.startswith("how large the base org/phi is, its name does not say")
    assert "quantization: nf4" in base.doubt


@pytest.mark.parametrize("model", ["", "  "])
def test_a_base_that_names_nothing(model: str, experiments: Path) -> None:
    with pytest.raises(DraftError, match=r"--base: empty\. Leave it out for the built-in base"):
        draft_base(model, experiments)


def test_a_folder_tells_its_size_and_is_named_from_the_project(experiments: Path, tmp_path: Path) -> None:
    make_tiny_base(tmp_path / "models" / "mine")
    (tmp_path / "models" / "elsewhere").mkdir()
    for typed, folder in (
        ("models/mine", tmp_path),
        ("mine", tmp_path / "models"),
        ("./mine", tmp_path / "models"),
        (str(tmp_path / "models" / "mine"), Path("/")),
    ):
        base = draft_base(typed, experiments, folder)
        assert (base.model, base.why) == ("./models/mine", "fewer than a million parameters"), typed
    # As a spec says it, from another folder than the project.
    assert draft_base("models/mine", experiments, tmp_path / "models").model == "models/mine"


def test_a_folder_outside_of_the_project_is_named_whole(
    experiments: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = make_tiny_base(tmp_path_factory.mktemp("outside") / "base")
    assert draft_base("base", experiments, outside.parent).model == str(outside)
