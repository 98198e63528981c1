"""finetune: train a LoRA adapter on the rows' answers.

Files: adapter/ (peft's own layout), tokenizer/, base.json, prompt.json, trained_on.txt and trained_on.npy (`trained_on`),
lexicon.json, metrics.jsonl, samples.jsonl (answers to a few validation rows at each evaluation), loss.png. Held in memory are
the rows as tokens, 4 bytes each, and not their texts. Killed, it goes on from its newest whole checkpoint, and makes the same
adapter as if it had not been.
"""

from __future__ import annotations

import json
import logging
import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skillsengine.modeling.adapter_files import ADAPTER_CONFIG
from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.flattened import attention_of, fastest_attention
from skillsengine.modeling.flops import peak_flops
from skillsengine.modeling.lora import attach, save_adapter, untrained, update_matrices
from skillsengine.modeling.memory import peak_gb, restart_peak
from skillsengine.modeling.packed import PackedTexts
from skillsengine.modeling.pissa import START
from skillsengine.spec.schema import Experiment, Train
from skillsengine.stages.answer_trainer import AnswerTrainer, arguments, steps_per_epoch
from skillsengine.stages.best import Choice
from skillsengine.stages.checkpoints import Checkpoints, step_of
from skillsengine.stages.compiling import compiled_here
from skillsengine.stages.contract import Diverged, Limit, Progress, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.full_disk import full_disk
from skillsengine.stages.micro_batches import MicroBatches
from skillsengine.stages.overlong import Fitter
from skillsengine.stages.splits import TRAIN, VALIDATION, TrainingRows, formatted_inputs, training_rows
from skillsengine.stages.team import Team
from skillsengine.stages.trained_on import write_trained_on
from skillsengine.stages.training_log import Machine, TrainingLog, draw_losses
from skillsengine.stages.translate import memory_errors, model_errors
from skillsengine.stages.validation import Asked, Sample, Validation
from skillsengine.storage.artifact import Artifact

