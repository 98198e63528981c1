"""profile: how long the training texts are in tokens, and the `max_length` that `finetune` brings them to.

Files: lengths.json (for `train`, `validation` and `all`: count, min, mean, max, tokens, percentiles, histogram; of the rows as
they are), lengths.png (the same as a picture, with the chosen length).
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skillsengine.modeling.base import context_length_of, load_tokenizer
from skillsengine.modeling.encoding import stream_lengths
from skillsengine.spec.schema import Tokens
from skillsengine.stages.contract import Progress, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.lengths import Lengths, as_table, at_percentile, describe, draw
from skillsengine.stages.overlong import Fitter
from skillsengine.stages.splits import TRAIN, VALIDATION, TrainingRows, formatted_inputs, training_rows
from skillsengine.stages.trained_lengths import LENGTHS
from skillsengine.stages.translate import model_errors
from skillsengine.storage.artifact import Artifact

VERSION = 2

PICTURE = "lengths.png"
_SHORTEST = 16
_STEP = 8


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Measure all training and validation rows exactly as `finetune` encodes them; returns

    {"max_length", "longest", "rows", "share_cut", "tokens", "context_length", "train_rows", "validation_rows"} and the
    counts of `Fitter` and of `TrainingRows.summary`. Lengths are in tokens; `rows` are those of training and
    validation before any is split or dropped; `tokens` is the sum over all texts that they become; `share_cut` is
    rows_cut / rows.

    Two passes, and no row is held longer than its batch: first the index decides (at most 200 bytes a row), then lengths are
    measured (4 bytes a row). The rows that are too long are read once more.

    Raises StageError without a labelled training row, with a `tokens.max_length` beyond the base's context, and for a
    base that cannot be used.
    """
    spec = config.spec
    rows = training_rows(formatted_inputs(inputs), spec.data.split, dated=spec.data.dated)
    if not rows.count(TRAIN):
        raise StageError(_nothing_to_train_on(rows))
    with model_errors():
        tokenizer = load_tokenizer(spec.base, bases=context.bases, allowed_roots=context.allowed_roots)
        longest_possible = context_length_of(spec.base, bases=context.bases, allowed_roots=context.allowed_roots)

    lengths = _measure(rows, spec.prompt.template, tokenizer, context)
    cap = config.limit.tokens if config.limit else None
    capped = np.minimum(lengths, cap) if cap else lengths
    max_length = choose_max_length(spec.tokens, capped, longest_possible, spec.base.model)
    max_length = min(max_length, cap) if cap else max_length
    fitter = Fitter(spec.prompt.template, tokenizer, max_length, spec.tokens.overlong)
    tokens = int(lengths[lengths <= max_length].sum(dtype=np.int64))
    tokens += sum(len(text) for _, row in rows.only(lengths > max_length) for text in fitter.fit(row))

    parts = np.concatenate([part[part != 0] for part in rows.parts])
    of = {"train": capped[parts == TRAIN], "validation": capped[parts == VALIDATION], "all": capped}
    described = {name: describe(part, of=capped) for name, part in of.items() if len(part)}
    (out / LENGTHS).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    draw(described, max_length, _longer(fitter, len(lengths)), out / PICTURE)
    context.tracker.image("lengths", out / PICTURE)
    context.tracker.table("token_lengths", *as_table(described, max_length))
    return {
        "max_length": max_length,
        "longest": int(capped.max()),
        "rows": len(lengths),
        "share_cut": round(fitter.rows_cut / len(lengths), 4),
        "tokens": tokens,
        "context_length": longest_possible,
        "train_rows": rows.count(TRAIN),
        "validation_rows": rows.count(VALIDATION),
        **fitter.counts(),
        **rows.summary(),
    }


def choose_max_length(tokens: Tokens, lengths: Lengths, context_length: int, model: str) -> int:
    """Longest training text in tokens: the fixed one, or with `auto` the percentile of `lengths`, rounded up to a
    multiple of 8, at least 16, at most the base's context.

    Raises StageError if a fixed one is beyond the context: positions past it were never trained.
    """
    if tokens.max_length == "auto":
        chosen = -(-at_percentile(lengths, tokens.length_percentile) // _STEP) * _STEP
        return min(max(chosen, _SHORTEST), context_length)
    if tokens.max_length > context_length:
        raise StageError(
            f"tokens.max_length: {tokens.max_length} tokens are more than the base `{model}` was made for "
            f"({context_length}). The longest text here has {lengths.max()}. "
            f"Set it to at most {context_length}, or to `auto`."
        )
    return tokens.max_length


def _measure(rows: TrainingRows, template: str, tokenizer: Any, context: StageContext) -> Lengths:
    """Tokens of prompt, answer and end of text of each row in use, in their order; shape (rows,)."""
    lengths, total = array("i"), len(rows)
    texts = ((row.prompt(template), row.answer or "") for _, row in rows)
    for measured in stream_lengths(texts, tokenizer):
        lengths.extend(measured)
        context.report(Progress(f"{len(lengths)} of {total} rows measured", fraction=len(lengths) / total))
    return np.frombuffer(lengths, np.int32)


def _longer(fitter: Fitter, rows: int) -> str:
    """What became of the rows that are too long, for the picture."""
    if fitter.rows_dropped:
        return f"{fitter.rows_dropped} of {rows} rows dropped"
    if fitter.rows_split:
        cut = f", too long sentences cut: {fitter.rows_cut}" if fitter.rows_cut else ""
        return f"{fitter.rows_split} of {rows} rows split into {fitter.parts}{cut}"
    return f"{fitter.rows_cut or 'none'} of {rows} rows cut"


def _nothing_to_train_on(rows: TrainingRows) -> str:
    keys = ", ".join(str(artifact.key) for artifact in rows.formatted) or "none"
    text = f"no row to train on. Partitions read: {keys}; {rows.rows} rows, {rows.labelled} of them with labels"
    if rows.labelled == 0:
        column = rows.formatted[0].manifest.config.get("data.labels", "skills") if rows.formatted else "skills"
        return f"{text} (column `{column}`). Set data.labels to the column that holds the list of skills."
    return (
        f"{text}, {rows.count(VALIDATION)} held out for validation, the rest for the test or copies of these. "
        "Give it more rows, or set data.split.validation and data.split.test lower."
    )
