"""transformers' Trainer, with the loss on the answers' tokens alone and a resume that repeats an uninterrupted run.

The Trainer is handed the rows of one optimizer step at a time. How they go through the model, in how many forward passes and
padded or flattened, is decided here: so a step that runs out of memory can be done again in smaller parts, and its loss is
over all its supervised tokens in any case.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from torch.utils.data import BatchSampler, DataLoader, Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.batches import LengthGroups, answer_logits, collate
from skillsengine.modeling.compiled import as_written, compiled_layers, input_casts
from skillsengine.modeling.encoding import IGNORED, Encoded
from skillsengine.modeling.flattened import attention_of, flatten, flattened_logits, with_attention
from skillsengine.modeling.flops import TrainingFlops
from skillsengine.modeling.memory import out_of_memory, release
from skillsengine.spec.schema import Train, recomputes
from skillsengine.stages.best import Choice
from skillsengine.stages.checkpoints import Checkpoints, step_of
from skillsengine.stages.contract import HandedOver, never
from skillsengine.stages.micro_batches import MicroBatches
from skillsengine.stages.team import Team
from skillsengine.stages.training_log import TrainingLog
from skillsengine.stages.validation import Validation

BEST = "best.safetensors"
"""In a checkpoint: the trained weights at the best evaluation so far, where one is looked for."""

log = logging.getLogger(__name__)


def arguments(train: Train, *, device: str, total_steps: int, checkpoints: Path, model: Any) -> TrainingArguments:
    """The Trainer's settings for one training of `total_steps` optimizer steps."""
    parameters = sum(weight.numel() for weight in model.parameters())
    recomputed = recomputes(train.gradient_checkpointing, device, parameters)
    made = TrainingArguments(
        output_dir=str(checkpoints),
        # A batch is what one optimizer step learns from; AnswerTrainer cuts it into forward passes.
        per_device_train_batch_size=train.effective_batch_size,
        gradient_accumulation_steps=1,
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
        # The rows lie in memory as tokens: a loader has nothing to read ahead, and no processes that could die.
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
        log_level="error",
    )
    if made.n_gpu > 1:
        # The Trainer would split each batch over all GPUs it sees (DataParallel); a training takes one.
        made._n_gpu = 1
    return made


@dataclass
class _Work:
    """What the steps since the last log entry did."""

    tokens: int = 0
    positions: int = 0
    """Tokens and padding."""
    flops: float = 0.0


class _EachStep(TrainerCallback):  # type: ignore[misc]  # transformers ships no types
    """Asks for an evaluation where one is due, and ends the training where no better one is to be expected, or where its worker
    was told to stop."""

    def __init__(self, every: int, evaluates: bool, ends: Callable[[], bool], stopping: Callable[[], bool]) -> None:
        self._every, self._evaluates, self._ends, self._stopping = every, evaluates, ends, stopping
        self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        due = state.global_step % self._every == 0 or state.global_step == state.max_steps
        control.should_evaluate = self._evaluates and due
        if state.global_step < state.max_steps and self._stopping():
            self.stopped = control.should_training_stop = control.should_save = True

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._ends():
            control.should_training_stop = control.should_save = True


class _Steps(BatchSampler):
    """The rows of each step, in each epoch's own order."""

    def set_epoch(self, epoch: int) -> None:
        self.sampler.set_epoch(epoch)  # type: ignore[union-attr]  # LengthGroups

    @property
    def batch_sampler(self) -> _Steps:
        """Itself: the Trainer looks below a loader's batch sampler for one that wants to know the epoch."""
        return self


