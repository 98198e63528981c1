"""The lines of `plan` on memory: what the training takes, of what it is made, and which common GPU it fits in."""

from __future__ import annotations

from collections.abc import Iterator

from skillsengine.pipeline.estimate import Memory
from skillsengine.pipeline.outlook import Outlook

_GB = 2**30
_NAMES = {"nf4": "nf4", "int8": "int8", "none": "bf16"}
"""`base.quantization` as people say it of a GPU."""


def memory_lines(found: Outlook) -> Iterator[tuple[str, str]]:
    """(name of the line, text); the name is empty where a line goes on with the one before."""
    known, memory, spec = found.forecast, found.forecast.memory, found.plan.experiment
    on_gpu = spec.resources.device == "cuda"
    device = "on the GPU" if on_gpu else "on the CPU"
    if memory is not None:
        parts = f"base {gb(memory.base)}, adapter and optimizer {gb(memory.adapter)}"
        rest = f"{gb(memory.framework)} for {'CUDA' if on_gpu else 'Python'} itself"
        if memory.activations is None or memory.total is None:
            whole = memory.base + memory.adapter + memory.framework
            more = f"{gb(1000 * memory.of_a_token * (1 + memory.held))} more for each 1,000 tokens of a batch"
            yield (
                "memory",
                f"about {gb(whole)} {device} ({parts}, {rest}), and {more}: the longest text is not known yet",
            )
        else:
            fits = f", {_fits(memory)}" if on_gpu else ""
            if memory.held:
                rest += f", {gb(memory.held * memory.activations)} that the allocator cannot use"
            batch = spec.train.per_device_batch_size
            texts = f"{batch} texts of {known.max_length.value if known.max_length else 0:,.0f} tokens"
            if batch == "auto":
                texts = f"{memory.tokens:,} tokens at once"
            yield (
                "memory",
                f"about {gb(memory.total)} {device}{fits}: {parts}, activations {gb(memory.activations)} ({texts}), {rest}",
            )
            if on_gpu:
                yield "", "; ".join(_choices(found))
    if known.measured_memory is not None:
        yield (
            "" if memory else "memory",
            f"{gb(known.measured_memory.value)} measured in {known.measured_memory.basis}",
        )


def _choices(found: Outlook) -> Iterator[str]:
    """`int8: 23.6 GB, fits in 40` for each quantization but the spec's own."""
    for name, memory in found.memory_by_quantization.items():
        if name != found.plan.experiment.base.quantization and memory.total is not None:
            yield f"{_NAMES[name]}: {gb(memory.total)}, {_fits(memory)}"


def _fits(memory: Memory) -> str:
    return "fits on no single GPU" if memory.card is None else f"fits in {memory.card}"


def gb(size: float) -> str:
    """Bytes for people."""
    return f"{size / _GB:.1f} GB" if size >= _GB / 10 else f"{size / 2**20:.1f} MB"
