"""The Dockerfile as stages: what tools/chroot_build.py runs and tests/docker checks. Reading is dockerfile-parse's work."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile_parse import DockerfileParser


@dataclass(frozen=True)
class Instruction:
    """One instruction: `COPY`, its options without dashes (`{"from": ["wheel"]}`), and the rest of its text."""

    keyword: str
    options: Mapping[str, list[str]]
    text: str
    line: int

    @property
    def words(self) -> list[str]:
        """The text as words: of the JSON form, or split as a shell would."""
        return list(json.loads(self.text)) if self.text.startswith("[") else shlex.split(self.text)


@dataclass(frozen=True)
class Stage:
    """`FROM parent AS name` and what follows it."""

    name: str
    parent: str
    instructions: list[Instruction] = field(default_factory=list)


def read_stages(path: Path) -> dict[str, Stage]:
    """The stages by name, in order. A build argument stands as its default in `parent`."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    for item in DockerfileParser(str(path)).structure:
        keyword, text = item["instruction"], item["value"]
        if keyword == "ARG" and not stages:
            name, _, default = text.partition("=")
            arguments[name] = default
        elif keyword == "FROM":
            parent, _, name = text.partition(" AS ")
            stages[name] = Stage(name, expand(parent, arguments))
        elif keyword != "COMMENT":
            options, text = _options(text)
            last = next(reversed(stages.values()))
            last.instructions.append(Instruction(keyword, options, text, item["startline"] + 1))
    return stages


def chain(stages: Mapping[str, Stage], target: str) -> list[Stage]:
    """A stage and those it stands on, the lowest first."""
    found = [stages[target]]
    while found[0].parent in stages:
        found.insert(0, stages[found[0].parent])
    return found


def expand(text: str, values: Mapping[str, str]) -> str:
    """`${NAME}` and `$NAME` replaced, by nothing where they are not set."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values.get(found[1], ""), text)


def _options(text: str) -> tuple[dict[str, list[str]], str]:
    options: dict[str, list[str]] = {}
    while found := re.match(r"--([a-z-]+)=(\S+)\s+", text):
        options.setdefault(found[1], []).append(found[2])
        text = text[found.end() :]
    return options, text