VERSION = 4

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Texts:
    """Rows as tokens, and what else is kept of them."""

    train: PackedTexts
    validation: PackedTexts
    fitter: Fitter
    """Its counts."""
    keys: array[int]
    """Of the rows, as numbers; shape (rows of which at least one text was made,)."""
    skills: set[str]
    """Labels of the training rows."""


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Train the adapter; returns {"steps", "epochs", "train_loss" (mean over the last epoch, nats a supervised token),
    "validation_loss" and "validation_f1" (of the adapter that is kept; None without validation rows, and where none are
    answered), "best_step" (the step it is of), "train_rows", "validation_rows" (as trained on: a row that was split counts as
    its parts), the counts of `Fitter` and of `TrainingRows.summary`, "tokens" (trained on),
    "tokens_per_second", "seconds" (of the steps, all attempts), "padding_share" (of what went through the model, 0 to 1),
    "model_flop_utilization" (0 to 1; None on a GPU of unknown peak), "peak_memory_gb", "trainable_parameters",
    "untrained_matrices", "resumed_from_step" (0 if it was not)}.

    Raises StageError without a row to train on, for a base or a target that cannot be used, when the loss diverges, and
    when a part of the adapter did not learn.
    """
    if config.spec.resources.gpus > 1:
        from skillsengine.stages.together import train_together  # it calls `train` below, in each process

        return train_together(config, inputs, out, context)
    return train(config, inputs, out, context, Team())


def train(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext, team: Team) -> Summary:
    """One process' part of `run`; what it returns and leaves in `out` is the first one's."""
    spec = config.spec
    rows = training_rows(formatted_inputs(inputs), spec.data.split, dated=spec.data.dated)
    max_length = int(inputs["profile"].summary["max_length"])
    if config.limit:
        max_length = min(max_length, config.limit.tokens)

    restart_peak(spec.resources.device)
    context.report(Progress(f"loading the base {spec.base.model}", fraction=0.0))
    small = "Set base.quantization: nf4, or take a smaller base."
    with model_errors(), memory_errors(f"loading the base {spec.base.model}", small):
        loaded = load_base(
            spec.base,
            spec.resources.device,
            bases=context.bases,
            allowed_roots=context.allowed_roots,
            for_training=True,
        )
        fitter = Fitter(spec.prompt.template, loaded.tokenizer, max_length, spec.tokens.overlong)
        texts = _encode(rows, fitter, config.limit)
        _require_rows(texts, rows)
        start = context.checkpoints / START
        with team.first_goes_first():
            model = attach(loaded.model, spec.lora, spec.train.seed, start)
        if team.first and start.is_file():
            context.keep_checkpoint(start)

    per_epoch = steps_per_epoch(len(texts.train), spec.train.effective_batch_size)
    total = max(1, math.ceil(per_epoch * spec.train.epochs))
    total = min(total, config.limit.steps) if config.limit else total
    checkpoints = Checkpoints(context.checkpoints, context.guard, context.keep_checkpoint)
    told = _log(spec, total, context)
    trainer = _trainer(
        replace(loaded, model=model), texts, spec, told, checkpoints, team, per_epoch, total, config.limit
    )
    resumed_from = _train(trainer, checkpoints, texts, spec, context, team)
    if not team.first:
        return {}
    dead = _require_learned(model, told.last_step, start)
    with full_disk(out, "the adapter"):
        save_adapter(model, out / "adapter", start)
        _write(out, loaded, spec, texts.skills)
        write_trained_on(out, rows.formatted, np.frombuffer(texts.keys, np.uint64))
        told.write(out / "metrics.jsonl")
        draw_losses(told, out / "loss.png")
    context.tracker.image("loss", out / "loss.png")
    kept = _choice(spec.train).of(told.evaluations) or {}
    return {
        "steps": told.last_step,
        "epochs": round(told.last_step / per_epoch, 3),
        "train_loss": round(told.last_epoch_loss(), 4),
        "validation_loss": _rounded(kept.get("eval_loss")),
        "validation_f1": _rounded(kept.get("eval_f1")),
        "best_step": int(kept.get("step", told.last_step)),
        "train_rows": len(texts.train),
        "validation_rows": len(texts.validation),
        **texts.fitter.counts(),
        **rows.summary(),
        "tokens": told.tokens,
        "tokens_per_second": round(told.tokens / max(told.seconds, 1e-9), 1),
        "seconds": round(told.seconds, 1),
        "padding_share": round(told.padding_share, 4),
        "model_flop_utilization": _rounded(told.utilization),
        "peak_memory_gb": round(peak_gb(spec.resources.device), 2),
        "trainable_parameters": sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        "untrained_matrices": dead,
        "resumed_from_step": resumed_from,
    }


def _trainer(
    loaded: LoadedBase,
    texts: _Texts,
    spec: Experiment,
    told: TrainingLog,
    checkpoints: Checkpoints,
    team: Team,
    per_epoch: int,
    total: int,
    limit: Limit | None,
) -> AnswerTrainer:
    train, device = spec.train, spec.resources.device
    choice = _choice(train)
    if choice.best_by and not texts.validation:
        raise StageError(
            f"train.best_by: {choice.best_by} compares evaluations, and there is no validation row. Raise "
            "data.split.validation, give the source a file `validation.jsonl`, or remove train.best_by."
        )
    fastest = fastest_attention(loaded.model) if _flattens(train.batching, device) else None
    if fastest is None and train.batching == "flattened":
        raise StageError(
            f"train.batching: flattened: {type(loaded.model.get_base_model()).__name__} does not keep the texts of a flattened "
            f"batch apart with its attention ({attention_of(loaded.model)}): each would learn from its neighbours. Write "
            "`train.batching: padded`."
        )
    shown = 0 if limit else train.sample_predictions
    scored = train.eval_rows if choice.best_by == "validation_f1" else 0
    scored = min(scored, limit.generated) if limit else scored
    asked = Asked(scored, shown, spec.prompt.template, spec.evaluate.batch_size)
    flattened, attention = fastest is not None, fastest or attention_of(loaded.model)
    return AnswerTrainer(
        loaded,
        arguments(train, device=device, total_steps=total, checkpoints=checkpoints.folder, model=loaded.model),
        texts.train,
        Validation(texts.validation, MicroBatches(spec.evaluate.batch_size, None, flattened), asked, train.seed),
        batches=MicroBatches.of(train, device, flattened),
        attention=attention,
        compiled=compiled_here(loaded.model, train, device, attention=attention, flattened=flattened),
        eval_steps=train.eval_steps or per_epoch,
        choice=choice,
        log=told,
        checkpoints=checkpoints,
        team=team,
    )


def _choice(train: Train) -> Choice:
    return Choice(train.best_by, train.early_stopping_patience)


def _flattens(batching: str, device: str) -> bool:
    """What `train.batching` means: on a CPU short padding is as fast as a mask, and rows grouped by length have little."""
    return batching == "flattened" or (batching == "auto" and device == "cuda")


def _log(spec: Experiment, total: int, context: StageContext) -> TrainingLog:
    device = spec.resources.device

    def show(step: int, samples: list[Sample]) -> None:
        rows = [[step, s["ad"], ", ".join(s["gold"]), ", ".join(s["predicted"])] for s in samples]
        context.tracker.table("sample_predictions", ["step", "ad", "gold", "predicted"], rows, step)

    peak = peak_flops(device)
    if peak is not None and device == "cuda":  # processes on a CPU share it
        peak *= spec.resources.gpus
    machine = Machine(lambda: peak_gb(device), peak)
    return TrainingLog(context.report, total, spec.train.logging_steps, machine, show)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _train(
    trainer: AnswerTrainer, checkpoints: Checkpoints, texts: _Texts, spec: Experiment, context: StageContext, team: Team
) -> int:
    """Train; returns the step that it went on from, 0 at the first attempt."""

    def note(text: str) -> None:
        log.warning("%s", text)
        context.report(Progress(text))

    newest = team.told(checkpoints.newest_whole(note) if team.first else None)
    start = 0 if newest is None else step_of(newest)
    rows = f"{len(texts.train)} rows to train on, {len(texts.validation)} to validate"
    going_on = f"; going on after step {start} of an earlier attempt" if start else ""
    log.info("%s%s", rows, going_on)
    context.report(Progress(rows + going_on, fraction=start / trainer.args.max_steps))
    train = spec.train
    mend = (
        "Not even one row fits: lower tokens.max_length, or set train.gradient_checkpointing: true or base.quantization: nf4."
        if train.per_device_batch_size == "auto"
        else f"Set train.per_device_batch_size: auto with train.batch_size: {train.effective_batch_size} (the result stays the "
        "same), lower tokens.max_length, or set train.gradient_checkpointing: true or base.quantization: nf4."
    )
    with memory_errors(f"training with train.per_device_batch_size: {train.per_device_batch_size}", mend):
        trainer.train_from(newest, context.stopping)
    return start


def _encode(rows: TrainingRows, fitter: Fitter, limit: Limit | None) -> _Texts:
    """Rows as tokens, at most `max_length` each; what cannot be brought to that is left out and counted.

    A smoke test validates as few rows as it lets the model answer: measuring more would take longer than its steps.
    """
    texts = _Texts(PackedTexts(), PackedTexts(), fitter, array("Q"), set())
    for part, row in rows:
        if limit and part == VALIDATION and len(texts.validation) >= limit.generated:
            continue
        fitting = fitter.fit(row)
        for text in fitting:
            (texts.train if part == TRAIN else texts.validation).append(text)
        if fitting:
            texts.keys.append(int(row.key, 16))
        if part == TRAIN:
            texts.skills.update(row.skills or ())
    if fitter.rows_left_out:
        log.warning(
            "%d texts are left out: their answer alone fills tokens.max_length (%d)",
            fitter.rows_left_out,
            fitter.max_length,
        )
    return texts


def _require_rows(texts: _Texts, rows: TrainingRows) -> None:
    if texts.train:
        return
    fitter = texts.fitter
    keys = ", ".join(str(artifact.key) for artifact in rows.formatted) or "none"
    if fitter.rows_dropped:
        raise StageError(
            f"no row to train on: {fitter.rows_dropped} rows are longer than tokens.max_length ({fitter.max_length} tokens), "
            "and tokens.overlong is `drop`. Raise it, set it to `auto`, or let tokens.overlong be `cut` or `split`."
        )
    if fitter.rows_left_out:
        raise StageError(
            f"no row to train on: the answers of all {fitter.rows_left_out} rows are longer than tokens.max_length "
            f"({fitter.max_length} tokens), and an answer is never cut. Raise it, or set it to `auto`."
        )
    raise StageError(
        f"no row to train on in the partitions {keys}: every labelled row is held out ({rows.count(VALIDATION)} for "
        "validation, the rest for the test or as copies of these), or no row has labels "
        f"({rows.labelled} of {rows.rows} have). Give it more rows, set data.split.validation lower, or check data.labels."
    )


def _require_learned(model: Any, steps: int, start: Path) -> int:
    """The number of matrices that did not move; only a single step may leave some."""
    broken = [name for name, weight in update_matrices(model).items() if not torch.isfinite(weight).all()]
    if broken:
        raise Diverged(
            f"{len(broken)} matrices of the adapter hold values that are no numbers (the first: {broken[0]}): the last "
            "step diverged. Lower train.learning_rate, or add train.warmup_steps."
        )
    dead = untrained(model, start)
    if dead and steps >= 2:
        raise StageError(
            f"{len(dead)} of {len(update_matrices(model))} adapted modules learned nothing in {steps} steps: their update "
            f"is still zero (the first: {dead[0]}). Take them out of lora.target_modules: no gradient reaches them."
        )
    return len(dead)


def _write(out: Path, loaded: LoadedBase, spec: Experiment, skills: set[str]) -> None:
    _portable(out / "adapter" / ADAPTER_CONFIG, spec.base.model, loaded.revision)
    loaded.tokenizer.save_pretrained(out / "tokenizer")
    base = {
        "model": spec.base.model,
        "revision": loaded.revision,
        "quantization": spec.base.quantization,
        "device": spec.resources.device,
        "dtype": loaded.dtype,
        "weights_sha256": loaded.weights_sha256,
    }
    _write_json(out / "base.json", base)
    _write_json(out / "prompt.json", {"template": spec.prompt.template})
    _write_json(out / "lexicon.json", sorted(skills))
    for path in out.rglob("*.safetensors"):
        path.chmod(0o644)  # safetensors writes for the owner alone, and others serve it


def _portable(path: Path, model: str, revision: str | None) -> None:
    """Name the base as the spec does, not by this machine's folder; and sort what peft keeps in a set."""
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"base_model_name_or_path": model, "revision": revision}
    config["target_modules"] = sorted(config["target_modules"])
    _write_json(path, config)


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
