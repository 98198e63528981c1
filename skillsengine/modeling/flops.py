"""How much a training computes, and how much the machine could.

Model FLOPs as in PaLM (Chowdhery et al., 2022, arXiv:2204.02311, appendix B): what the mathematics of a step needs, whatever
is computed twice to save memory. A matrix of N weights costs 2N a token forwards and 2N for the gradient that passes through;
only a trained one costs 2N more for its own gradient. So a frozen base costs 4N a token, not the usual 6N, and the adapter 6.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

_PEAKS = (
    # Dense FLOP/s of 16-bit matrices with sums in 32 bits, from NVIDIA's data sheets; the longer name first.
    ("B200", 2250e12),
    ("H200", 989e12),
    ("H100 PCIe", 756e12),
    ("H100", 989e12),
    ("A100", 312e12),
    ("L40S", 362e12),
    ("L40", 181e12),
    ("L4", 121e12),
    ("A10G", 70e12),
    ("A10", 125e12),
    ("RTX 4090", 165e12),
    ("RTX 3090", 71e12),
    ("V100", 125e12),
    ("T4", 65e12),
)
_MATRIX = 768
_TRIES = 3


@dataclass(frozen=True)
class TrainingFlops:
    """FLOPs of a training step, from the sizes of its texts."""

    of_a_token: float
    """In all linear modules but the output layer, forwards and backwards."""
    of_a_supervised_token: float
    """In the output layer, which works on supervised positions alone."""
    of_a_pair: float
    """In the attention, for each pair of a token and one that it sees."""

    @classmethod
    def of(cls, model: Any) -> TrainingFlops:
        """Of a model with its adapter attached."""
        config = model.config.get_text_config()
        heads = config.num_attention_heads
        width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        output = model.get_output_embeddings()
        of_output = {id(module) for module in output.modules()}
        sums = {True: 0.0, False: 0.0}
        for module in model.modules():
            weights = _weights(module)
            if weights:
                trained = any(weight.requires_grad for weight in module.parameters(recurse=False))
                sums[id(module) in of_output] += (6.0 if trained else 4.0) * weights
        # Query times key, and the weights times value: 2 x 2 x width forwards, twice that backwards.
        return cls(sums[False], sums[True], 12.0 * width * config.num_hidden_layers)

    def of_step(self, lengths: Iterable[int], supervised: int) -> float:
        """Of texts of such lengths in tokens, `supervised` of which are supervised; each token sees itself and those before."""
        sizes = list(lengths)
        pairs = sum(size * (size + 1) / 2 for size in sizes)
        return self.of_a_token * sum(sizes) + self.of_a_supervised_token * supervised + self.of_a_pair * pairs


def peak_flops(device: str) -> float | None:
    """FLOP/s that the device could do: of a GPU as its maker says, of a CPU as measured; None of an unknown GPU."""
    if device != "cuda":
        return _measured_cpu()
    name = torch.cuda.get_device_name()
    return next((peak for known, peak in _PEAKS if known in name), None)


@cache
def _measured_cpu() -> float:
    """The best of a few products of square float32 matrices, with the threads that torch has; about 50 ms."""
    matrix = torch.ones(_MATRIX, _MATRIX)
    best = 0.0
    for _ in range(_TRIES):
        started = time.perf_counter()
        matrix @ matrix
        best = max(best, 2 * _MATRIX**3 / max(time.perf_counter() - started, 1e-9))
    return best


def _weights(module: Any) -> int:
    """Entries of a linear module's matrix, as computed with: a quantized one stores fewer numbers than it has weights."""
    if isinstance(module, torch.nn.Linear):
        return int(module.in_features * module.out_features)
    return int(module.weight.numel()) if type(module).__name__ == "Conv1D" else 0
