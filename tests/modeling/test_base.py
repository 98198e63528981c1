"""Loading a base: number formats, quantization, pad tokens, and what cannot be loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from skillsengine.modeling.base import LoadedBase, context_length_of, load_base, load_tokenizer
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.memory import peak_gb, restart_peak
from skillsengine.spec.schema import Base
from tests.tiny import make_tiny_base


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_tiny_base(tmp_path / "base", tied=False)
    return tmp_path


def _load(root: Path, device: str = "cpu", *, for_training: bool = False, **base: str) -> LoadedBase:
    section = Base.model_validate({"model": "base", **base})
    return load_base(section, device, bases=root / "bases", allowed_roots=[root], for_training=for_training)


def test_float32_on_a_cpu_and_nothing_added(root: Path) -> None:
    loaded = _load(root)
    assert (loaded.dtype, loaded.context_length, loaded.revision) == ("float32", 512, None)
    assert {weight.dtype for weight in loaded.model.parameters()} == {torch.float32}
    assert not loaded.model.training
    assert loaded.device == torch.device("cpu")


def test_a_tokenizer_without_pad_token_gets_an_old_one(root: Path) -> None:
    make_tiny_base(root / "base", pad=False)
    loaded = _load(root)
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id
    assert len(loaded.tokenizer) == loaded.model.get_input_embeddings().weight.shape[0] == 320
    alone = load_tokenizer(Base(model="base"), bases=root, allowed_roots=[root])
    assert alone.pad_token_id == loaded.tokenizer.pad_token_id


def test_unk_before_eos_as_pad_token(root: Path) -> None:
    make_tiny_base(root / "base", pad=False)
    path = root / "base" / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "unk_token": "<s>"}))
    assert _load(root).tokenizer.pad_token == "<s>"


@pytest.mark.parametrize(("quantization", "kind"), [("nf4", "Linear4bit"), ("int8", "Linear8bitLt")])
def test_quantized_on_a_cpu(root: Path, quantization: str, kind: str) -> None:
    loaded = _load(root, quantization=quantization, for_training=True)
    layers = {name: type(module).__name__ for name, module in loaded.model.named_modules() if "proj" in name}
    assert set(layers.values()) == {kind}
    assert type(loaded.model.lm_head).__name__ == "Linear"
    assert not any(weight.requires_grad for weight in loaded.model.parameters())
    if quantization == "nf4":
        state = loaded.model.model.layers[0].mlp.up_proj.weight.quant_state
        assert (state.quant_type, state.nested) == ("nf4", True)


def test_no_cuda_here(root: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ModelError) as caught:
        _load(root, device="cuda")
    assert "resources.device: `cuda`, but this machine shows no CUDA device" in str(caught.value)
    assert "set resources.device: cpu" in str(caught.value)


def test_torn_weights(root: Path) -> None:
    weights = root / "base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"base.model: `base` cannot be loaded as a causal language model: .*\."):
        _load(root)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_weights_that_lack_a_part(root: Path, quantization: str) -> None:
    from safetensors.torch import load_file, save_file

    file = root / "base" / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        _load(root, quantization=quantization)
    assert "`base` is not whole: 1 of its weights are missing or of another shape" in str(caught.value)
    assert "(the first: model.layers.1.mlp.up_proj.weight). Get its *.safetensors files again." in str(caught.value)


def test_weights_of_another_shape(root: Path) -> None:
    config = root / "base" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "intermediate_size": 96}))
    with pytest.raises(ModelError, match="base.model: `base` "):
        _load(root)


def test_another_kind_of_model(root: Path) -> None:
    config = root / "base" / "config.json"
    config.write_text(json.dumps({"model_type": "t5", "architectures": ["T5Model"]}))
    with pytest.raises(ModelError, match="`base` cannot be loaded as a causal language model"):
        _load(root)


@pytest.mark.parametrize("text", ["{", '{"model_type": "no-such-thing"}', "[]"])
def test_a_config_that_is_none(root: Path, text: str) -> None:
    (root / "base" / "config.json").write_text(text)
    with pytest.raises(ModelError, match="base.model: "):
        _load(root)
    with pytest.raises(ModelError, match="base.model: "):
        context_length_of(Base(model="base"), bases=root, allowed_roots=[root])


def test_a_torn_tokenizer(root: Path) -> None:
    (root / "base" / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match=r"base.model: the tokenizer of `base` in .* cannot be read"):
        load_tokenizer(Base(model="base"), bases=root, allowed_roots=[root])


def test_a_tokenizer_without_end(root: Path) -> None:
    path = root / "base" / "tokenizer_config.json"
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if "eos" not in key}))
    with pytest.raises(ModelError, match="has no end-of-text token, so no answer would ever end"):
        _load(root)


def test_tokenizer_and_weights_of_two_models(root: Path) -> None:
    tokenizer = load_tokenizer(Base(model="base"), bases=root, allowed_roots=[root])
    tokenizer.add_tokens(["<one>", "<two>"])
    tokenizer.save_pretrained(root / "base")
    with pytest.raises(ModelError, match=r"knows 322 tokens, its embeddings only 320: the folder mixes two models"):
        _load(root)


def test_code_in_the_folder_never_runs(root: Path) -> None:
    config = root / "base" / "config.json"
    remote = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    config.write_text(json.dumps({"model_type": "evil", "auto_map": remote}))
    (root / "base" / "evil.py").write_text("open('ran', 'w')\nraise SystemExit")
    with pytest.raises(ModelError):
        _load(root)
    assert not (root / "ran").exists()
    assert not Path("ran").exists()


@pytest.mark.nightly
def test_says_nothing(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "import torch\n"
        "from skillsengine.modeling.base import load_base\n"
        "from skillsengine.modeling.lora import attach\n"
        "from skillsengine.spec.schema import Base, Lora\n"
        "root = Path(sys.argv[1])\n"
        "for quantization in ('none', 'nf4', 'int8'):\n"
        "    base = Base(model='base', quantization=quantization)\n"
        "    loaded = load_base(base, 'cpu', bases=root, allowed_roots=[root], for_training=True)\n"
        "    model = attach(loaded.model, Lora(target_modules=('q_proj', 'lm_head')), 1)\n"
        "    model(torch.arange(9)[None]).logits.sum().backward()\n"
        "    model.save_pretrained(root / 'adapter', save_embedding_layers=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_peak_memory_falls_back_after_a_restart() -> None:
    block = torch.ones(60_000_000)  # 0.22 GB
    high = peak_gb("cpu")
    del block
    restart_peak("cpu")
    low = peak_gb("cpu")
    assert 0.05 < low <= high
