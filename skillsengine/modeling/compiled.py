"""A model's layers compiled by torch: what lies between the large matrix products becomes a few kernels.

Norms, rotations, the gates of the feed-forward part and the sums of base and adapter each read and write all activations, which
on a GPU takes as long as the products themselves; compiled, most of that stays on the chip, and less is kept for the backward
pass. One compiled layer serves all of them, since they differ in their weights alone, and all lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers.modeling_layers import GradientCheckpointingLayer

from skillsengine.modeling.int8 import int8_in_one


def layers_of(model: Any) -> list[Any]:
    """The layers that repeat, in their order; empty for an architecture that does not mark them."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


@contextmanager
def compiled_layers(model: Any, active: bool) -> Iterator[None]:
    """Compute with compiled layers; after it they are as before. Names and weights stay the same."""
    layers = layers_of(model) if active else []
    for layer in layers:
        # Flattened batches have another length in every step.
        layer.compile(dynamic=True)
    try:
        # On a CPU bitsandbytes trains with the weight brought back to floats, which is compiled as it is.
        with int8_in_one(model, active and model.device.type == "cuda"):
            yield
    finally:
        for layer in layers:
            layer._compiled_call_impl = None


@contextmanager
def as_written(active: bool) -> Iterator[None]:
    """Compute without what was compiled: generation has another shape at each token, and a compilation takes a minute."""
    if not active:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def input_casts(model: Any, active: bool) -> Iterator[None]:
    """Whether an adapter's modules bring what they take in to the format of their weights; after it they do as before."""
    modules = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    before = [module.cast_input_dtype_enabled for module in modules]
    for module in modules:
        module.cast_input_dtype_enabled = active
    try:
        yield
    finally:
        for module, was in zip(modules, before, strict=True):
            module.cast_input_dtype_enabled = was


def why_not_compiled(model: Any, step: Callable[[], torch.Tensor]) -> str | None:
    """Compile by computing the loss `step` and its gradients; in a line why that does not work here, None where it does.

    Not every architecture can be compiled, and a GPU's compiler wants a C compiler on the machine. Gradients are dropped.
    """
    if not layers_of(model):
        return f"{type(model).__name__} has no layers that transformers marks as such"
    was_training = model.training
    try:
        model.train()
        with compiled_layers(model, True):
            step().backward()  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever a compiler trips over is a reason to do without it, and is told
        lines = str(error).strip().split("\n")
        return f"{type(error).__name__}: {lines[0]}"
    finally:
        model.zero_grad(set_to_none=True)
        model.train(was_training)
    return None
