"""References inside a spec, and nothing beyond it."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from skillsengine.spec.interpolate import MAX_DEPTH
from tests.spec.support import GOOD, Folder


def test_a_value_keeps_its_type_and_a_text_takes_it_in(specs: Folder) -> None:
    text = "train: {seed: 7}\nevaluate: {seed: '${train.seed}'}\ndescription: ${name} seed ${ train.seed } {{ ds }}\n"
    experiment = specs.load(GOOD + text).experiment
    assert experiment.evaluate.seed == 7
    assert experiment.description == "job seed 7 {{ ds }}"


def test_defaults_bases_and_overrides_can_be_referred_to(specs: Folder) -> None:
    specs.write("register: {model: '${name}-family'}\n", "_base/a.yaml")
    loaded = specs.load(
        "extends: _base/a.yaml\n" + GOOD + "description: r=${lora.r} e=${train.epochs}\n", "train.epochs=5"
    )
    assert loaded.experiment.description == "r=32 e=5"
    assert loaded.experiment.register.model == "job-family"


def test_lists_items_and_sections(specs: Folder) -> None:
    text = "tags: [a, b]\nowner: ${tags.1}\nevaluations: {versions: '${tags}'}\n"
    text += "resources: {stages: {profile: {queue: q}, format: '${resources.stages.profile}'}}\n"
    experiment = specs.load(GOOD + text).experiment
    assert experiment.owner == "b"
    assert experiment.evaluations.versions == ("a", "b")
    assert experiment.resources.stages["format"].queue == "q"


def test_an_escaped_reference_is_text(specs: Folder) -> None:
    assert specs.load(GOOD + "description: 'a \\${train.seed} b'\n").experiment.description == "a ${train.seed} b"


def test_question_marks_are_text(specs: Folder) -> None:
    experiment = specs.load(GOOD + "description: '???'\nowner: ${name}\n").experiment
    assert (experiment.description, experiment.owner) == ("???", "job")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${oc.env:HOME}", "`${oc.env:HOME}` is refused: a spec reads no environment and calls no functions"),
        ("${oc.decode:'1'}", "is refused"),
        ("${now:}", "is refused"),
        ("${train.${name}}", "`${train.${name}` is not a reference"),
        ("${.seed}", "`${.seed}` is not a reference"),
        ("${}", "`${}` is not a reference"),
        ("${name", "`${` without its `}`"),
        ("${tags.7}", "`${tags.7}` refers to nothing in this spec"),
        ("${name.x}", "`${name.x}` refers to nothing in this spec"),
        ("${lora.rr}", "did you mean `${lora.r}`?"),
        ("x ${base.revision}", "`${base.revision}` inside a longer text must be a text or a number"),
        ("x ${lora}", "`${lora}` inside a longer text must be a text or a number"),
        ("${description}", "refers to itself: description -> description"),
    ],
)
def test_what_is_refused(text: str, message: str, specs: Folder) -> None:
    assert message in specs.error(GOOD + f'description: "{text}"\n')


def test_a_section_cannot_hold_itself(specs: Folder) -> None:
    assert "refers to itself: train.seed -> train -> train.seed" in specs.error(GOOD + "train: {seed: '${train}'}\n")


def test_only_the_value_at_fault_is_told(specs: Folder) -> None:
    text = specs.error(
        GOOD + "owner: ${description}\ndescription: ${prompt.template}\nprompt: {template: '${nothing}'}\n"
    )
    assert text.count("refers to nothing") == 1
    assert text.startswith("experiments/job.yaml:5:20: prompt.template: `${nothing}` refers to nothing")
    assert "\n\n" not in text


def test_a_wrong_value_is_told_where_the_reference_stands(specs: Folder) -> None:
    text = specs.error(GOOD + "train:\n  seed: ${name}\n")
    assert text.startswith(
        "experiments/job.yaml:4:9: train.seed: expected an int >= 0 and < 4294967296, found the text `job`"
    )


def test_a_doubling_bomb_fails_fast(specs: Folder) -> None:
    letters = "abcdefghijklmnop"
    rows = [f"{x}: ${{{y}}}${{{y}}}" for x, y in pairwise(letters)]
    bomb = "\n".join([*rows, "p: lol"])
    assert len(bomb) <= 238
    for text in (bomb, bomb.replace("lol", "''")):
        start = time.process_time()
        assert "refers to more than a spec may expand to" in specs.error(GOOD + text)
        assert time.process_time() - start < 2


def test_lists_and_sections_cannot_double_either(specs: Folder) -> None:
    rows = ["a0: [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: [" + ", ".join([f"'${{a{i - 1}}}'"] * 10) + "]" for i in range(1, 9)]
    start = time.process_time()
    assert "refers to more than a spec may expand to" in specs.error(GOOD + "\n".join(rows))
    assert time.process_time() - start < 2


def test_a_long_text_cannot_be_repeated_without_end(specs: Folder) -> None:
    text = f"description: '{'${prompt.template}' * 500}'\nprompt: {{template: '{'x' * 1000}'}}\n"
    assert "refers to more than a spec may expand to" in specs.error(GOOD + text)


@pytest.mark.parametrize("order", [1, -1])
def test_chains_are_bounded(order: int, specs: Folder) -> None:
    rows = [f"k{i}: ${{k{i + 1}}}" for i in range(2000)] + ["k2000: 1"]
    assert f"refers onward more than {MAX_DEPTH} times" in specs.error(GOOD + "\n".join(rows[::order]))
