"""profile: how long the training texts are in tokens, and the `max_length` that `finetune` cuts them to.

Files: lengths.json (for `train`, `validation` and `all`: count, min, mean, max, tokens, percentiles, histogram),
lengths.png (the same as a picture, with the chosen length).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillsengine.modeling.base import context_length_of, load_tokenizer
from skillsengine.modeling.encoding import encode_lengths
from skillsengine.spec.schema import Tokens
from skillsengine.stages.contract import Progress, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.lengths import at_percentile, describe, draw
from skillsengine.stages.rows import Row, read_rows, training_rows
from skillsengine.stages.translate import model_errors
from skillsengine.storage.artifact import Artifact

VERSION = 1

LENGTHS, PICTURE = "lengths.json", "lengths.png"
_BATCH = 500
_SHORTEST = 16
_STEP = 8


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Measure all training and validation rows exactly as `finetune` encodes them; returns

    {"max_length", "longest", "rows", "rows_cut", "share_cut", "tokens", "context_length", "train_rows",
    "validation_rows"}: lengths in tokens; `tokens` is the sum over all rows once they are cut; `share_cut` is
    rows_cut / rows.

    Raises StageError without a labelled training row, with a `tokens.max_length` beyond the base's context, and for a
    base that cannot be used.
    """
    spec = config.spec
    formatted = [artifact for name, artifact in inputs.items() if name.startswith("format")]
    train, validation = training_rows(formatted, spec.data.split, dated=spec.data.dated)
    if not train:
        raise StageError(_nothing_to_train_on(formatted, len(validation)))
    with model_errors():
        tokenizer = load_tokenizer(spec.base, bases=context.bases, allowed_roots=context.allowed_roots)
        longest_possible = context_length_of(spec.base, bases=context.bases, allowed_roots=context.allowed_roots)

    lengths = _measure([*train, *validation], tokenizer, context)
    cap = config.limit.tokens if config.limit else None
    capped = [min(length, cap) for length in lengths] if cap else lengths
    max_length = choose_max_length(spec.tokens, capped, longest_possible, spec.base.model)
    max_length = min(max_length, cap) if cap else max_length
    rows_cut = sum(length > max_length for length in lengths)

    parts = {"train": capped[: len(train)], "validation": capped[len(train) :], "all": capped}
    described = {name: describe(part, of=capped) for name, part in parts.items() if part}
    (out / LENGTHS).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    draw(described, max_length, rows_cut, out / PICTURE)
    context.tracker.image("lengths", out / PICTURE)
    return {
        "max_length": max_length,
        "longest": max(capped),
        "rows": len(lengths),
        "rows_cut": rows_cut,
        "share_cut": round(rows_cut / len(lengths), 4),
        "tokens": sum(min(length, max_length) for length in lengths),
        "context_length": longest_possible,
        "train_rows": len(train),
        "validation_rows": len(validation),
    }


def choose_max_length(tokens: Tokens, lengths: Sequence[int], context_length: int, model: str) -> int:
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
            f"({context_length}). The longest text here has {max(lengths)}. "
            f"Set it to at most {context_length}, or to `auto`."
        )
    return tokens.max_length


def _measure(rows: Sequence[Row], tokenizer: Any, context: StageContext) -> list[int]:
    lengths: list[int] = []
    for start in range(0, len(rows), _BATCH):
        lengths += encode_lengths(rows[start : start + _BATCH], tokenizer)
        context.report(Progress(f"{len(lengths)} of {len(rows)} rows measured", fraction=len(lengths) / len(rows)))
    return lengths


def _nothing_to_train_on(formatted: Sequence[Artifact], validation_rows: int) -> str:
    rows = [row for artifact in formatted for row in read_rows(artifact)]
    labelled = sum(row.answer is not None for row in rows)
    keys = ", ".join(str(artifact.key) for artifact in formatted) or "none"
    text = f"no row to train on. Partitions read: {keys}; {len(rows)} rows, {labelled} of them with labels"
    if labelled == 0:
        column = formatted[0].manifest.config.get("data.labels", "skills") if formatted else "skills"
        return f"{text} (column `{column}`). Set data.labels to the column that holds the list of skills."
    return (
        f"{text}, {validation_rows} held out for validation, the rest for the test or copies of these. "
        "Give it more rows, or set data.split.validation and data.split.test lower."
    )
