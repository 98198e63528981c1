"""transformers' Trainer, with the loss on the answers' tokens alone and a resume that repeats an uninterrupted run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from skillsengine.modeling.batches import LengthGroups, answer_logits, collate
from skillsengine.modeling.encoding import Encoded
from skillsengine.spec.schema import Train, recomputes
from skillsengine.stages.checkpoints import Checkpoints, step_of
from skillsengine.stages.training_log import TrainingLog


def arguments(
    train: Train, *, device: str, total_steps: int, eval_batch_size: int, checkpoints: Path, model: Any
) -> TrainingArguments:
    """The Trainer's settings for one training of `total_steps` optimizer steps."""
    parameters = sum(weight.numel() for weight in model.parameters())
    recomputed = recomputes(train.gradient_checkpointing, device, parameters)
    made = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=train.per_device_batch_size,
        per_device_eval_batch_size=eval_batch_size,
        gradient_accumulation_steps=train.gradient_accumulation_steps,
        max_steps=total_steps,
        learning_rate=train.learning_rate,
        lr_scheduler_type=train.lr_scheduler,
        warmup_steps=train.warmup_steps,
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        seed=train.seed,
        data_seed=train.seed,
        # Every step is logged to the Trainer's state; TrainingLog thins it out.
        logging_steps=1,
        logging_nan_inf_filter=False,  # it would hide a diverged loss behind the mean of the earlier ones
        eval_strategy="no",  # AnswerTrainer decides: an evaluation must come before the checkpoint of its step
        save_steps=train.checkpoint_steps,
        use_cpu=device == "cpu",
        bf16=device == "cuda",
        activation_checkpointing=recomputed,
        # The reentrant kind wants an input that requires a gradient, and the embedding is frozen.
        activation_checkpointing_kwargs={"use_reentrant": False} if recomputed else None,
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_pin_memory=device == "cuda",
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )
    if made.n_gpu > 1:
        # The Trainer would split each batch over all GPUs it sees (DataParallel); a training takes one.
        made._n_gpu = 1
    return made


class _EachStep(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
    """Makes a step depend on the seed and its own number alone, and asks for an evaluation at each epoch's end."""

    def __init__(self, steps_per_epoch: int, evaluates: bool) -> None:
        self._steps_per_epoch, self._evaluates = steps_per_epoch, evaluates

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        torch.manual_seed((args.seed * 1_000_003 + state.global_step) % 2**63)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        ends = state.global_step % self._steps_per_epoch == 0 or state.global_step == state.max_steps
        control.should_evaluate = self._evaluates and ends


class AnswerTrainer(Trainer):  # type: ignore[misc]  # transformers ships no types
    """Trains the adapter of `model` on `rows`; measures `validation` after each epoch and at the end.

    The order of rows and the random numbers of a step depend on the seed and the step, not on what happened before, and
    an evaluation is part of the checkpoint of its step: so a training that goes on from a checkpoint makes the same
    adapter and the same log as one that was never stopped.
    """

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        rows: Sequence[Encoded],
        validation: Sequence[Encoded],
        *,
        pad_id: int,
        log: TrainingLog,
        checkpoints: Checkpoints,
    ) -> None:
        batch = args.per_device_train_batch_size * args.gradient_accumulation_steps
        each_step = _EachStep(steps_per_epoch(len(rows), batch), bool(validation))
        super().__init__(
            model=model,
            args=args,
            train_dataset=rows,
            data_collator=partial(collate, pad_id=pad_id),
            callbacks=[each_step],
        )
        self.remove_callback(PrinterCallback)
        # The loss below is divided by the supervised tokens of the whole optimizer step, whatever the micro-batches.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self._validation = validation
        self._by_length = sorted(range(len(validation)), key=lambda place: len(validation[place]))
        self._pad_id, self._training_log, self._checkpoints = pad_id, log, checkpoints
        self._step_tokens, self._step_started = 0, 0.0

    def train_from(self, checkpoint: Path | None) -> None:
        """Train to the end, from `checkpoint` if there is one. Raises StageError if the loss diverges."""
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            self._training_log.resume(state.log_history)
            if step_of(checkpoint) >= self.args.max_steps:
                # Killed between the last step and the artifact. The Trainer would do one step too many.
                self._load_from_checkpoint(str(checkpoint))
                return
        self._training_log.start()
        self._step_started = time.monotonic()
        self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Cross entropy summed over the supervised tokens of a micro-batch, over those of its optimizer step; nats."""
        logits, gold = answer_logits(model, inputs["input_ids"], inputs["labels"])
        self._step_tokens += int(inputs["tokens"])
        loss: torch.Tensor = cross_entropy(logits.float(), gold, reduction="sum") / num_items_in_batch
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Mean loss over all supervised tokens of the validation rows, whatever the batches; nats."""
        size, total, tokens = self.args.per_device_eval_batch_size, 0.0, 0
        self.model.eval()
        for start in range(0, len(self._validation), size):
            self._training_log.measuring(start, len(self._validation))
            batch = collate([self._validation[place] for place in self._by_length[start : start + size]], self._pad_id)
            with torch.no_grad():
                place = self.args.device
                logits, gold = answer_logits(self.model, batch["input_ids"].to(place), batch["labels"].to(place))
                total += float(cross_entropy(logits.float(), gold, reduction="sum"))
            tokens += len(gold)
        metrics = {"eval_loss": total / tokens}
        self.log(dict(metrics))
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._step_started = time.monotonic()
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep an entry in the state, where checkpoints hold it, and tell it."""
        if "loss" in logs:
            now = time.monotonic()
            logs = {**logs, "tokens": self._step_tokens, "seconds": now - self._step_started}
            self._step_tokens, self._step_started = 0, now
        super().log(logs, start_time)
        self._training_log.add(self.state.log_history[-1])

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        batch = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroups([len(row) for row in self.train_dataset], batch, self.args.seed)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """What `resume_from_checkpoint` reads, written whole or not at all."""

        def save(folder: Path) -> None:
            self.model.save_pretrained(folder, save_embedding_layers=False)
            self._save_optimizer_and_scheduler(str(folder))
            self._save_rng_state(str(folder))
            self.state.save_to_json(str(folder / TRAINER_STATE_NAME))

        self._checkpoints.write(self.state.global_step, save)
        self._step_started = time.monotonic()


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Optimizer steps over all rows once; the last one may be smaller."""
    return -(-rows // batch_size)
