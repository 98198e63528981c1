"""How a model answers the rows of an evaluation: the adapter by its own prompt, the untuned base after worked
examples."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from skillsengine.modeling.answers import render_answer
from skillsengine.modeling.backend import TransformersBackend
from skillsengine.modeling.base import LoadedBase
from skillsengine.modeling.encoding import encode, encode_prompt
from skillsengine.modeling.generate import Batch
from skillsengine.modeling.held import recorded, untuned
from skillsengine.modeling.teacher_forced import forward_token_predictions
from skillsengine.scoring.few_shot import preamble, stop_texts
from skillsengine.scoring.predictions import Answers
from skillsengine.scoring.token_metrics import token_scores
from skillsengine.spec.schema import Experiment
from skillsengine.stages.asking import Asked, Asker
from skillsengine.stages.contract import Limit, Progress, StageConfig, StageContext, Summary
from skillsengine.stages.rows import Row
from skillsengine.stages.trained_lengths import trained_lengths
from skillsengine.stages.translate import memory_errors, model_errors
from skillsengine.storage.artifact import Artifact

ADAPTER, BASE, PROMPT = "adapter", "base.json", "prompt.json"


@dataclass(frozen=True)
class _Subject:
    """A model and how it is asked."""

    loaded: LoadedBase
    asker: Asker
    shots: int | None = None
    """Worked examples before each ad, of an untuned base."""


def answer_with_model(
    rows: Sequence[Row], config: StageConfig, inputs: Mapping[str, Artifact], context: StageContext
) -> Answers:
    """Generate and read an answer for every row, and predict the gold answers' tokens where there are labels.

    The rows' own prompts are not used: an adapter is asked by the template it was trained with, whatever the
    partition was formatted for. `inputs["profile"]`, where it is there, is the adapter's: it tells how long its training texts
    were. Raises StageError for a base or an adapter that cannot be used, and for a context without room for an ad.
    """
    context.report(Progress(f"loading the {config.key}", fraction=0.0))
    size = config.spec.evaluate.batch_size
    what = f"answering with evaluate.batch_size: {size}"
    with model_errors(), memory_errors(what, "Lower it (the answers stay the same), or evaluate.max_new_tokens."):
        subject = _load(config, inputs, context)
        asked = _shortened(rows, subject, config.limit)
        told, measured = _generate(asked, subject, context)
        context.report(Progress("token metrics", fraction=1.0))
        return Answers(told.answers, measured | _token_metrics(asked, subject, size))


def _load(config: StageConfig, inputs: Mapping[str, Artifact], context: StageContext) -> _Subject:
    spec, device = config.spec, config.spec.resources.device
    settings, room = spec.evaluate, spec.evaluate.max_new_tokens
    longest = min(room, config.limit.answer) if config.limit else room
    if config.key == "adapter":
        finetuned = inputs["finetune"]
        loaded = recorded(
            finetuned.json(BASE),
            finetuned.part(ADAPTER),
            device,
            bases=context.bases,
            allowed_roots=context.allowed_roots,
        )
        template = finetuned.json(PROMPT)["template"]
        backend, trained = TransformersBackend(loaded), trained_lengths(inputs.get("profile"))
        return _Subject(loaded, Asker(backend, template, longest, settings.batch_size, **trained))
    template = spec.prompt.template
    loaded = untuned(spec.base, device, bases=context.bases, allowed_roots=context.allowed_roots)
    before, shots = _examples(spec, loaded, longest)
    backend, stop = TransformersBackend(loaded), stop_texts(template)
    return _Subject(loaded, Asker(backend, template, longest, settings.batch_size, before=before, stop=stop), shots)


def _examples(spec: Experiment, loaded: LoadedBase, max_new_tokens: int) -> tuple[str, int]:
    """The worked examples, and how many they are: the first ones that leave half of the context's room to the ad."""
    rendered = [(shot.text, render_answer(shot.skills)) for shot in spec.evaluate.shots]
    for count in range(len(rendered), 0, -1):
        before = preamble(spec.prompt.template, rendered[:count])
        if 2 * len(encode_prompt(before, loaded.tokenizer)) <= loaded.context_length - max_new_tokens:
            return before, count
    return "", 0


def _shortened(rows: Sequence[Row], subject: _Subject, limit: Limit | None) -> Sequence[Row]:
    """In a smoke test, ads of at most `limit.tokens` tokens."""
    if limit is None:
        return rows
    tokenizer = subject.loaded.tokenizer

    def first(text: str) -> str:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        return (
            text if len(ids) <= limit.tokens else str(tokenizer.decode(ids[: limit.tokens], skip_special_tokens=True))
        )

    return [replace(row, text=first(row.text)) for row in rows]


def _generate(rows: Sequence[Row], subject: _Subject, context: StageContext) -> tuple[Asked, Summary]:
    started = time.monotonic()
    tokens = 0

    def on_batch(batch: Batch) -> None:
        nonlocal tokens
        tokens = batch.tokens
        seconds = max(time.monotonic() - started, 1e-9)
        speed = batch.done / seconds
        left = (batch.total - batch.done) / speed
        what = "ads" if batch.total == len(rows) else "parts of ads"
        text = f"{batch.done}/{batch.total} {what} · {speed:.2f} a second · {tokens / seconds:.0f} tokens/s"
        metrics = {"examples_per_second": speed, "tokens_per_second": tokens / seconds}
        context.report(Progress(text, batch.done / batch.total, left, metrics, step=batch.done))

    told = subject.asker.ask([row.text for row in rows], on_batch)
    seconds = max(time.monotonic() - started, 1e-9)
    measured = {
        "ads_split": told.ads_split,
        "parts": told.parts,
        "ads_cut": told.ads_cut,
        "generated_tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
    }
    return told, measured if subject.shots is None else {"shots": subject.shots, **measured}


def _token_metrics(rows: Sequence[Row], subject: _Subject, batch_size: int) -> Summary:
    """Weighted token scores over the labelled rows; nothing without labels.

    The untuned base is asked for an end-of-text token after each answer, which its examples do not show: it loses up to
    one token an ad by that.
    """
    loaded = subject.loaded
    encoded = [
        encode(subject.asker.prompt(row.text), row.answer, loaded.tokenizer, loaded.context_length)
        for row in rows
        if row.answer is not None
    ]
    if not encoded:
        return {}
    gold: list[int] = []
    predicted: list[int] = []
    for row_gold, row_predicted in forward_token_predictions(loaded, encoded, batch_size):
        gold += row_gold
        predicted += row_predicted
    return dict(token_scores(gold, predicted).as_dict())
