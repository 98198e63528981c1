"""What differs in meaning between two specs, and how a change reads on one line."""

from __future__ import annotations

from typing import Any

import pytest

from skillsengine.spec.compare import Change, compare
from skillsengine.spec.load import resolved
from tests.spec.support import GOOD, Folder


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"train": {"epochs": 1.0}}, {"train": {"epochs": 3.0}}, ["train.epochs: 1.0 -> 3.0"]),
        ({"a": 3}, {"a": 3.0}, []),
        ({"a": None, "b": 1}, {"b": 2, "a": None}, ["b: 1 -> 2"]),
        ({"revision": None}, {"revision": "main"}, ["revision: null -> main"]),
        ({"revision": None}, {"revision": "null"}, ['revision: null -> "null"']),
        ({"private": True}, {"private": False}, ["private: true -> false"]),
        ({"tags": ["a", "b"]}, {"tags": ["b", "c", "c"]}, ["tags: +c +c -a"]),
        ({"tags": ["a"]}, {"tags": ["a", "a"]}, ["tags: +a"]),
        ({"cleaning": ["a", "b"]}, {"cleaning": ["b", "a"]}, ["cleaning: the same in another order: [b, a]"]),
        ({"max_length": "auto"}, {"max_length": 512}, ["max_length: auto -> 512"]),
        (
            {"stages": {}},
            {"stages": {"finetune": {"queue": "big", "pool": None}}},
            ["stages.finetune.queue: null -> big"],
        ),
        ({"stages": {"format": {"retries": 0}}}, {"stages": {}}, ["stages.format.retries: 0 -> null"]),
        ({"shots": [{"text": "x", "n": 1}]}, {"shots": [{"text": "y", "n": 1}]}, ["shots[0].text: x -> y"]),
        ({"shots": [{"text": "x"}]}, {"shots": [{"text": "y"}, {"text": "x"}]}, ["shots: +{text: y}"]),
        ({"shots": [{"text": "x"}]}, {"shots": []}, ["shots: -{text: x}"]),
        ({"template": "a\n{text}"}, {"template": "b {text}"}, ['template: "a\\n{text}" -> b {text}']),
        ({"text": "x" * 99 + "1"}, {"text": "x" * 99 + "2"}, [f"text: {'x' * 59}… -> changed further on"]),
        ({"owner": "a"}, {"owner": "\x1b[31mred"}, ['owner: a -> "\\u001b[31mred"']),
    ],
)
def test_changes_on_one_line(before: dict[str, Any], after: dict[str, Any], expected: list[str]) -> None:
    assert [str(change) for change in compare(before, after)] == expected


def test_a_change_holds_its_path_and_both_values() -> None:
    (change,) = compare({"evaluate": {"shots": [{"text": "x"}]}}, {"evaluate": {"shots": [{"text": "y"}]}})
    assert change == Change(("evaluate", "shots", 0, "text"), "x", "y")
    assert change.path == "evaluate.shots[0].text"
    assert (change.removed, change.added) == ((), ())


def test_comments_order_and_defaults_written_out_are_no_change(specs: Folder) -> None:
    plain = specs.load(GOOD)
    written = specs.load(
        "# a comment\nresources: {retries: 2}\ndata:\n  wait: 72h\n  source: 'data/ads.jsonl'\nname: job\n"
        "train: {learning_rate: 0.0002, epochs: 3}\nlora: {r: '${lora.alpha}', alpha: 32}\n"
    )
    changes = compare(resolved(plain.experiment), resolved(written.experiment))
    assert [str(change) for change in changes] == ["lora.alpha: 64 -> 32"]
