"""`--set a.b=c`."""

from __future__ import annotations

import pytest

from skillsengine.spec.load import resolved
from tests.spec.support import GOOD, Folder


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=1", "train.epochs", 1),
        ("train.learning_rate=2e-4", "train.learning_rate", 2e-4),
        (" train.epochs = 1 ", "train.epochs", 1),
        ("paused=true", "paused", True),
        ("owner=no", "owner", "no"),
        ("tracking.entity='123'", "tracking.entity", "123"),
        ('owner="a \\u00e9"', "owner", "a é"),
        ("base.revision=null", "base.revision", None),
        ("base.revision=", "base.revision", None),
        ("lora.target_modules=[q_proj, lm_head]", "lora.target_modules", ["q_proj", "lm_head"]),
        ("tags=[]", "tags", []),
        ("schedule=*/5 * * * *", "schedule", "*/5 * * * *"),
        ("data.source={partition}.jsonl", "data.source", "{partition}.jsonl"),
        ("description=a: b # c = d", "description", "a: b # c = d"),
        ("description=${name}!", "description", "job!"),
        ("resources.stages.finetune.queue=big", "resources.stages.finetune.queue", "big"),
    ],
)
def test_values(override: str, path: str, value: object, specs: Folder) -> None:
    data: object = resolved(specs.load(GOOD + "start_date: 2026-01-01\n", override).experiment)
    for part in path.split("."):
        assert isinstance(data, dict)
        data = data[part]
    assert data == value


def test_the_last_one_wins(specs: Folder) -> None:
    assert specs.load(GOOD, "lora.r=1", "lora.r=2").experiment.lora.r == 2


def test_an_override_mends_what_the_file_has_wrong(specs: Folder) -> None:
    assert specs.load(GOOD + "lora: {r: x}\ntrain:\n", "lora.r=2", "train.epochs=1").experiment.lora.r == 2


@pytest.mark.parametrize(
    ("overrides", "trusted"),
    [((), False), (("lora.r=1",), False), (("data.source=/tmp/ads",), True), (("base.model=/tmp/m",), True)],
)
def test_a_path_of_the_command_line_is_trusted(overrides: tuple[str, ...], trusted: bool, specs: Folder) -> None:
    assert specs.load(GOOD, *overrides).trusted is trusted


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("lora.rr=3", "--set lora.rr=3: lora.rr: unknown key\n   did you mean `r`? (int >= 1 and <= 1024, default 32)"),
        (
            "lora=3",
            "--set lora=3: lora: expected a section with the keys r, alpha, dropout, target_modules, use_rslora, use_dora, "
            "init_weights, found 3",
        ),
        ("name=other", "--set name=other: name: `other` is not the file's name `job`"),
        (
            "resources.stages.finetun.queue=a",
            "--set resources.stages.finetun.queue=a: resources.stages.finetun: unknown key",
        ),
        ("lora.r", "--set lora.r: not of the form a.b=value"),
        ("lora..r=1", "--set lora..r=1: not of the form a.b=value"),
        ("a b=1", "--set a b=1: not of the form a.b=value"),
        (".".join("a" * 60) + "=1", "not of the form a.b=value"),
        ("extends=x.yaml", "--set extends=x.yaml: extends: cannot be overridden"),
        ("owner='x", "--set owner='x: owner: not valid YAML: the quote opened here is never closed"),
        ("tags=[!x a]", "--set tags=[!x a]: tags: tags are not part of a spec"),
        ("owner=\udcff", "half a character"),
        ("tags=[caf\udce9]", "tags: holds half a character (a lone surrogate)\n   write the character itself"),
        ("owner='caf\udce9'", "owner: holds half a character"),
        ("x=" + "y" * 30_000, "longer than 20,000 characters"),
        ("start_date=tomorrow", "--set start_date=tomorrow: start_date: expected a date such as 2026-01-31 or null"),
    ],
)
def test_what_cannot_be_set(override: str, text: str, specs: Folder) -> None:
    error = specs.error(GOOD, override)
    assert text in error
    assert len(error) < 2000


def test_overrides_are_checked_even_if_the_file_is_no_yaml(specs: Folder) -> None:
    text = specs.error("name: 'job\n", "epochs")
    assert "experiments/job.yaml:1:7: not valid YAML" in text
    assert "--set epochs: not of the form a.b=value" in text
