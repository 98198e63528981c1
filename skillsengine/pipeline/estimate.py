"""How many steps a training takes, how many parameters it trains and how much memory it asks for: arithmetic only.

`shapes` knows the sizes of a base without loading it, `forecast` brings the numbers of rows and tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.spec.schema import ALL_LINEAR, Experiment, Lora, Train, compiles, recomputes

_NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes a weight: 4 bits, one 8-bit scale for 64 weights, one float32 for 256 of these scales."""
_TRAINED = 4 + 4 + 8
"""Bytes of a trainable parameter: itself, its gradient, AdamW's two moments, all float32."""
_FRAMEWORK = {"cpu": 0.6 * 2**30, "cuda": 1.0 * 2**30}
"""Bytes of Python with its libraries (measured); of CUDA's context and workspaces (about; not measured)."""
_HELD = {"cpu": 0.85, "cuda": 0.0}
"""What the allocator holds and cannot use, to what activations take. On a CPU measured (`benchmarks.estimates`): freed pieces
leave gaps in glibc's heap. A low MALLOC_MMAP_THRESHOLD_ would close them, for half as much time again. On CUDA torch's caching
allocator leaves little; not measured."""
_AUTO_TOKENS = {"cpu": 2_048, "cuda": 16_384}
"""Of a forward pass with `per_device_batch_size: auto`: `stages.micro_batches`."""
CARDS = (12, 16, 24, 40, 48, 80, 141)
"""GB of the GPUs that there are: RTX 4070, T4, RTX 4090 and A10, A100, L40S, A100 and H100, H200."""
_USABLE = 0.95
"""Of a card: its driver and the screen take some."""
_SUPERVISED = 0.25
"""Share of a text's tokens that its answer is taken to have; with the others no logits are computed."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a Llama-like base: attention and a gated feed-forward part in every layer."""

    hidden: int
    feed_forward: int
    layers: int
    keys: int
    """Width of the keys, and of the values: heads that they have x size of a head."""
    queries: int
    """Heads x size of a head; mostly the same as `hidden`."""
    vocabulary: int
    tied: bool
    """Whether the output layer is the embedding."""
    extra: int = 0
    """Parameters of a layer beside its matrices and two norms: biases, norms of queries and keys."""

    @property
    def matrices(self) -> dict[str, tuple[int, int]]:
        """(in, out) features of each linear module of one layer."""
        return {
            "q_proj": (self.hidden, self.queries),
            "k_proj": (self.hidden, self.keys),
            "v_proj": (self.hidden, self.keys),
            "o_proj": (self.queries, self.hidden),
            "gate_proj": (self.hidden, self.feed_forward),
            "up_proj": (self.hidden, self.feed_forward),
            "down_proj": (self.feed_forward, self.hidden),
        }

    @property
    def linear(self) -> int:
        """Parameters of all layers' linear modules: what quantization makes smaller."""
        return self.layers * sum(inside * out for inside, out in self.matrices.values())

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All of them; a tied output layer counts once."""
        norms = self.layers * (2 * self.hidden + self.extra) + self.hidden
        return self.linear + norms + self.embedding * (1 if self.tied else 2)


@dataclass(frozen=True)
class Memory:
    """Bytes at the height of a training."""

    base: float
    adapter: float
    """Its parameters, their gradients and the optimizer's states."""
    of_a_token: float
    """What each token of a micro-batch adds."""
    tokens: int | None
    """Tokens of the longest micro-batch; None where the longest text is not known yet."""
    framework: float
    """What Python, its libraries and CUDA take for themselves."""
    held: float
    """What the allocator holds and cannot use, to what activations take."""

    @property
    def activations(self) -> float | None:
        return None if self.tokens is None else self.tokens * self.of_a_token

    @property
    def total(self) -> float | None:
        """All parts; None where the longest text is not known yet."""
        activations = self.activations
        return (
            None if activations is None else self.base + self.adapter + self.framework + (1 + self.held) * activations
        )

    @property
    def card(self) -> int | None:
        """The smallest common GPU that it fits in, in GB; None where there is none, or the longest text is not known."""
        total = self.total
        return None if total is None else next((size for size in CARDS if total <= _USABLE * size * 2**30), None)


