"""What the fuzzer begins with: real and hostile specs, each in all the places of an input, and the words it puts together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from skillsengine.spec import allowed
from skillsengine.spec.allowed import Schema
from tests.fuzz.target import BASE, OVERLAY, SET, SPEC, joined
from tests.spec.damage import SEEDS, VALUES
from tests.spec.support import GOOD, Case, read_table

_LONGEST = 64
"""Bytes of a word that libFuzzer takes."""
_TABLE = Path(__file__).parents[1] / "spec" / "error_table.txt"
_YAML = (
    *("\n", "\n  ", "\r\n", "\u2029", ": ", ", ", "- ", "? ", "# ", "[", "]", "{", "}", "|\n ", ">\n "),
    *("2e-4", "null", "true"),
)
_OURS = (
    *("extends: _base/fuzz.yaml\n", "extends: [", "train.epochs=1\n", "${name}"),
    *("\n%% base\n", "\n%% overlay\n", "\n%% set\n"),
)


def seeds() -> list[bytes]:
    """All inputs to begin with, shortest first."""
    found = {joined({SPEC: body}) for body in SEEDS}
    for body in SEEDS:
        found.add(joined({SPEC: re.sub(rb"(?m)^name: .*", b"name: job", body)}))  # a spec is named as its file
        found.add(joined({SPEC: b"extends: _base/fuzz.yaml\n" + GOOD.encode(), BASE: body}))
        found.add(joined({SPEC: GOOD.encode(), OVERLAY: body}))
    for case in read_table(_TABLE):
        found.add(_of(case))
    for form in ("owner={}", "tags=[{}]", "description='{}'"):
        found.update(joined({SPEC: GOOD.encode(), SET: form.format(value).encode()}) for value in VALUES)
    found.add(joined({SPEC: GOOD.encode(), SET: b"tags=[caf\xe9]\nowner=caf\xe9"}))
    return sorted(found, key=lambda data: (len(data), data))


def _of(case: Case) -> bytes:
    """A case of the error table; the first other file stands in for all that are extended or laid over it."""
    own, *others = sorted(case.files, key=lambda name: name != "job.yaml")
    text = case.files[own]
    parts = {SET: "\n".join(case.overrides).encode()} if case.overrides else {}
    if others:
        text = text.replace(others[0], "_base/fuzz.yaml")
        parts[OVERLAY if others[0].startswith("_env/") else BASE] = case.files[others[0]].encode()
    return joined({SPEC: text.encode(), **parts})


def dictionary() -> str:
    """Words of YAML, of the schema and of odd values, in libFuzzer's form."""
    words = {*_YAML, *_OURS, *filter(None, VALUES), *_words(allowed.root_schema())}
    words = {word for word in words if len(word.encode()) <= _LONGEST}
    coded = ("".join(rf"\x{byte:02x}" for byte in word.encode()) for word in sorted(words))
    return "".join(f'"{word}"\n' for word in coded)


def _words(schema: Schema) -> Iterator[str]:
    """The keys of the schema and the words that its fields take."""
    for key, part in allowed.keys(schema).items():
        yield f"{key}: "
        yield f"{key}."
        for option in allowed.options(part):
            yield from map(str, option.get("enum", ()))
        yield from _words(part)
