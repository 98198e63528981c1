"""One side of `train_cpu`, in a process of its own: `python -m benchmarks._train_sides SIDE JSON` prints its figures."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainerCallback, TrainingArguments

from benchmarks._train_rows import paragraphs
from skillsengine.modeling.answers import parse_answer, render_answer
from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.batches import answer_logits, collate
from skillsengine.modeling.encoding import Encoded, encode
from skillsengine.modeling.generate import generate
from skillsengine.modeling.lora import attach
from skillsengine.modeling.recorded import load_recorded
from skillsengine.scoring.few_shot import fill
from skillsengine.scoring.metrics import set_scores
from skillsengine.spec.schema import Base, Experiment, Lora, Prompt

BASE = "smollm2-135m-instruct"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
RANK, ALPHA, BATCH, RATE = 32, 64, 4, 2e-4
LOOKS = 4
"""Evaluations in a training."""
_LONGEST_ANSWER = 112
"""Tokens of a generated answer, at most: all but six of 150 right ones are no longer. After so few steps many do not end by
themselves."""


class Texts:
    """The rows as every side sees them."""

    def __init__(self, sizes: dict[str, int], tokenizer: Any) -> None:
        template = Prompt().template
        self.rows = paragraphs(sizes)
        self.asked = {
            split: [(fill(template, row["job_description"]), render_answer(row["skills"])) for row in rows]
            for split, rows in self.rows.items()
        }
        self.encoded = {
            split: [encode(prompt, answer, tokenizer, None) for prompt, answer in asked]
            for split, asked in self.asked.items()
        }


class Course(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
    """(seconds of training, validation loss) at `LOOKS` steps; what an evaluation takes is not counted."""

    def __init__(self, loaded: LoadedBase, validation: Sequence[Encoded], steps: int) -> None:
        self.loaded, self.validation, self.every = loaded, validation, max(1, steps // LOOKS)
        self.points: list[tuple[float, float]] = []
        self.seconds, self._since = 0.0, 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.monotonic() - self._since
        if state.global_step % self.every == 0 or state.global_step == state.max_steps:
            self.points.append((round(self.seconds, 1), round(validation_loss(self.loaded, self.validation), 4)))


def validation_loss(loaded: LoadedBase, rows: Sequence[Encoded]) -> float:
    """Mean over the answers' tokens, in nats: what ours is trained on, for all sides."""
    was, total, tokens = loaded.model.training, 0.0, 0
    loaded.model.eval()
    for start in range(0, len(rows), BATCH):
        batch = collate(rows[start : start + BATCH], loaded.tokenizer.pad_token_id)
        with torch.no_grad():
            logits, gold = answer_logits(loaded.model, batch["input_ids"], batch["labels"])
            total += float(cross_entropy(logits.float(), gold, reduction="sum"))
        tokens += len(gold)
    loaded.model.train(was)
    return total / tokens


def scores(loaded: LoadedBase, texts: Texts) -> dict[str, Any]:
    """Precision, recall and F1 of the generated answers, as `evaluate` counts them."""
    if not texts.asked["test"]:
        return {}
    loaded.model.eval()
    prompts = [prompt for prompt, _ in texts.asked["test"]]
    raw = generate(loaded, prompts, max_new_tokens=_LONGEST_ANSWER, batch_size=25)
    pairs = [
        (tuple(row["skills"]), tuple(parse_answer(text)[0])) for row, text in zip(texts.rows["test"], raw, strict=True)
    ]
    return {name: value for name, value in set_scores(pairs).as_dict().items() if name in ("precision", "recall", "f1")}


