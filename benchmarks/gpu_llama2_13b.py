"""Llama-2-13B on one GPU: real tokens a second, peak memory and utilization, in bf16, nf4 and int8, flattened and padded.

    python -m benchmarks.gpu_llama2_13b                                   # on a machine with a GPU of 80 GB, no network
    python -m benchmarks.gpu_llama2_13b --device cpu --scale tiny         # the same on a CPU with a toy: does it run?

Self-contained: the architecture with random weights, written once to `--work` (26 GB) and loaded as any base is; rows of
random tokens, as long as real ads are (ad_lengths.json), at most 1,024. The notebook's LoRA (r 32, alpha 64, lm_head too). Each
side in a process of its own:

flattened, padded   ours: `AnswerTrainer` with `train.batching` so
trainer             transformers' Trainer, all tokens in the loss, padded to the longest of the batch, recomputing activations
trl                 TRL's SFTTrainer as it comes, without lm_head, where trl can be imported

Utilization is tokens/s x 53.4 GFLOP (no recomputation counted) over 790 TFLOP/s, what an H100 or H200 does on large bf16
matrices: 14,790 tokens/s would be all of it. The best published run that compares (NVIDIA NeMo, 402 TFLOP/s on an H100) would
be 7,525. Pairs of side and quantization come in the order of their use, and each is recorded when it is done.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from benchmarks._record import read_rows, record

SIDES = ("flattened", "uncompiled", "padded", "trainer", "trl")
QUANTIZATIONS = ("none", "nf4", "int8")
_FIRST = (("flattened", "none"), ("flattened", "nf4"), ("trainer", "none"), ("trl", "none"), ("flattened", "int8"))
"""What a machine that is lent for minutes should measure first."""
SCALES: dict[str, dict[str, int]] = {
    "13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
}
VOCABULARY = {"13b": 32_000, "tiny": 320}
FLOPS_A_TOKEN, PEAK = 53.4e9, 790e12
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
HISTOGRAM = Path(__file__).parent / "ad_lengths.json"
_AT_ONCE = 16
"""Rows that the other sides take at once; where a step has more they accumulate."""
_WARM = 3
"""Steps that are not counted: kernels are chosen, memory is taken."""


def lengths(count: int, longest: int, seed: int = 1) -> list[tuple[int, int]]:
    """(tokens, answer's tokens) of so many texts, drawn from the histogram of real ads."""
    known, random = json.loads(HISTOGRAM.read_text(encoding="utf-8")), Random(seed)
    found = []
    for place in random.choices(range(len(known["counts"])), known["counts"], k=count):
        tokens = min(max(random.randint(known["edges"][place], known["edges"][place + 1] - 1), 16), longest)
        found.append((tokens, max(2, round(tokens * known["answer_share"]))))
    return found


def write_base(folder: Path, scale: str, device: str) -> None:
    """The architecture with random weights, and a tokenizer of as many tokens."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", *(f"w{number}" for number in range(VOCABULARY[scale] - 3))]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    config = LlamaConfig(**SCALES[scale], vocab_size=len(words), max_position_embeddings=4096)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32 if device == "cpu" else torch.bfloat16)
    with torch.device(device):
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    del model
    if device == "cuda":
        torch.cuda.empty_cache()  # this process lives on beside the sides


def run_side(given: dict[str, Any]) -> dict[str, Any]:
    """One side, in this process."""
    import torch

    from skillsengine.modeling.base import load_base
    from skillsengine.modeling.encoding import IGNORED, Encoded
    from skillsengine.modeling.memory import peak_gb, restart_peak
    from skillsengine.spec.schema import Base

    base, device = Path(given["base"]), given["device"]
    restart_peak(device)
    loaded = load_base(
        Base(model=str(base), quantization=given["quantization"]),
        device,
        bases=base.parent,
        allowed_roots=(base.parent,),
        for_training=True,
    )
    random, vocabulary = Random(2), VOCABULARY[given["scale"]]
    rows = []
    for tokens, answer in lengths(given["steps"] * given["batch"], given["longest"]):
        ids = [random.randrange(3, vocabulary) for _ in range(tokens)]
        rows.append(Encoded(ids, [IGNORED] * (tokens - answer) + ids[tokens - answer :], False))
    train = {"flattened": _ours, "uncompiled": _ours, "padded": _ours, "trainer": _plain, "trl": _trl}[given["side"]]
    with tempfile.TemporaryDirectory() as folder:
        steps = train(loaded, rows, given, Path(folder))[_WARM:]
    tokens, seconds = sum(step["tokens"] for step in steps), sum(step["seconds"] for step in steps)
    speed = tokens / seconds
    found = {"tokens_per_second": round(speed, 1), "peak_memory_gb": round(peak_gb(device), 2), "steps": len(steps)}
    if given["scale"] == "13b":
        found["utilization"] = round(speed * FLOPS_A_TOKEN / PEAK, 4)
    return found | {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu"}


def _ours(loaded: Any, rows: Sequence[Any], given: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    from skillsengine.modeling.flattened import attention_of, fastest_attention
    from skillsengine.modeling.lora import attach
    from skillsengine.spec.schema import Lora, Train
    from skillsengine.stages.answer_trainer import AnswerTrainer, arguments
    from skillsengine.stages.best import Choice
    from skillsengine.stages.checkpoints import Checkpoints
    from skillsengine.stages.compiling import compiled_here
    from skillsengine.stages.micro_batches import MicroBatches
    from skillsengine.stages.team import Team
    from skillsengine.stages.training_log import TrainingLog
    from skillsengine.stages.validation import Asked, Validation

    model = attach(loaded.model, Lora(r=32, alpha=64, target_modules=(*PROJECTIONS, "lm_head")), seed=1)
    loaded = replace(loaded, model=model)
    train = Train(
        per_device_batch_size=given["batch"], checkpoint_steps=10**6, gradient_checkpointing=given["recompute"]
    )
    flattened = given["side"] != "padded"
    attention = fastest_attention(model) if flattened else attention_of(model)
    if attention is None:
        raise SystemExit("no attention here keeps the texts of a flattened batch apart")
    print(f"attention: {attention}", file=sys.stderr)
    train = train.model_copy(update={"compile": given["device"] == "cuda" and given["side"] != "uncompiled"})
    compiled = compiled_here(model, train, given["device"], attention=attention, flattened=flattened)
    log = TrainingLog(lambda progress: None, given["steps"], 1)
    batches = MicroBatches(None, given["tokens"], flattened)
    trainer = AnswerTrainer(
        loaded,
        arguments(train, device=given["device"], total_steps=given["steps"], checkpoints=folder, model=model),
        rows,
        Validation([], batches, Asked(), 1),
        batches=batches,
        attention=attention,
        compiled=compiled,
        eval_steps=10**6,
        choice=Choice(),
        log=log,
        checkpoints=Checkpoints(folder, lambda: None),
        team=Team(),
    )
    trainer.train_from(None)
    return [entry for entry in trainer.state.log_history if "seconds" in entry]


def _watched(trainer: Any, sizes: Sequence[int], batch: int, device: str) -> list[dict[str, float]]:
    """Train; the mean tokens of a step, and its seconds."""
    import time

    import torch
    from transformers import TrainerCallback

    steps: list[dict[str, float]] = []

    class Watch(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
        since = 0.0

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            self.since = time.monotonic()

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            if device == "cuda":
                torch.cuda.synchronize()
            # Rows come in a shuffled order: over all steps the mean is right.
            steps.append({"tokens": sum(sizes) / len(sizes) * batch, "seconds": time.monotonic() - self.since})

    trainer.add_callback(Watch())
    trainer.train()
    return steps


def _settings(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": min(given["batch"], _AT_ONCE),
        "gradient_accumulation_steps": -(-given["batch"] // _AT_ONCE),
        "max_steps": given["steps"],
        "use_cpu": given["device"] == "cpu",
        "bf16": given["device"] == "cuda",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def _plain(loaded: Any, rows: Sequence[Any], given: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    import torch
    from transformers import Trainer, TrainingArguments

    from skillsengine.modeling.lora import attach
    from skillsengine.spec.schema import Lora

    model = attach(loaded.model, Lora(r=32, alpha=64, target_modules=(*PROJECTIONS, "lm_head")), seed=1)
    pad = loaded.tokenizer.pad_token_id

    def padded(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        width = max(len(row["input_ids"]) for row in batch)
        filled = {"input_ids": pad, "labels": -100, "attention_mask": 0}
        return {
            name: torch.tensor([row[name] + [fill] * (width - len(row[name])) for row in batch])
            for name, fill in filled.items()
        }

    data = [{"input_ids": row.input_ids, "labels": row.input_ids, "attention_mask": [1] * len(row)} for row in rows]
    arguments = TrainingArguments(
        **_settings(given, folder),
        remove_unused_columns=False,
        activation_checkpointing=True,
        activation_checkpointing_kwargs={"use_reentrant": False},
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=data, data_collator=padded)
    return _watched(trainer, [len(row) for row in rows], given["batch"], given["device"])


def _trl(loaded: Any, rows: Sequence[Any], given: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    data = Dataset.from_list(
        [{"input_ids": row.input_ids, "completion_mask": [int(label >= 0) for label in row.labels]} for row in rows]
    )
    lora = LoraConfig(r=32, lora_alpha=64, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM")
    trainer = SFTTrainer(
        model=loaded.model,
        args=SFTConfig(**_settings(given, folder)),
        train_dataset=data,
        processing_class=loaded.tokenizer,
        peft_config=lora,
    )
    return _watched(trainer, [len(row) for row in rows], given["batch"], given["device"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--scale", choices=SCALES, default="13b")
    parser.add_argument("--sides", choices=SIDES, nargs="+", default=SIDES)
    parser.add_argument("--quantizations", choices=QUANTIZATIONS, nargs="+", default=QUANTIZATIONS)
    parser.add_argument("--steps", type=int, default=15, help=f"optimizer steps; the first {_WARM} are not counted")
    parser.add_argument("--batch", type=int, default=48, help="rows of an optimizer step")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens of a forward pass of ours, at most")
    parser.add_argument("--recompute", action="store_true", help="ours recomputes activations, as the other sides do")
    parser.add_argument("--work", type=Path, help="folder for the weights (a temporary one)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(run_side(json.loads(given.child))))
        return
    sides = [side for side in given.sides if side != "trl" or importlib.util.find_spec("trl")]
    # A run on a CPU says that the script works, and nothing else.
    name = "gpu_llama2_13b" if given.device == "cuda" and given.scale == "13b" else None
    rows = {(row["side"], row["quantization"]): row for row in (read_rows(name) if name else [])}
    work = Path(tempfile.mkdtemp(prefix="gpu-llama2-", dir=given.work))
    try:
        write_base(work / "base", given.scale, given.device)
        for side, quantization in sorted(product(sides, given.quantizations), key=_urgency):
            shared = {key: getattr(given, key) for key in ("device", "scale", "steps", "batch", "tokens", "recompute")}
            longest = 1024 if given.scale == "13b" else 64
            head = {"side": side, "quantization": quantization}
            child = head | shared | {"base": str(work / "base"), "longest": longest}
            command = [sys.executable, "-m", "benchmarks.gpu_llama2_13b", "--child", json.dumps(child)]
            ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
            # One side that does not fit must not cost the others their turn.
            told = json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else {"failed": ran.returncode}
            rows[side, quantization] = head | {key: shared[key] for key in ("batch", "tokens", "recompute")} | told
            print(json.dumps(rows[side, quantization]), flush=True)
            if name:
                record(name, list(rows.values()), ratios(list(rows.values())))
    finally:
        shutil.rmtree(work)


def _urgency(pair: tuple[str, str]) -> int:
    return _FIRST.index(pair) if pair in _FIRST else len(_FIRST)


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Tokens a second of ours, flattened, to each other side's with the same quantization."""
    speeds = {(row["side"], row["quantization"]): row.get("tokens_per_second") for row in rows}
    found = {}
    for (side, quantization), speed in speeds.items():
        ours = speeds.get(("flattened", quantization))
        if speed and ours and side != "flattened":
            found[f"flattened to {side}, {quantization}"] = round(ours / speed, 3)
    return found


if __name__ == "__main__":
    main()
