"""Batches: padding changes nothing, rows are grouped by length, and the order is the epoch's own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from skillsengine.modeling.batches import LengthGroups, answer_logits, collate
from skillsengine.modeling.encoding import Encoded
from tests.tiny import make_tiny_base


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoModelForCausalLM.from_pretrained(make_tiny_base(tmp_path_factory.mktemp("base"), tied=False)).eval()


def _row(length: int, answer: int, seed: int) -> Encoded:
    ids = torch.randint(3, 320, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return Encoded(ids, [-100] * (length - answer) + ids[length - answer :], False)


def test_logits_of_the_answers_are_those_of_one_by_one(model: Any) -> None:
    rows = [_row(9, 3, 1), _row(23, 7, 2), _row(14, 1, 3)]
    batch = collate(rows, pad_id=2)
    assert batch["input_ids"].shape == batch["labels"].shape == (3, 23)
    assert int(batch["tokens"]) == 46
    logits, gold = answer_logits(model, batch["input_ids"], batch["labels"])
    assert logits.shape == (11, 320)
    alone = []
    for row in rows:
        every = model(torch.tensor([row.input_ids])).logits[0, :-1]
        alone.append(every[[label != -100 for label in row.labels[1:]]])
    assert torch.allclose(logits, torch.cat(alone), atol=1e-5)
    assert gold.tolist() == [label for row in rows for label in row.labels if label != -100]
    # The loss of transformers itself, on the longest row alone.
    ids, labels = torch.tensor([rows[1].input_ids]), torch.tensor([rows[1].labels])
    assert torch.allclose(cross_entropy(logits[3:10], gold[3:10]), model(ids, labels=labels).loss, atol=1e-6)


def test_the_pad_token_does_not_matter(model: Any) -> None:
    rows = [_row(9, 3, 1), _row(23, 7, 2)]
    logits = []
    for pad in (2, 1):
        batch = collate(rows, pad)
        logits.append(answer_logits(model, batch["input_ids"], batch["labels"])[0])
    assert torch.equal(*logits)


@pytest.mark.parametrize("count", [1, 7, 8, 100, 333])
def test_every_row_once_in_each_epoch(count: int) -> None:
    groups = LengthGroups(list(range(count)), batch_size=8, seed=3)
    first = list(groups)
    groups.set_epoch(1)
    assert sorted(first) == sorted(groups) == list(range(count))
    assert count <= 8 or list(groups) != first


def test_order_is_that_of_seed_and_epoch_alone() -> None:
    lengths = [(i * 37) % 101 for i in range(200)]
    orders = []
    for noise in (0, 5):
        torch.rand(noise)
        groups = LengthGroups(lengths, 16, seed=1)
        groups.set_epoch(4)
        orders.append(list(groups))
    assert orders[0] == orders[1]
    assert list(LengthGroups(lengths, 16, seed=2)) != list(LengthGroups(lengths, 16, seed=1))


def test_batches_hold_texts_of_similar_length() -> None:
    lengths = torch.randint(20, 400, (640,), generator=torch.Generator().manual_seed(0)).tolist()
    groups = list(LengthGroups(lengths, 8, seed=0))
    batches = [groups[i : i + 8] for i in range(0, len(groups), 8)]
    padded = sum(8 * max(lengths[row] for row in batch) for batch in batches)
    assert sum(lengths) / padded > 0.85  # in a random order it is 0.6
    # Yet not one long sweep from short to long: the model would end on the longest texts.
    longest = [max(lengths[row] for row in batch) for batch in batches]
    assert 0.3 < sum(a < b for a, b in pairwise(longest)) / len(longest) < 0.7
