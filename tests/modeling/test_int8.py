"""LLM.int8()'s product as one operation: the numbers are bitsandbytes' own, and torch compiles a layer around it whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import pytest
import torch
from bitsandbytes.autograd._functions import MatMul8bitLt
from torch._dynamo.utils import counters

from skillsengine.modeling.base import load_base
from skillsengine.modeling.batches import answer_logits
from skillsengine.modeling.compiled import compiled_layers, input_casts, layers_of
from skillsengine.modeling.int8 import int8_in_one, int8_linear
from skillsengine.modeling.lora import attach
from skillsengine.spec.schema import Base, Lora
from tests.tiny import make_tiny_base

THRESHOLD = 6.0
"""bitsandbytes' and transformers' default."""


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def module_of(bias: bool) -> Any:
    """A frozen int8 module of 48 to 32."""
    torch.manual_seed(1)
    plain = torch.nn.Linear(48, 32, bias=bias)
    made = bnb.nn.Linear8bitLt(48, 32, bias=bias, has_fp16_weights=False, threshold=THRESHOLD)
    made.load_state_dict(plain.state_dict())
    made = made.to("cpu").requires_grad_(False)
    made.weight.data, made.weight.CB, made.weight.SCB = quantized(plain.weight.data)
    made.init_8bit_state()
    return made


def quantized(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    whole, scales, _ = bnb.functional.int8_vectorwise_quant(weight.half())
    return whole, whole, scales


def given(shape: tuple[int, ...], dtype: torch.dtype, outliers: int) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2)).clamp(-3, 3)
    x[..., 0, :outliers] = 20.0
    return x.to(dtype).requires_grad_()


@pytest.mark.parametrize("shape", [(5, 48), (1, 7, 48), (2, 3, 48)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("outliers", "bias"), [(0, False), (3, False), (48, True)])
def test_numbers_and_gradients_are_those_of_bitsandbytes(
    shape: tuple[int, ...], dtype: torch.dtype, outliers: int, bias: bool
) -> None:
    module = module_of(bias)
    theirs, ours = given(shape, dtype, outliers), given(shape, dtype, outliers)
    if bias:
        module.bias.data = module.bias.data.to(dtype)
    expected = MatMul8bitLt.apply(theirs, module.weight, None, module.bias, module.state)
    with int8_in_one(module, True):
        found = module(ours)
    assert found.dtype == expected.dtype and torch.equal(found, expected)
    towards = torch.randn(expected.shape, generator=torch.Generator().manual_seed(3)).to(dtype)
    expected.backward(towards)
    found.backward(towards)
    assert theirs.grad is not None and ours.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)
    # And both are near what the weight in floats gives.
    whole = module.state.CB.float() * module.state.SCB[:, None] / 127
    plain = ours.detach().float() @ whole.T + (module.bias.float() if bias else 0)
    assert torch.allclose(found.float(), plain, rtol=0.05, atol=0.1)


def test_it_keeps_torchs_rules_for_operations() -> None:
    module = module_of(True)
    for outliers in (0, 3):
        x = given((2, 5, 48), torch.float32, outliers)
        torch.library.opcheck(int8_linear, (x, module.state.CB, module.state.SCB, module.bias, THRESHOLD))


def test_what_goes_in_is_not_written_to() -> None:
    module, x = module_of(False), given((4, 48), torch.float16, 3)
    version = x._version
    with int8_in_one(module, True):
        module(x)
    assert x._version == version, "a backward pass that needs it would refuse"


def test_the_classes_come_back(tmp_path: Path) -> None:
    model = int8_model(tmp_path)
    before = [type(module) for module in model.modules()]
    with pytest.raises(RuntimeError), int8_in_one(model, True):
        inside = [type(module) for module in model.modules()]
        raise RuntimeError
    assert sum(one is not other for one, other in zip(before, inside, strict=True)) == 14, "seven in each of two layers"
    assert [type(module) for module in model.modules()] == before
    with int8_in_one(model, False):
        assert [type(module) for module in model.modules()] == before


@pytest.mark.parametrize(
    ("device", "active", "one"), [("cuda", True, True), ("cuda", False, False), ("cpu", True, False)]
)
def test_compiled_layers_have_it_on_cuda(device: str, active: bool, one: bool) -> None:
    """On a CPU bitsandbytes' training product is another, and is compiled as it is."""
    model: Any = torch.nn.ModuleList([module_of(False)])
    model.device = torch.device(device)
    with compiled_layers(model, active):
        assert (type(model[0]) is not bnb.nn.Linear8bitLt) is one
    assert type(model[0]) is bnb.nn.Linear8bitLt


