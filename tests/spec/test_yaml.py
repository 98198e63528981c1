"""How the text of a spec is read: YAML 1.2 scalars, positions, anchors within bounds."""

from __future__ import annotations

import time
from datetime import date

import pytest

from skillsengine.spec.errors import Problem
from skillsengine.spec.scalars import resolve
from skillsengine.spec.source import Node, Source, find, plain
from skillsengine.spec.text import split_lines
from skillsengine.spec.yaml_text import MAX_DEPTH, MAX_VALUES, parse
from tests.spec.support import GOOD, Folder


def read(text: str) -> Node:
    problems: list[Problem] = []
    node = parse(Source("spec", split_lines(text)), text, problems)
    assert problems == []
    assert node is not None
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("1.5", 1.5),
        (".5", 0.5),
        ("3.", 3.0),
        ("010", 10),
        ("-7", -7),
        ("+7", 7),
        ("0o17", 15),
        ("0xff", 255),
        ("9" * 41, float("9" * 41)),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        *[(text, text) for text in ("yes", "no", "on", "off", "y", "12:30:00", "1_000", "2026-01-01")],
        *[(text, text) for text in ("1e", "0b11", "none", "tRue", "1.2.3", "-", "0x", "nan")],
    ],
)
def test_scalars(text: str, value: object) -> None:
    result = resolve(text)
    assert result == value
    assert type(result) is type(value)


def test_what_looks_like_something_else_stays_text_in_quotes() -> None:
    assert plain(read("a: '2e-4'\nb: \"true\"\nc: |\n  12\nd: null\n")) == {
        "a": "2e-4",
        "b": "true",
        "c": "12\n",
        "d": None,
    }


def test_braces_stay_as_they_are(specs: Folder) -> None:
    template = "{{ ds }} {text} {partition} ${{x}} $x"
    loaded = specs.load(GOOD + f"description: '{{{{ ds }}}} {{partition}}'\nprompt: {{template: '{template[:15]}'}}\n")
    assert loaded.experiment.description == "{{ ds }} {partition}"
    assert loaded.experiment.prompt.template == "{{ ds }} {text}"


def test_dates_become_dates_by_the_schema(specs: Folder) -> None:
    loaded = specs.load(GOOD + "start_date: 2026-01-01\ndescription: 2026-01-01\n")
    assert loaded.experiment.start_date == date(2026, 1, 1)
    assert loaded.experiment.description == "2026-01-01"


def test_a_byte_order_mark_and_windows_line_breaks_are_read(specs: Folder) -> None:
    loaded = specs.load(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert loaded.experiment.name == "job"
    assert loaded.text.startswith("name: job\r\n")


def test_every_value_knows_its_place() -> None:
    root = read("# spec\na:\n  b: 'x y'\n  c: [1, {d: 2}]\ne:\nf: |\n  g\n")
    places = {}
    for path in [("a",), ("a", "b"), ("a", "c"), ("a", "c", 0), ("a", "c", 1, "d"), ("e",), ("f",)]:
        node = find(root, path)
        assert node is not None
        places[path] = (node.at.line, node.at.column, node.at.length)
    assert places == {
        ("a",): (1, 0, 1),  # a block stands at its key
        ("a", "b"): (2, 5, 5),
        ("a", "c"): (3, 5, 11),
        ("a", "c", 0): (3, 6, 1),
        ("a", "c", 1, "d"): (3, 13, 1),
        ("e",): (4, 0, 1),  # and so does an empty value
        ("f",): (5, 3, 1),
    }


def test_an_alias_repeats_a_value(specs: Folder) -> None:
    loaded = specs.load(GOOD + "owner: &team ml\ntags: [*team, nightly]\n")
    assert loaded.experiment.tags == ("ml", "nightly")


def test_aliases_cannot_blow_up(specs: Folder) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    start = time.process_time()
    assert f"too large: a spec holds at most {MAX_VALUES:,} values" in specs.error(GOOD + "\n".join(rows))
    assert time.process_time() - start < 1


def test_an_alias_of_what_it_stands_in(specs: Folder) -> None:
    assert "the alias `*a` stands inside the value it names" in specs.error(GOOD + "tags: &a [*a]\n")


@pytest.mark.parametrize(
    ("opening", "message"),
    [
        *[(opening, f"nested too deeply (more than {MAX_DEPTH} levels)") for opening in ("[", "- ", "{a: ", "[{a: ")],
        *[(opening, "a key must be a plain text") for opening in ("{", "? ")],
    ],
)
def test_depth_is_bounded(opening: str, message: str, specs: Folder) -> None:
    start = time.process_time()
    text = specs.error(GOOD + "tags:\n  " + opening * (900_000 // len(opening)))
    assert message in text
    assert len(text) < 2000
    assert time.process_time() - start < 2


def test_depth_through_aliases_is_bounded(specs: Folder) -> None:
    rows = ["a0: &a0 " + "[" * 20 + "]" * 20]
    rows += [f"a{i}: &a{i} " + "[" * 20 + f"*a{i - 1}" + "]" * 20 for i in range(1, 100)]
    assert "nested too deeply" in specs.error(GOOD + "\n".join(rows))


def test_a_key_must_be_text(specs: Folder) -> None:
    assert "3:3: a key must be a plain text" in specs.error(GOOD + "? [a]\n: b\n")
    assert "3:1: an alias cannot be a key" in specs.error("owner: &o x\nname: job\n*o : y\n")
