"""LLM.int8()'s product (Dettmers et al., 2022, arXiv:2208.07339) as one operation, which torch's compiler takes whole.

bitsandbytes' own is seven operations whose shapes depend on how many columns hold an outlier. A compiled layer breaks at each
of them into pieces, and what the pieces hand to each other is kept for the backward pass, with the outliers' columns. As one
operation with a frozen weight it hands on nothing but its output: the gradient of what goes in needs the weight alone. What is
computed, forwards and backwards, are bitsandbytes' operations in bitsandbytes' order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bitsandbytes as bnb
import torch


@torch.library.custom_op("skillsengine::int8_linear", mutates_args=())
def int8_linear(
    x: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None, threshold: float
) -> torch.Tensor:
    """x times the transposed weight, plus bias, in the format of x.

    `x`: shape (..., in), floating; `weight`: (out, in), int8; `scales`: (out,), float32, the largest absolute value of each
    row; `bias`: (out,) in the format of x; `threshold`: a column of x with a value as large is an outlier, and is multiplied
    in x's format instead of int8; 0 for none. Out: (..., out).
    """
    rows = x.reshape(-1, x.shape[-1])
    # A copy in any case: bitsandbytes writes into what it is given, and restores it.
    halves = rows.to(torch.float16, copy=True)
    quantized, of_rows, outliers = torch.ops.bitsandbytes.int8_vectorwise_quant(halves, threshold)
    out, _ = torch.ops.bitsandbytes.int8_mixed_scaled_mm(rows, quantized, weight, of_rows, scales, outliers, bias)
    return out.reshape(*x.shape[:-1], weight.shape[0])  # type: ignore[no-any-return]  # bitsandbytes' operations have no types


@int8_linear.register_fake
def _(
    x: torch.Tensor, weight: torch.Tensor, scales: torch.Tensor, bias: torch.Tensor | None, threshold: float
) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0]))


def _keep(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _, weight, scales, _, _ = inputs
    ctx.save_for_backward(weight, scales)


def _backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None, None]:
    weight, scales = ctx.saved_tensors
    # 127 stands for the largest value of a row. In place the product is rounded once, and takes no float32 copy of the weight.
    whole = weight.to(gradient.dtype).mul_(scales.unsqueeze(1) / 127.0)
    return torch.matmul(gradient, whole), None, None, None, None


int8_linear.register_autograd(_backward, setup_context=_keep)


class _OneOperation(bnb.nn.Linear8bitLt):  # type: ignore[misc]  # bitsandbytes ships no types
    """A frozen int8 module that computes with `int8_linear`; it takes the place of bitsandbytes' class and gives it back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = self.state
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return int8_linear(x, state.CB, state.SCB, bias, state.threshold)  # type: ignore[no-any-return]  # as above


@contextmanager
def int8_in_one(model: Any, active: bool) -> Iterator[None]:
    """Compute each frozen int8 product of `model` as one operation; after it they are computed as before."""
    modules = [module for module in model.modules() if active and type(module) is bnb.nn.Linear8bitLt]
    modules = [module for module in modules if not module.state.has_fp16_weights]
    for module in modules:
        # bitsandbytes brings the weight and its scales to their place in a module's first forward pass.
        if module.weight.CB is not None:
            module.init_8bit_state()
        module.__class__ = _OneOperation
    try:
        yield
    finally:
        for module in modules:
            module.__class__ = bnb.nn.Linear8bitLt