def plain(side: str, given: dict[str, Any]) -> dict[str, Any]:
    """The notebook's recipe on transformers' Trainer, or TRL's SFTTrainer as it comes but for the recipe's numbers."""
    bases = Path(given["bases"])
    loaded = load_base(Base(model=BASE), "cpu", bases=bases, allowed_roots=(), for_training=True)
    texts = Texts(given["sizes"], loaded.tokenizer)
    train = texts.encoded["train"]
    steps = -(-len(train) // BATCH)
    settings: dict[str, Any] = {
        "output_dir": tempfile.mkdtemp(),
        "per_device_train_batch_size": BATCH,
        "num_train_epochs": 1,
        "learning_rate": RATE,
        "lr_scheduler_type": "linear",
        "seed": given["seed"],
        "use_cpu": True,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
    if side == "trl":
        trainer, loaded = _trl(loaded, texts, settings)
    else:
        model = attach(loaded.model, Lora(r=RANK, alpha=ALPHA, target_modules=(*PROJECTIONS, "lm_head")), given["seed"])
        loaded = replace(loaded, model=model)
        longest = max(len(row) for row in train) if side == "trainer-max" else None
        pad = loaded.tokenizer.pad_token_id
        rows = [{"input_ids": row.input_ids, "labels": row.input_ids} for row in train]

        def padded(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
            """All tokens are in the loss; the padding is masked."""
            width = longest or max(len(row["input_ids"]) for row in batch)
            filled = {"input_ids": pad, "labels": -100, "attention_mask": 0}
            source = [row | {"attention_mask": [1] * len(row["input_ids"])} for row in batch]
            return {
                name: torch.tensor([row[name] + [fill] * (width - len(row[name])) for row in source])
                for name, fill in filled.items()
            }

        arguments = TrainingArguments(**settings, remove_unused_columns=False)
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=padded)
    course = Course(loaded, texts.encoded["validation"], steps)
    trainer.add_callback(course)
    trainer.train()
    tokens = sum(len(row) for row in train)
    return {"tokens": tokens, "seconds": course.seconds, "steps": steps, "course": course.points} | scores(
        loaded, texts
    )


def _trl(loaded: LoadedBase, texts: Texts, settings: dict[str, Any]) -> tuple[Any, LoadedBase]:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    data = Dataset.from_list([{"prompt": prompt, "completion": answer} for prompt, answer in texts.asked["train"]])
    lora = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(PROJECTIONS), task_type="CAUSAL_LM")
    # It refuses an adapter on lm_head. bf16, its default, is 20 times slower on a CPU.
    config = SFTConfig(**settings, bf16=False)
    trainer = SFTTrainer(
        model=loaded.model, args=config, train_dataset=data, processing_class=loaded.tokenizer, peft_config=lora
    )
    return trainer, replace(loaded, model=trainer.model)


def ours(given: dict[str, Any]) -> dict[str, Any]:
    """format, profile and finetune through the pipeline's own door."""
    from skillsengine.pipeline.run import open_run, run_stage
    from skillsengine.settings import load_settings

    rows = paragraphs(given["sizes"])
    steps = -(-len(rows["train"]) // BATCH)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "experiments").mkdir()
        (project / "data").mkdir()
        for split, part in rows.items():
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part)
            (project / "data" / f"{split}.jsonl").write_text(lines, encoding="utf-8")
        store = project / ".skillsengine" / "store"
        store.mkdir(parents=True)
        bases = Path(given["bases"]).resolve()
        (store / "bases").symlink_to(bases, target_is_directory=True)
        spec = {
            "name": "train-cpu",
            "schedule": "none",
            "data": {"source": "data"},
            "base": {"model": BASE},
            "lora": {"r": RANK, "alpha": ALPHA, "target_modules": [*PROJECTIONS, "lm_head"]},
            "tokens": {"length_percentile": 100},
            "train": {
                "epochs": 1,
                "per_device_batch_size": BATCH,
                "learning_rate": RATE,
                "seed": given["seed"],
                "eval_steps": max(1, steps // LOOKS),
                "sample_predictions": 0,
                "logging_steps": 1,
            },
            "tracking": {"mode": "disabled"},
            "resources": {"device": "cpu"},
        }
        run = open_run(Experiment.model_validate(spec), dag_id="benchmark", run_id="1", settings=load_settings(project))
        for stage in ("format", "profile"):
            run_stage(run, stage)
        [step] = run_stage(run, "finetune")["steps"]
        made, summary = run.store.get("finetune", step["digest"]), step["summary"]
        assert made is not None
        lines = [json.loads(line) for line in (made.path / "metrics.jsonl").read_text().splitlines()]
        a_step = summary["seconds"] / summary["steps"]
        course = [
            (round(line["step"] * a_step, 1), round(line["eval_loss"], 4)) for line in lines if "eval_loss" in line
        ]
        loaded = load_recorded(made.json("base.json"), made.path / "adapter", "cpu", bases=bases, allowed_roots=())
        told = {name: summary[name] for name in ("tokens", "seconds", "steps", "train_rows")}
        return told | {"course": course} | scores(loaded, Texts(given["sizes"], loaded.tokenizer))


def main() -> None:
    side, given = sys.argv[1], json.loads(sys.argv[2])
    torch.manual_seed(given["seed"])
    found = ours(given) if side == "ours" else plain(side, given)
    found["tokens_per_second"] = round(found["tokens"] / found["seconds"], 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
