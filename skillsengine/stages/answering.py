"""How a model answers the rows of an evaluation: the adapter by its own prompt, the untuned base after worked
examples."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from skillsengine.modeling.answers import parse_answer, render_answer
from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.encoding import encode
from skillsengine.modeling.generate import Batch, generate
from skillsengine.modeling.held import recorded
from skillsengine.modeling.teacher_forced import forward_token_predictions
from skillsengine.scoring.few_shot import fill, preamble, stop_texts
from skillsengine.scoring.predictions import Answer, Answers
from skillsengine.scoring.token_metrics import token_scores
from skillsengine.stages.contract import Limit, Progress, StageConfig, StageContext, Summary
from skillsengine.stages.rows import Row
from skillsengine.stages.translate import memory_errors, model_errors
from skillsengine.storage.artifact import Artifact

ADAPTER, BASE, PROMPT = "adapter", "base.json", "prompt.json"


@dataclass(frozen=True)
class _Subject:
    """A model and how it is asked."""

    loaded: LoadedBase
    template: str
    before: str = ""
    """Worked examples."""
    stop: tuple[str, ...] = ()

    def prompt(self, row: Row) -> str:
        return self.before + fill(self.template, row.text)


def answer_with_model(
    rows: Sequence[Row], config: StageConfig, inputs: Mapping[str, Artifact], context: StageContext
) -> Answers:
    """Generate and read an answer for every row, and predict the gold answers' tokens where there are labels.

    The rows' own prompts are not used: an adapter is asked by the template it was trained with, whatever the
    partition was formatted for. Raises StageError for a base or an adapter that cannot be used.
    """
    context.report(Progress(f"loading the {config.key}", fraction=0.0))
    size = config.spec.evaluate.batch_size
    what = f"answering with evaluate.batch_size: {size}"
    with model_errors(), memory_errors(what, "Lower it (the answers stay the same), or evaluate.max_new_tokens."):
        subject = _load(config, inputs, context)
        asked = _shortened(rows, subject, config.limit)
        answers, measured = _generate(asked, subject, config, context)
        context.report(Progress("token metrics", fraction=1.0))
        return Answers(answers, measured | _token_metrics(asked, subject, size))


def _load(config: StageConfig, inputs: Mapping[str, Artifact], context: StageContext) -> _Subject:
    spec, device = config.spec, config.spec.resources.device
    if config.key == "adapter":
        finetuned = inputs["finetune"]
        loaded = recorded(
            finetuned.json(BASE),
            finetuned.path / ADAPTER,
            device,
            bases=context.bases,
            allowed_roots=context.allowed_roots,
        )
        return _Subject(loaded, finetuned.json(PROMPT)["template"])
    template = spec.prompt.template
    examples = preamble(template, [(shot.text, render_answer(shot.skills)) for shot in spec.evaluate.shots])
    loaded = load_base(spec.base, device, bases=context.bases, allowed_roots=context.allowed_roots)
    return _Subject(loaded, template, examples, stop_texts(template))


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


def _generate(
    rows: Sequence[Row], subject: _Subject, config: StageConfig, context: StageContext
) -> tuple[list[Answer], Summary]:
    settings = config.spec.evaluate
    started = time.monotonic()
    tokens = 0

    def on_batch(batch: Batch) -> None:
        nonlocal tokens
        tokens = batch.tokens
        seconds = max(time.monotonic() - started, 1e-9)
        speed = batch.done / seconds
        left = (batch.total - batch.done) / speed
        text = f"{batch.done}/{batch.total} ads · {speed:.2f} ads/s · {tokens / seconds:.0f} tokens/s"
        metrics = {"examples_per_second": speed, "tokens_per_second": tokens / seconds}
        context.report(Progress(text, batch.done / batch.total, left, metrics, step=batch.done))

    room = settings.max_new_tokens
    raw = generate(
        subject.loaded,
        [subject.prompt(row) for row in rows],
        max_new_tokens=min(room, config.limit.answer) if config.limit else room,
        batch_size=settings.batch_size,
        on_batch=on_batch,
        stop=subject.stop,
    )
    seconds = max(time.monotonic() - started, 1e-9)
    answers = [Answer(skills, text, parsed) for text in raw for skills, parsed in [parse_answer(text)]]
    return answers, {"generated_tokens": tokens, "tokens_per_second": round(tokens / seconds, 1)}


def _token_metrics(rows: Sequence[Row], subject: _Subject, batch_size: int) -> Summary:
    """Weighted token scores over the labelled rows; nothing without labels.

    The untuned base is asked for an end-of-text token after each answer, which its examples do not show: it loses up to
    one token an ad by that.
    """
    loaded = subject.loaded
    encoded = [
        encode(subject.prompt(row), row.answer, loaded.tokenizer, loaded.context_length)
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
