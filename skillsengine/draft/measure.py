"""What the base makes of a draft's rows: examples in tokens, and the lengths that decide `max_length`.

Needs the extra `worker`: reach it by name (`pipeline.heavy`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skillsengine.draft.lengths import Lengths, lengths_of
from skillsengine.modeling.base import context_length_of, load_tokenizer
from skillsengine.modeling.encoding import encode_lengths
from skillsengine.pipeline.plan import base_roots
from skillsengine.pipeline.preview import ROWS_SHOWN, PreviewedRow, previewed
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment
from skillsengine.stages.profile import choose_max_length
from skillsengine.stages.rows import Row
from skillsengine.storage.opening import open_store

_BATCH = 500


@dataclass(frozen=True)
class Measured:
    """What is shown of labelled rows."""

    examples: tuple[PreviewedRow, ...]
    """The first three."""
    lengths: Lengths
    """Tokens of prompt, answer and end of text."""
    max_length: int
    """What `profile` chooses for these rows."""
    overlong: int
    """Rows that are longer."""
    context_length: int
    """Tokens that the base was made for."""


def measure(experiment: Experiment, rows: Sequence[Row], settings: Settings) -> Measured:
    """`rows`: labelled, at least one.

    Raises ModelError if the base's tokenizer cannot be had, StageError if `tokens` of the spec does not fit the base.
    """
    bases, roots = open_store(settings).bases, base_roots(experiment, settings, trusted=False)
    tokenizer = load_tokenizer(experiment.base, bases=bases, allowed_roots=roots)
    context = context_length_of(experiment.base, bases=bases, allowed_roots=roots)
    template = experiment.prompt.template
    texts = [(row.prompt(template), row.answer or "") for row in rows]
    lengths: list[int] = []
    for start in range(0, len(texts), _BATCH):
        lengths += encode_lengths(texts[start : start + _BATCH], tokenizer)
    longest = choose_max_length(experiment.tokens, np.array(lengths, np.int32), context, experiment.base.model)
    return Measured(
        tuple(previewed(row, template, tokenizer) for row in rows[:ROWS_SHOWN]),
        lengths_of(lengths, "tokens"),
        longest,
        sum(length > longest for length in lengths),
        context,
    )