class AnswerTrainer(Trainer):  # type: ignore[misc]  # transformers ships no types
    """Trains the adapter of `loaded.model` on `rows`, evaluates it every `eval_steps` steps and at the end, and leaves in the
    model the adapter that `choice` keeps.

    The order of rows and the random numbers of a step depend on the seed and the step, not on what happened before, and
    an evaluation is part of the checkpoint of its step: so a training that goes on from a checkpoint makes the same
    adapter and the same log as one that was never stopped.
    """

    def __init__(
        self,
        loaded: LoadedBase,
        args: TrainingArguments,
        rows: Sequence[Encoded],
        validation: Validation,
        *,
        batches: MicroBatches,
        attention: str,
        compiled: bool,
        eval_steps: int,
        choice: Choice,
        log: TrainingLog,
        checkpoints: Checkpoints,
        team: Team,
    ) -> None:
        each_step = _EachStep(
            eval_steps,
            len(validation) > 0,
            lambda: choice.ends(log.evaluations),
            self._told_to_stop,
        )
        super().__init__(
            model=loaded.model, args=args, train_dataset=rows, data_collator=_rows_of_a_step, callbacks=[each_step]
        )
        self._each_step = each_step
        self.remove_callback(PrinterCallback)
        self._loaded, self._validation, self._batches, self._choice = loaded, validation, batches, choice
        self._attention, self._own_attention, self._compiled = attention, attention_of(loaded.model), compiled
        self._training_log, self._checkpoints, self._team = log, checkpoints, team
        self._flops = TrainingFlops.of(loaded.model)
        self._work, self._step_started = _Work(), 0.0
        self._best: dict[str, torch.Tensor] = {}
        """The trained weights of the best evaluation, on the CPU; empty where it is the last."""

    def train_from(self, checkpoint: Path | None, stopping: Callable[[], bool] = never) -> None:
        """Train to the end, from `checkpoint` if there is one. Raises StageError if the loss diverges, and HandedOver once a
        checkpoint is written, if `stopping` tells that the worker is to stop."""
        self._stopping = stopping
        with self._computing():
            if not self._ended_at(checkpoint):
                self._training_log.start()
                self._step_started = time.monotonic()
                self.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
                if self._each_step.stopped and not self._choice.ends(self._training_log.evaluations):
                    raise HandedOver(
                        f"this worker was told to stop: the training has stopped after step {self.state.global_step} of "
                        f"{self.state.max_steps}, with a checkpoint, and goes on from there"
                    )
        with torch.no_grad():
            for name, weight in self._trained().items():
                if name in self._best:
                    weight.copy_(self._best[name])

    def _told_to_stop(self) -> bool:
        """All processes of the team stop after the same step."""
        return bool(self._team.told(self._team.first and self._stopping()))

    def _ended_at(self, checkpoint: Path | None) -> bool:
        """Take in what a checkpoint knows; True if it was written at the training's end."""
        if checkpoint is None:
            return False
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        self._training_log.resume(state.log_history)
        if (checkpoint / BEST).is_file():
            self._best = load_file(checkpoint / BEST)
        if step_of(checkpoint) < self.args.max_steps and not self._choice.ends(self._training_log.evaluations):
            return False
        # Killed between the last step and the artifact. The Trainer would do one step too many.
        self._load_from_checkpoint(str(checkpoint))
        return True

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """The mean loss of an optimizer step over its supervised tokens, in nats; its gradients are summed into the weights.

        Where memory runs out, and `per_device_batch_size` is `auto`, the step begins anew in smaller parts.
        """
        rows: list[Encoded] = inputs["rows"]
        self.model.train()
        while not self._try_step(rows):
            release(self.model)
        self._team.sum_gradients(self._trained().values())
        self._team.sum(self._step_loss)
        self._work.tokens += sum(len(row) for row in rows)
        shares = [self._team.share(rows, rank) for rank in range(self._team.count)]
        parts = [part for share in shares for part in self._batches.divide(share)]
        self._work.positions += sum(self._batches.positions(part) for part in parts)
        self._work.flops += self._flops.of_step((len(row) for row in rows), _supervised(rows))
        return self._step_loss

    def _try_step(self, rows: list[Encoded]) -> bool:
        """One attempt at this process' share of a step; False where it found no room, after which smaller parts are set."""
        self._seed_step()
        self._step_loss = torch.zeros((), device=self.args.device)
        supervised, room = _supervised(rows), True
        for part in self._batches.divide(self._team.share(rows)):
            try:
                # Not through the wrapper that sums gradients in a backward pass: they are summed when all parts are done.
                logits, gold = self._forward(self.model, part)
                loss = cross_entropy(logits.float(), gold, reduction="sum") / supervised
                self.accelerator.backward(loss)
            except (RuntimeError, MemoryError) as error:
                if not (out_of_memory(error) and self._batches.shrink(part)):
                    raise
                room = False
                self._tell_shrunk(part)
                break
            self._step_loss += loss.detach()
        # One that finds room must do the step again with one that does not: the others wait for its sum.
        return self._team.all(room, self.args.device)

    def _tell_shrunk(self, part: list[Encoded]) -> None:
        log.warning(
            "step %d: memory ran out with %d rows (%d tokens) at once; from here on at most %d tokens go through together",
            self.state.global_step + 1,
            len(part),
            self._batches.positions(part),
            self._batches.tokens,
        )

    def _seed_step(self) -> None:
        # Each process has rows of its own, so each drops other inputs of the adapter.
        seed = self.args.seed * 1_000_003 + self.state.global_step + (self._team.rank << 40)
        torch.manual_seed(seed % 2**63)

    def _forward(self, model: Any, rows: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits, gold) of the rows together, as `answer_logits` gives them."""
        device = self.args.device
        if self._batches.flattened:
            return flattened_logits(model, {name: tensor.to(device) for name, tensor in flatten(rows).items()})
        batch = collate(rows, self._loaded.tokenizer.pad_token_id)
        return answer_logits(model, batch["input_ids"].to(device), batch["labels"].to(device))

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Measure the validation rows, let the model answer a few of them, and keep the adapter if it is the best so far."""
        self.model.eval()
        told = self._training_log.measuring
        answers: dict[str, Any] = {}
        with as_written(self._compiled):
            loss = self._validation.loss(self.model, self._forward, told, self._team)
            if self._team.first:
                with self._answering():
                    answers = self._validation.answers(replace(self._loaded, model=self.model), told)
        metrics = {"eval_loss": loss, **self._team.told(answers)}
        self.log(dict(metrics))
        evaluations = self._training_log.evaluations
        best = self._choice.of(evaluations)
        if self._choice.best_by is not None and best is evaluations[-1]:
            self._best = {name: weight.detach().to("cpu", copy=True) for name, weight in self._trained().items()}
        self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self._step_started = time.monotonic()
        return metrics

    def log(self, logs: dict[str, Any], start_time: float | None = None) -> None:
        """Keep an entry in the state, where checkpoints hold it, and tell it."""
        if "loss" in logs:
            now = time.monotonic()
            logs = {**logs, **vars(self._work), "seconds": now - self._step_started}
            self._work, self._step_started = _Work(), now
        super().log(logs, start_time)
        self._training_log.add(self.state.log_history[-1])

    def floating_point_ops(self, inputs: Any) -> int:
        """Nothing: the Trainer would look for tensors in the batch. `TrainingFlops` counts."""
        return 0

    @contextmanager
    def _computing(self) -> Iterator[None]:
        # Autocast brings the adapter's weights to the activations' format. peft would bring the activations to float32 first,
        # and each module would keep a copy of its own.
        with (
            with_attention(self.model, self._attention),
            input_casts(self.model, not self.args.bf16),
            compiled_layers(self.model, self._compiled),
        ):
            yield

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Generation pads, wants the attention that the base was loaded with, and has no autocast."""
        with with_attention(self.model, self._own_attention), input_casts(self.model, True):
            yield

    def _trained(self) -> dict[str, torch.Tensor]:
        return {name: weight for name, weight in self.model.named_parameters() if weight.requires_grad}

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The rows of one optimizer step at a time, whole for every process: torch's own would share out the steps."""
        if self._team.count == 1:
            loader: DataLoader[Any] = super().get_train_dataloader()
            return loader
        steps = _Steps(self._get_train_sampler(), self.args.per_device_train_batch_size, drop_last=False)
        return DataLoader(self.train_dataset, batch_sampler=steps, collate_fn=_rows_of_a_step)

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        lengths = [len(row) for row in self.train_dataset]
        return LengthGroups(lengths, self.args.per_device_train_batch_size, self.args.seed)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """What `resume_from_checkpoint` reads, written whole or not at all, by the first process."""
        if not self._team.first:
            return

        def save(folder: Path) -> None:
            self.model.save_pretrained(folder, save_embedding_layers=False)
            self._save_optimizer_and_scheduler(str(folder))
            self._save_rng_state(str(folder))
            self.state.save_to_json(str(folder / TRAINER_STATE_NAME))
            if self._best:
                save_file(self._best, folder / BEST)

        self._checkpoints.write(self.state.global_step, save)
        self._step_started = time.monotonic()


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Optimizer steps over all rows once; the last one may be smaller."""
    return -(-rows // batch_size)


def _rows_of_a_step(rows: list[Encoded]) -> dict[str, list[Encoded]]:
    return {"rows": rows}


def _supervised(rows: Sequence[Encoded]) -> int:
    """Tokens on which a loss is computed; nothing says a text's first one."""
    return sum(sum(label != IGNORED for label in row.labels[1:]) for row in rows)
