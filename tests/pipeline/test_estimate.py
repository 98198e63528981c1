"""The arithmetic of a training, held against torch, peft and bitsandbytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmarks._record import read_rows
from benchmarks.estimates import SHAPES, spec_of
from skillsengine.modeling.base import load_base
from skillsengine.modeling.batches import answer_logits
from skillsengine.modeling.lora import attach
from skillsengine.pipeline.estimate import Shape, adapter_parameters, optimizer_steps, training_memory
from skillsengine.pipeline.shapes import shape_from
from skillsengine.spec.schema import Base, Experiment, Lora, Train
from skillsengine.stages.micro_batches import AUTO_TOKENS
from tests.pipeline.project import tiny_experiment
from tests.tiny import make_tiny_base

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
LLAMA_13B = Shape(hidden=5120, feed_forward=13824, layers=40, keys=5120, queries=5120, vocabulary=32000, tied=False)
SMOLLM2 = Shape(hidden=576, feed_forward=1536, layers=30, keys=192, queries=576, vocabulary=49152, tied=True)
TEXTS, TOKENS, SUPERVISED = 2, 100, 25


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_base(tmp_path_factory.mktemp("base"), hidden=128, tied=False)


def shape_at(folder: Path) -> Shape:
    shape = shape_from(json.loads((folder / "config.json").read_text()))
    assert shape is not None
    return shape


def training(folder: Path, quantization: str, targets: list[str], **variant: Any) -> Any:
    loaded = load_base(
        Base(model=str(folder), quantization=quantization),  # type: ignore[arg-type]
        "cpu",
        bases=folder,
        allowed_roots=(folder,),
        for_training=True,
    )
    return attach(loaded.model, Lora(r=4, alpha=8, target_modules=tuple(targets), **variant), seed=1)


@pytest.mark.parametrize(
    ("rows", "train", "steps"),
    [
        (100, {"epochs": 3, "per_device_batch_size": 4}, 75),
        (101, {"epochs": 3, "per_device_batch_size": 4}, 78),
        (101, {"epochs": 0.5, "per_device_batch_size": 2, "gradient_accumulation_steps": 8}, 4),
        (3, {"epochs": 0.1, "per_device_batch_size": 4}, 1),
    ],
)
def test_optimizer_steps(rows: int, train: dict[str, Any], steps: int) -> None:
    assert optimizer_steps(rows, Train.model_validate(train)) == steps


@pytest.mark.parametrize(
    "targets", [ALL, ["q_proj"], [*ALL, "lm_head"], ["down_proj", "k_proj", "lm_head"], ["all-linear", "lm_head"]]
)
@pytest.mark.parametrize("variant", [{}, {"use_dora": True}, {"init_weights": "pissa"}])
@pytest.mark.parametrize("tied", [True, False])
def test_adapter_parameters_are_those_that_peft_makes(
    tmp_path: Path, targets: list[str], variant: dict[str, Any], tied: bool
) -> None:
    if variant == {"use_dora": True}:
        tied = False  # the padding token's row of zeros cannot be an output's
    folder = make_tiny_base(tmp_path / "base", tied=tied)
    model = training(folder, "none", targets, **variant)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert adapter_parameters(shape_at(folder), Lora(r=4, target_modules=tuple(targets), **variant)) == trained


def test_unknown_targets_have_no_estimate(base: Path) -> None:
    assert adapter_parameters(shape_at(base), Lora(r=4, target_modules=("c_attn",))) is None
    spec = tiny_experiment(lora={"r": 4, "alpha": 8, "target_modules": ["c_attn"]})
    assert training_memory(shape_at(base), spec, 100) is None


def state_bytes(model: Any) -> int:
    """Of the frozen weights, with the scales of quantized ones."""
    total = 0
    for weight in model.parameters():
        if not weight.requires_grad:
            total += weight.numel() * weight.element_size()
            if (state := getattr(weight, "quant_state", None)) is not None:
                scales = [state.absmax, state.state2.absmax]
                total += sum(scale.numel() * scale.element_size() for scale in scales)
    return total


@pytest.mark.parametrize(
    ("quantization", "targets", "tied"),
    [("none", ALL, False), ("none", [*ALL, "lm_head"], True), ("nf4", ALL, False), ("int8", ALL, False)],
)
def test_the_base_takes_what_the_formula_says(
    tmp_path: Path, quantization: str, targets: list[str], tied: bool
) -> None:
    folder = make_tiny_base(tmp_path / "base", hidden=256, tied=tied)
    spec = tiny_experiment(
        base={"model": str(folder), "quantization": quantization},
        lora={"r": 4, "alpha": 8, "target_modules": targets},
    )
    found = training_memory(shape_at(folder), spec, None)
    assert found is not None
    assert found.base == pytest.approx(state_bytes(training(folder, quantization, targets)), rel=0.005)
    assert found.activations is None, "the longest text is not known"


@pytest.mark.parametrize("variant", [{}, {"use_dora": True}])
def test_activations_are_what_the_backward_pass_keeps(base: Path, variant: dict[str, Any]) -> None:
    """Counted by autograd itself. The formula adds what is alive beside it while the loss is taken."""
    model = training(base, "none", ALL, **variant)
    own = {weight.untyped_storage().data_ptr() for weight in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        of_tokens = tensor.dim() != 2 or tensor.shape[0] in (TEXTS * TOKENS, TEXTS * SUPERVISED)
        # DoRA also keeps a few matrices as large as a module, however many tokens there are.
        if storage.data_ptr() not in own and (of_tokens or not variant):
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(5, 300, (TEXTS, TOKENS))
    labels = ids.clone()
    labels[:, : TOKENS - SUPERVISED] = -100
    model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits, gold = answer_logits(model, ids, labels)
        cross_entropy(logits.float(), gold, reduction="sum")
    train = {"per_device_batch_size": TEXTS, "epochs": 1}
    found = training_memory(shape_at(base), tiny_experiment(train=train, lora={"r": 4, "alpha": 8, **variant}), TOKENS)
    assert found is not None and found.activations is not None
    beside = TEXTS * SUPERVISED * 320 * 8  # logits and the gradient of the softmax, float32
    assert found.activations == pytest.approx(sum(kept.values()) + beside, rel=0.03)


@pytest.mark.parametrize(
    ("quantization", "base_gb", "adapter_gb"), [("nf4", 6.7, 1.9), ("int8", 12.4, 1.9), ("none", 24.2, 1.9)]
)
def test_llama_2_13b_on_a_gpu(quantization: str, base_gb: float, adapter_gb: float) -> None:
    """13.02 billion parameters: 12.7 of them in matrices, the others in 16 bits beside quantized ones."""
    spec = tiny_experiment(
        base={"model": "meta-llama/Llama-2-13b-hf", "quantization": quantization},
        lora={"r": 32, "alpha": 64, "target_modules": [*ALL, "lm_head"]},
        resources={"device": "cuda"},
    )
    found = training_memory(LLAMA_13B, spec, 1024)
    assert found is not None and found.activations is not None
    assert (round(found.base / 2**30, 1), round(found.adapter / 2**30, 1)) == (base_gb, adapter_gb)
    # Recomputed: not 40 layers' at once, which would be over 30 GB.
    assert found.activations / 2**30 < 6


def test_recomputed_activations_are_one_layers_and_what_each_layer_takes_in(base: Path) -> None:
    def activations(setting: bool | str) -> float:
        train = {"epochs": 1, "per_device_batch_size": 1, "gradient_checkpointing": setting}
        found = training_memory(shape_at(base), tiny_experiment(train=train), 100)
        assert found is not None and found.activations is not None
        return found.activations

    kept, recomputed = activations("auto"), activations(True)
    assert kept == activations(False)
    # Two layers of 128 float32 values a token: the second one is not kept, both inputs are.
    assert kept - recomputed == pytest.approx(100 * ((kept - 100 * 320 * 12 * 0.25) / 200 - 2 * 128 * 4))


def test_an_automatic_batch_takes_as_many_tokens_as_the_trainer_begins_with() -> None:
    train = {"epochs": 1, "per_device_batch_size": "auto", "batch_size": 64}
    for device, most in AUTO_TOKENS.items():
        spec = tiny_experiment(train=train, resources={"device": device})
        found = [training_memory(LLAMA_13B, spec, longest) for longest in (16, 1024, 100_000)]
        assert [memory.tokens for memory in found if memory] == [64 * 16, min(most, 64 * 1024), 100_000]


def test_committed_figures_hold_the_estimate_against_measured_runs() -> None:
    """`python -m benchmarks.estimates` writes them. Recomputed activations on a CPU are known to be estimated too low."""
    rows = [row for row in read_rows("estimates") if "recomputed" not in row["shape"]]
    assert len(rows) >= 6 and all(0.85 < row["estimated_to_measured"] < 1.15 for row in rows)
    for row in rows:
        spec = Experiment.model_validate(spec_of(SHAPES[row["shape"]]))
        found = training_memory(SMOLLM2, spec, SHAPES[row["shape"]]["length"])
        assert found is not None and found.total is not None
        assert found.total / 2**30 == pytest.approx(row["estimated_gb"], abs=0.01), "the formula changed: measure again"


def spec_on_a_gpu(row: dict[str, Any], *, compiled: bool) -> Experiment:
    """What a row of a GPU benchmark measured: the notebook's adapter, texts of 1,024 tokens at most, no activations anew."""
    assert not row.get("recompute")
    return tiny_experiment(
        base={"model": "meta-llama/Llama-2-13b-hf", "quantization": row["quantization"]},
        lora={"r": 32, "alpha": 64, "target_modules": [*ALL, "lm_head"]},
        resources={"device": "cuda"},
        train={"per_device_batch_size": row["tokens"] // 1024, "compile": compiled, "gradient_checkpointing": False},
    )


def test_a_whole_13b_on_a_gpu_took_what_the_formula_says() -> None:
    """`python -m benchmarks.gpu_llama2_13b` measured it. Its int8 row is from before the product was one operation."""
    rows = [row for row in read_rows("gpu_llama2_13b") if row["side"] == "flattened" and row["quantization"] != "int8"]
    assert {row["quantization"] for row in rows} == {"none", "nf4"}
    for row in rows:
        found = training_memory(LLAMA_13B, spec_on_a_gpu(row, compiled=True), 1024)
        assert found is not None and found.total is not None
        # Measured is what torch allocated; CUDA's own memory is not in it.
        allocated = (found.total - found.framework) / 2**30
        assert allocated == pytest.approx(row["peak_memory_gb"], rel=0.035)


def test_activations_on_a_gpu_are_near_what_eight_layers_took() -> None:
    """`python -m benchmarks.gpu_levers` measured them, without the copies that peft's casts make."""
    rows = [row for row in read_rows("gpu_levers") if row["lever"] != "casts" and row["quantization"] != "int8"]
    assert {row["lever"] for row in rows} == {"eager", "compiled"}
    for row in rows:
        spec = spec_on_a_gpu(row, compiled=row["lever"] == "compiled")
        found = training_memory(replace(LLAMA_13B, layers=row["layers"]), spec, 1024)
        assert found is not None and found.activations is not None
        assert found.activations / 1e9 == pytest.approx(row["activations_gb"], rel=0.05)
