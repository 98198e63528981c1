"""The sizes of a base: read from config.json, and equal to those of the model that transformers makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from skillsengine.modeling import builtin
from skillsengine.pipeline.shapes import shape_from, shape_of
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.schema import BUILTIN_BASE
from tests.pipeline.project import tiny_experiment
from tests.tiny import make_tiny_base


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "project" / "experiments").mkdir(parents=True)
    return load_settings(tmp_path / "project")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3"])
def test_parameters_are_those_of_the_model(tmp_path: Path, architecture: str, tied: bool) -> None:
    folder = make_tiny_base(tmp_path / "base", architecture=architecture, tied=tied)
    shape = shape_from(json.loads((folder / "config.json").read_text()))
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert shape is not None
    assert shape.parameters == sum(weight.numel() for weight in model.parameters())
    assert shape.tied == tied


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        ("meta-llama/Llama-2-7b-hf", 6.738),
        ("meta-llama/Llama-2-13b-chat-hf", 13.016),
        ("meta-llama/llama-2-70B", 68.977),
    ],
)
def test_llama_2_is_known_by_its_name(settings: Settings, model: str, billions: float) -> None:
    shape = shape_of(tiny_experiment(base={"model": model}), settings)
    assert shape is not None
    assert round(shape.parameters / 1e9, 3) == billions


@pytest.mark.nightly  # reading the file's vocabulary takes five seconds
def test_the_built_in_base_is_known_before_it_is_converted(settings: Settings) -> None:
    from gguf import GGUFReader

    shape = shape_of(tiny_experiment(base={"model": BUILTIN_BASE}), settings)
    assert shape is not None
    fields = GGUFReader(builtin.find_gguf()).fields
    sizes = {
        name: int(fields[f"llama.{name}"].contents())
        for name in ("embedding_length", "block_count", "feed_forward_length")
    }
    assert sizes == {
        "embedding_length": shape.hidden,
        "block_count": shape.layers,
        "feed_forward_length": shape.feed_forward,
    }
    head = shape.hidden // int(fields["llama.attention.head_count"].contents())
    assert shape.keys == head * int(fields["llama.attention.head_count_kv"].contents())
    assert shape.vocabulary == int(fields["llama.vocab_size"].contents())
    assert f"{shape.parameters / 1e6:.1f}" == "134.5"


def test_a_model_in_the_hubs_cache(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny_experiment(base={"model": "org/mine"})
    assert shape_of(spec, settings) is None
    cache = tmp_path / "cache"
    commit = "a" * 40
    snapshot = cache / "models--org--mine" / "snapshots" / commit
    make_tiny_base(snapshot)
    (cache / "models--org--mine" / "refs").mkdir()
    (cache / "models--org--mine" / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    shape = shape_of(spec, settings)
    assert shape is not None
    assert (shape.hidden, shape.layers) == (64, 2)
    assert shape_of(tiny_experiment(base={"model": "org/mine", "revision": "other"}), settings) is None


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"model_type": "gpt2", "n_embd": 64}, "another family"),
        ({"model_type": "llama", "hidden_size": 64}, "sizes are missing"),
        ("[]", "no object"),
        ("{", "no JSON"),
        (None, "no such folder"),
    ],
)
def test_what_is_not_known(settings: Settings, config: object, why: str) -> None:
    if config is not None:
        folder = settings.project / "base"
        folder.mkdir()
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    assert shape_of(tiny_experiment(base={"model": "./base"}), settings) is None, why


def test_a_folder_outside_is_read_for_who_named_it_on_the_command_line(settings: Settings, tmp_path: Path) -> None:
    spec = tiny_experiment(base={"model": str(make_tiny_base(tmp_path / "outside"))})
    assert shape_of(spec, settings) is None
    assert shape_of(spec, settings, trusted=True) is not None
    assert shape_of(tiny_experiment(base={"model": "a b/c/d"}), settings) is None, "no Hub id"
