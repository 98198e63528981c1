"""The ads that drift compares: those that an adapter was trained on, and those of a partition it was scored on.

Of more than `SAMPLE` a sample is taken, by a hash of their texts: of the same ads always the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from skillsengine.scoring.drift import Ads, Reference, Skills
from skillsengine.scoring.matching import skill_set
from skillsengine.spec.schema import Split
from skillsengine.stages.contract import StageError
from skillsengine.stages.evaluate import PREDICTIONS
from skillsengine.stages.rows import Row, read_rows
from skillsengine.stages.splits import row_index, scored_rows
from skillsengine.stages.trained_on import read_keys
from skillsengine.stages.unseen import sample
from skillsengine.storage.artifact import Artifact

SAMPLE = 2_000
_SEED = 0
_BATCH = 250
"""Ads that are tokenized at once."""


def tokenizer_of(finetuned: Artifact) -> Any:
    """The tokenizer that an adapter was trained with. Raises StageError where it cannot be read."""
    # Only here: it takes seconds, and a cell that has its drift needs none.
    from transformers import AutoTokenizer

    folder = finetuned.part("tokenizer")
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StageError(
            f"the tokenizer in {folder} cannot be read ({error}), so tokens per word cannot be counted. Look at the artifact "
            "with `skillsengine doctor`, or train again with --force."
        ) from error


def training_ads(finetuned: Artifact, formatted: Sequence[Artifact], tokenizer: Any) -> Reference:
    """What `finetuned` was trained on, validation included; `formatted` are the `format` artifacts it was made of. Their rows
    are read once, one at a time, and of each ad in the sample three numbers and its skills are kept."""
    keys = read_keys(finetuned)
    sampled = {f"{key:016x}" for key in keys[sample(keys, SAMPLE, _SEED)].tolist()}
    labels: Counter[str] = Counter()
    texts, skills = [], []
    for row in _trained(formatted, {f"{key:016x}" for key in keys.tolist()}):
        said = skill_set(row.skills or ())
        labels.update(said)
        if row.key in sampled:
            texts.append(row.text)
            skills.append(said)
    return Reference(_ads(texts, skills, tokenizer), labels)


def partition_ads(
    formatted: Artifact, cell: Artifact, split: Split, tokenizer: Any, *, dated: bool
) -> tuple[Ads, str | None]:
    """(the ads of a partition, each text once; whose skills theirs are).

    The skills are `gold` of the labelled ads; where none has labels, `predictions` that stand in `cell`. Reposts of what was
    trained on are among the ads, as they are among the month's. Of a source that is not dated they are its test rows.
    """
    index = row_index(formatted)
    tested = np.flatnonzero(scored_rows(formatted, split, dated=dated))
    _, first = np.unique(np.ascontiguousarray(index["key"])[tested], return_index=True)
    places = np.sort(tested[first])
    chosen = places[sample(np.ascontiguousarray(index["key"])[places], SAMPLE, _SEED)]
    wanted = np.zeros(len(index), np.uint8)
    wanted[chosen] = 1
    rows = list(read_rows(formatted, wanted.tobytes()))
    gold = [skill_set(row.skills) for row in rows if row.skills is not None]
    skills = gold or _predicted(cell)
    said_by = "gold" if gold else "predictions" if skills else None
    return _ads([row.text for row in rows], skills, tokenizer), said_by


def _trained(formatted: Sequence[Artifact], keys: set[str]) -> Iterator[Row]:
    """The labelled rows of these texts, each text once."""
    left = set(keys)
    for artifact in formatted:
        index = row_index(artifact)
        for row in read_rows(artifact, index["labelled"].astype(np.uint8).tobytes()):
            if row.key in left:
                left.remove(row.key)
                yield row


def _predicted(cell: Artifact) -> Skills:
    with cell.file(PREDICTIONS).open(encoding="utf-8") as lines:
        return [skill_set(json.loads(line)["predicted"]) for line in lines]


def _ads(texts: Sequence[str], skills: Skills, tokenizer: Any) -> Ads:
    words = np.array([max(1, len(text.split())) for text in texts], np.float64)
    tokens: list[int] = []
    for start in range(0, len(texts), _BATCH):
        batch = list(texts[start : start + _BATCH])
        found = tokenizer(batch, add_special_tokens=False, return_attention_mask=False).input_ids
        tokens.extend(map(len, found))
    return Ads(words, np.array(tokens, np.float64) / words, skills)