@pytest.mark.nightly
def test_a_layer_is_compiled_whole_and_keeps_no_more_than_an_unquantized_one(tmp_path: Path) -> None:
    """bitsandbytes' own operations break it into pieces: that is why there is another."""
    kept = {}
    for quantization in ("none", "int8"):
        torch.compiler.reset()
        counters.clear()
        model = int8_model(tmp_path / quantization, quantization)
        with int8_in_one(model, quantization == "int8"):
            kept[quantization] = kept_bytes(model)
        assert not counters["graph_break"], counters["graph_break"]
        assert counters["stats"]["unique_graphs"] >= 1, "nothing was compiled"
    assert kept["int8"] == pytest.approx(kept["none"], rel=0.01)


@pytest.mark.parametrize("inductor", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_compiled_and_as_written_have_the_same_gradients(tmp_path: Path, inductor: bool) -> None:
    # In 16 bits another order of rounding would hide what is wrong.
    model = int8_model(tmp_path, dtype=torch.float32)
    found = []
    for compiled in (False, True):
        model.zero_grad()
        if compiled and not inductor:
            compile_quickly(model)
        with int8_in_one(model, True), compiled_layers(model, compiled and inductor):
            logits_of(model).pow(2).mean().backward()
        found.append(
            {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
        )
    assert not counters["graph_break"], counters["graph_break"]
    assert counters["stats"]["unique_graphs"] >= 1, "nothing was compiled"
    assert set(found[0]) == set(found[1]) and len(found[0]) == 28
    for name, gradient in found[0].items():
        assert (found[1][name] - gradient).norm() <= 0.005 * gradient.norm(), name


def compile_quickly(model: Any) -> None:
    """Traced and cut as by `compiled_layers`, without the minute that making kernels takes on a CPU."""
    for layer in layers_of(model):
        layer.compile(dynamic=False, backend="aot_eager_decomp_partition")


def int8_model(folder: Path, quantization: str = "int8", dtype: torch.dtype = torch.bfloat16) -> Any:
    """A tiny Llama of two layers with adapters; on CUDA `finetune` has 16 bits between the layers."""
    folder.mkdir(exist_ok=True)
    base = make_tiny_base(folder / "base", hidden=64, tied=False)
    loaded = load_base(
        Base(model=str(base), quantization=quantization),  # type: ignore[arg-type]
        "cpu",
        bases=folder,
        allowed_roots=(folder,),
        for_training=True,
    )
    targets = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    model = attach(loaded.model, Lora(r=4, alpha=8, target_modules=targets), seed=1)
    generator = torch.Generator().manual_seed(4)
    for name, weight in model.named_parameters():
        if not weight.requires_grad and weight.is_floating_point():
            weight.data = weight.data.to(dtype)
        elif "lora_B" in name:
            # Fresh ones are zero, and lora_A would have no gradient.
            weight.data = 0.05 * torch.randn(weight.shape, generator=generator)
    model.train()
    return model


def logits_of(model: Any) -> torch.Tensor:
    ids = torch.randint(5, 300, (1, 90), generator=torch.Generator().manual_seed(5))
    labels = ids.clone()
    labels[:, :80] = -100
    half = model.get_input_embeddings().weight.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16, enabled=half), input_casts(model, False):
        return answer_logits(model, ids, labels)[0]


def kept_bytes(model: Any) -> int:
    """What the backward pass of compiled layers needs, weights not counted: different storages, by autograd's own word."""
    own = {weight.untyped_storage().data_ptr() for weight in [*model.parameters(), *model.buffers()]}
    own |= {
        tensor.untyped_storage().data_ptr()
        for module in model.modules()
        if isinstance(module, bnb.nn.Linear8bitLt)
        for tensor in (module.state.CB, module.state.SCB)
    }
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    compile_quickly(model)
    logits_of(model)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = logits_of(model)
    assert logits.requires_grad
    return sum(kept.values())
