"""What each lever of a training gives on a GPU: eight layers of Llama-2-13B's shape, forwards and backwards.

    python -m benchmarks.gpu_levers            # a GPU of 40 GB, two and a half minutes

A few layers, so that a machine that is lent for minutes can tell the levers apart: without optimizer and without the 40 layers
of `gpu_llama2_13b`, whose rows are the ones to quote for a training. Flattened batches as long as real ads, LoRA as the
notebook has it.

casts      eager; peft brings each module's input to float32, which is its default
eager      without these copies, as `finetune` trains on CUDA
compiled   the layers compiled (`train.compile`)

`full_size` is arithmetic: utilization x 14,790 tokens/s, what 53.4 GFLOP a token allow at 790 TFLOP/s.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import gpu_llama2_13b as full
from benchmarks._record import record

LAYERS = 8
LINEAR = LAYERS * (4 * 5120**2 + 3 * 5120 * 13824)
"""Weights of the layers' matrices."""
STEPS, WARM = 5, 3
LEVERS = (
    ("none", "casts", 8192),
    ("none", "eager", 8192),
    ("none", "compiled", 8192),
    ("none", "compiled", 16384),
    ("nf4", "eager", 8192),
    ("nf4", "compiled", 8192),
    ("int8", "eager", 8192),
    ("int8", "compiled", 8192),
)
"""(quantization, lever, tokens of a forward pass at most)."""


def batches(tokens: int) -> list[dict[str, Any]]:
    """Flattened batches of at most so many tokens, each of other texts."""
    from skillsengine.modeling.encoding import IGNORED, Encoded
    from skillsengine.modeling.flattened import flatten

    random, made = Random(2), []
    for seed in range(STEPS + WARM):
        rows: list[Encoded] = []
        for length, answer in full.lengths(400, 1024, seed):
            if sum(len(row) for row in rows) + length > tokens:
                break
            ids = [random.randrange(3, 32_000) for _ in range(length)]
            rows.append(Encoded(ids, [IGNORED] * (length - answer) + ids[length - answer :], False))
        made.append({name: tensor.cuda() for name, tensor in flatten(rows).items()})
    return made


def measure(model: Any, lever: str, tokens: int) -> dict[str, Any]:
    """Tokens a second, utilization, and what the activations take."""
    import torch
    from torch.nn.functional import cross_entropy

    from skillsengine.modeling.compiled import compiled_layers, input_casts
    from skillsengine.modeling.flattened import attention_of, fastest_attention, flattened_logits, with_attention

    given, seconds = batches(tokens), []
    attention = fastest_attention(model) or attention_of(model)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    model.train()
    with (
        with_attention(model, attention),
        input_casts(model, lever == "casts"),
        compiled_layers(model, lever == "compiled"),
    ):
        for batch in given:
            started = time.perf_counter()
            with torch.autocast("cuda", torch.bfloat16):
                logits, gold = flattened_logits(model, batch)
            cross_entropy(logits.float(), gold).backward()
            torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
    peak = torch.cuda.max_memory_allocated() - held
    model.zero_grad(set_to_none=True)
    done = sum(int(batch["tokens"]) for batch in given[WARM:])
    utilization = done * 4 * LINEAR / sum(seconds[WARM:]) / full.PEAK
    return {
        "attention": attention,
        "tokens_per_second": round(done / sum(seconds[WARM:])),
        "utilization": round(utilization, 3),
        "full_size": round(utilization * full.PEAK / full.FLOPS_A_TOKEN),
        "first_step_seconds": round(seconds[0], 1),
        "activations_gb": round(peak / 1e9, 1),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    import torch

    from skillsengine.modeling.base import load_base
    from skillsengine.modeling.lora import attach
    from skillsengine.spec.schema import Base, Lora

    full.SCALES["13b"]["num_hidden_layers"] = LAYERS
    work, rows, held = Path(tempfile.mkdtemp(prefix="gpu-levers-")), [], None
    try:
        full.write_base(work / "base", "13b", "cuda")
        for quantization, lever, tokens in LEVERS:
            if held is None or held[0] != quantization:
                held = None
                torch.cuda.empty_cache()
                base = Base(model=str(work / "base"), quantization=quantization)
                loaded = load_base(base, "cuda", bases=work, allowed_roots=(work,), for_training=True)
                targets = (*full.PROJECTIONS, "lm_head")
                held = quantization, attach(loaded.model, Lora(r=32, alpha=64, target_modules=targets), seed=1)
            head = {"quantization": quantization, "lever": lever, "tokens": tokens, "layers": LAYERS}
            rows.append(head | measure(held[1], lever, tokens) | {"device": torch.cuda.get_device_name()})
            print(json.dumps(rows[-1]), flush=True)
        record("gpu_levers", rows, ratios(rows))
    finally:
        shutil.rmtree(work)


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of speeds, with forward passes of 8,192 tokens."""
    speed = {(row["quantization"], row["lever"]): row["tokens_per_second"] for row in rows if row["tokens"] == 8192}
    pairs = {
        "no copies in float32": (("none", "eager"), ("none", "casts")),
        "compiled to eager": (("none", "compiled"), ("none", "eager")),
        "compiled to eager, nf4": (("nf4", "compiled"), ("nf4", "eager")),
        "compiled to eager, int8": (("int8", "compiled"), ("int8", "eager")),
        "nf4 to bf16, compiled": (("nf4", "compiled"), ("none", "compiled")),
    }
    return {name: round(speed[one] / speed[other], 3) for name, (one, other) in pairs.items()}


if __name__ == "__main__":
    main()
