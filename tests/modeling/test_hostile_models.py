"""Model folders of foreign make: what they name elsewhere is not read, what cannot be is told, and nothing grows."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from skillsengine.modeling.base import load_base
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.memory import peak_gb, restart_peak
from skillsengine.spec.schema import Base
from tests.tiny import make_tiny_base

Change = Callable[[Path], None]
WEIGHTS = "model.safetensors"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_tiny_base(tmp_path / "project" / "base", tied=False)
    return tmp_path / "project"


def refusal(root: Path) -> str:
    """Why the folder is not loaded; what is tried takes no memory worth the name."""
    restart_peak("cpu")
    before = peak_gb("cpu")
    with pytest.raises(ModelError) as caught:
        load_base(Base(model="base"), "cpu", bases=root / "bases", allowed_roots=[root])
    assert peak_gb("cpu") - before < 0.5
    return str(caught.value)


def config(**fields: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def header(**fields: Any) -> Change:
    """One tensor's entry in the head of the weights' file says something else."""

    def change(folder: Path) -> None:
        raw = (folder / WEIGHTS).read_bytes()
        (size,) = struct.unpack("<Q", raw[:8])
        told = json.loads(raw[8 : 8 + size])
        told["lm_head.weight"] |= fields
        head = json.dumps(told).encode()
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(head)) + head + raw[8 + size :])

    return change


def sizeless(folder: Path) -> None:
    raw = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", 1 << 60) + raw[8:])


def text(file: str, content: str) -> Change:
    return lambda folder: (folder / file).write_text(content) and None


BILLION = 10**9
DEEP = "[" * 100_000
NO_MODEL = "cannot be loaded as a causal language model"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            config(num_hidden_layers=BILLION),
            "tells `num_hidden_layers: 1000000000`, but its *.safetensors files hold 21 ",
        ),
        (config(num_hidden_layers=-1), "tells `num_hidden_layers: -1`"),
        (config(text_config={"num_hidden_layers": BILLION}), "tells `text_config.num_hidden_layers: 1000000000`"),
        (config(vocab_size=1000 * BILLION), NO_MODEL),
        (config(hidden_size=BILLION), NO_MODEL),
        (config(head_dim=BILLION), NO_MODEL),
        (config(hidden_size=-64), NO_MODEL),
        (config(hidden_size="big"), ": "),
        (config(num_attention_heads=0), ": "),
        (config(dtype="evil"), "module 'torch' has no attribute 'evil'"),
        (config(attn_implementation="evil/kernel"), "`kernels` is either not installed"),
        (config(transformers_weights="../other/model.safetensors"), "must reference a file inside the model directory"),
        (config(transformers_weights="weights.bin"), "it is neither a safetensors file"),
        (text("config.json", f'{{"a": {DEEP}'), "config.json of `base` in "),
        (text("config.json", "7"), "is no JSON object"),
        (text("tokenizer.json", DEEP), "the tokenizer of `base` in "),
        (text("tokenizer.json", '{"version": "1.0", "model": {"type": "Evil"}}'), "the tokenizer of `base` in "),
        (header(shape=[1 << 40, 1 << 40]), "overflow computing buffer size"),
        (header(shape=[-320, -64]), "invalid value: integer `-320`"),
        (header(data_offsets=[0, 1 << 62]), "is no whole safetensors file"),
        (header(dtype="F1024"), "is no whole safetensors file"),
        (sizeless, "header too large"),
    ],
    ids=lambda value: "" if callable(value) else str(value)[:50],
)
def test_absurd_files_are_told_and_nothing_grows(root: Path, change: Change, said: str) -> None:
    change(root / "base")
    told = refusal(root)
    assert told.startswith("base.model: ") and said in told


def sharded(folder: Path, shard: str) -> None:
    """The same weights, named by an index."""
    names = list(load_file(folder / WEIGHTS))
    told = {"metadata": {"total_size": 1}, "weight_map": dict.fromkeys(names, shard)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(told))
    (folder / WEIGHTS).rename(folder / "weights-1.safetensors")


@pytest.mark.parametrize(
    "shard", ["../other/weights-1.safetensors", "{root}/weights-1.safetensors", "sub/w.safetensors"]
)
def test_an_index_names_no_file_elsewhere(root: Path, shard: str) -> None:
    shard = shard.format(root=root)
    for place in (root / "other", root, root / "base" / "sub"):
        place.mkdir(exist_ok=True)
        shutil.copy(root / "base" / WEIGHTS, place / "weights-1.safetensors")
    sharded(root / "base", shard)
    assert f"names `{shard}` as a file of weights. Only *.safetensors files beside it are read" in refusal(root)


def test_an_index_names_no_pickle(root: Path) -> None:
    torch.save(load_file(root / "base" / WEIGHTS), root / "base" / "weights.bin")
    sharded(root / "base", "weights.bin")
    assert "names `weights.bin` as a file of weights. Only *.safetensors" in refusal(root)


def test_shards_of_the_folder_are_read(root: Path) -> None:
    """What is refused above is refused for its names."""
    sharded(root / "base", "weights-1.safetensors")
    assert load_base(Base(model="base"), "cpu", bases=root / "bases", allowed_roots=[root]).context_length == 512


def test_a_linked_file_does_not_lead_out(root: Path) -> None:
    outside = root.parent / "outside.safetensors"
    (root / "base" / WEIGHTS).rename(outside)
    (root / "base" / WEIGHTS).symlink_to(outside)
    assert f"{WEIGHTS} is a link to {outside}, which lies outside the folders a spec may read" in refusal(root)
    inside = root / "kept.safetensors"
    shutil.move(outside, inside)
    (root / "base" / WEIGHTS).unlink()
    (root / "base" / WEIGHTS).symlink_to(inside)
    load_base(Base(model="base"), "cpu", bases=root / "bases", allowed_roots=[root])


def test_an_adapter_beside_a_model_is_not_loaded_unseen(root: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(AutoModelForCausalLM.from_pretrained(root / "base"), LoraConfig(task_type="CAUSAL_LM"))
    model.save_pretrained(root / "base")
    assert "holds an adapter beside the model (adapter_config.json)" in refusal(root)