def steps_per_epoch(rows: int, train: Train) -> int:
    """Optimizer steps over `rows` training texts once; the last one may be smaller."""
    return -(-rows // train.effective_batch_size)


def optimizer_steps(rows: int, train: Train) -> int:
    """Optimizer steps of a training on `rows` texts (at least 1), as `finetune` counts them."""
    return max(1, math.ceil(steps_per_epoch(rows, train) * train.epochs))


def adapter_parameters(shape: Shape, lora: Lora) -> int | None:
    """Trainable parameters of a LoRA adapter: r x (in + out) of each adapted matrix (Hu et al., 2021, section 4.1), with DoRA
    out more (Liu et al., 2024, section 4).

    None where a target is no linear module of such a base, or is named by a part of its path.
    """
    targets = _targets(shape, lora)
    if targets is None:
        return None
    return sum(
        count * (lora.r * (inside + out) + (out if lora.use_dora else 0)) for (inside, out), count in targets.values()
    )


def _targets(shape: Shape, lora: Lora) -> dict[str, tuple[tuple[int, int], int]] | None:
    """Name -> ((in, out) features, how many there are) of the adapted matrices; None where one is unknown."""
    sizes = {name: (ends, shape.layers) for name, ends in shape.matrices.items()}
    wanted = {name for target in lora.target_modules for name in (sizes if target == ALL_LINEAR else [target])}
    sizes["lm_head"] = ((shape.hidden, shape.vocabulary), 1)
    return {name: sizes[name] for name in wanted} if wanted <= set(sizes) else None


def training_memory(shape: Shape, experiment: Experiment, longest: int | None) -> Memory | None:
    """Memory of a training whose longest text has `longest` tokens; None for unknown targets.

    - base: matrices in 4.127 bits with nf4 (double quantization: Dettmers et al., 2023, section 3), 8 with int8, otherwise 16
      on CUDA and 32 on a CPU; embedding, output layer and norms are never quantized.
    - adapter: 16 bytes a trainable parameter, float32 with AdamW. An adapter on a tied output layer makes it a copy.
    - activations: what the backward pass of a layer needs of each token. Counted on transformers' Llama with peft's adapters
      (attention that keeps no scores: Dao et al., 2022; no dropout): two vectors of the hidden size, two of the queries', two
      of the keys', four of the feed-forward part's, r for each adapter, with DoRA two of each adapted module's output, and in
      float32 the two that the norms take in; compiled layers compute these anew. Where activations are recomputed
      (`train.gradient_checkpointing`), of each layer only the vector that it takes in, and one layer's at a time (Chen et al.,
      2016). Then the logits, with a quarter of the tokens supervised: in the number format, as float32, their softmax and its
      gradient.
    - framework: Python and its libraries, CUDA's own.
    - held: what the allocator cannot use.

    On a CPU within 6% of what was measured (`benchmarks.estimates`), but with recomputed activations 29% too low there. On a
    GPU within 3% for a 13B in bf16 and nf4 (`benchmarks.gpu_llama2_13b`). In int8, layers that are not compiled also keep
    the columns with outliers, in 16 bits; how many there are only the data say.
    """
    lora, device = experiment.lora, experiment.resources.device
    targets, trainable = _targets(shape, lora), adapter_parameters(shape, lora)
    if targets is None or trainable is None:
        return None
    width = 4 if device == "cpu" else 2
    quantization = experiment.base.quantization
    copy = shape.embedding if shape.tied and "lm_head" in targets else 0
    others = shape.parameters - shape.linear + copy
    of_weight = {"nf4": _NF4, "int8": 1.0, "none": float(width)}[quantization]
    base = of_weight * shape.linear + width * others
    # bitsandbytes counts two 4-bit weights as one.
    parameters = (shape.linear // 2 if quantization == "nf4" else shape.linear) + others + trainable
    compiled = compiles(experiment.train.compile, device, parameters)
    of_layer = _kept_of_layer(shape, experiment.lora, list(targets), width, compiled)
    if recomputes(experiment.train.gradient_checkpointing, device, parameters):
        kept = shape.layers * shape.hidden * width + of_layer
    else:
        kept = shape.layers * of_layer
    logits = _SUPERVISED * shape.vocabulary * (12 if width == 4 else 14)
    tokens = None if longest is None else _at_once(experiment.train, device, longest)
    return Memory(base, _TRAINED * trainable, kept + logits, tokens, _FRAMEWORK[device], _HELD[device])


def memory_by_quantization(shape: Shape, experiment: Experiment, longest: int | None) -> dict[str, Memory]:
    """`training_memory` of the same training with each quantization; empty for unknown targets."""
    found: dict[str, Memory] = {}
    for quantization in ("nf4", "int8", "none"):
        base = experiment.base.model_copy(update={"quantization": quantization})
        if memory := training_memory(shape, experiment.model_copy(update={"base": base}), longest):
            found[quantization] = memory
    return found


def _at_once(train: Train, device: str, longest: int) -> int:
    """Tokens of the largest forward pass, padding included; a text that is longer than all of it stands alone."""
    if train.per_device_batch_size == "auto":
        return max(longest, min(longest * train.effective_batch_size, _AUTO_TOKENS[device]))
    return longest * train.per_device_batch_size


def _kept_of_layer(shape: Shape, lora: Lora, targets: Sequence[str], width: int, compiled: bool) -> int:
    """Bytes that one layer keeps of a token for its backward pass."""
    adapted = [shape.matrices[name] for name in targets if name in shape.matrices]
    vectors = 2 * shape.hidden + 2 * shape.queries + 2 * shape.keys + 4 * shape.feed_forward
    # DoRA scales what the base and the adapter have computed.
    scaled = 2 * sum(out for _, out in adapted) if lora.use_dora else 0
    norms = 0 if compiled else 4 * 2 * shape.hidden
    return width * (vectors + lora.r * len(adapted) + scaled) + norms
