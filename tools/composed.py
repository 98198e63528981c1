"""compose.yaml as what each service runs: its command, its environment, its secrets. What tools/cluster.py starts as processes
and tests/docker checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from tools.dockerfile import chain, read_stages


@dataclass(frozen=True)
class Service:
    """One service of compose.yaml, with merge keys resolved."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """That of its image, where we build it, then its env_files; a later one wins."""
    secrets: tuple[str, ...]
    told: Mapping[str, Any]
    """All that compose.yaml says about it."""


def read_compose(project: Path) -> dict[str, Any]:
    """The whole file. Its `${...}` stay as they are."""
    return dict(yaml.safe_load((project / "compose.yaml").read_text(encoding="utf-8")))


def read_services(project: Path) -> dict[str, Service]:
    """The services by name, in the file's order."""
    return {name: _service(name, told, project) for name, told in read_compose(project)["services"].items()}


def _service(name: str, told: Mapping[str, Any], project: Path) -> Service:
    environment = image_environment(project, told["build"]["target"]) if "build" in told else {}
    for file in told.get("env_file", ()):
        environment |= read_settings(project / file)
    return Service(name, tuple(told.get("command", ())), environment, tuple(told.get("secrets", ())), told)


def read_settings(path: Path) -> dict[str, str]:
    """An env_file. Compose takes what stands in single quotes as it is, and so does this."""
    return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}


def image_environment(project: Path, target: str) -> dict[str, str]:
    """What an image of ours sets, but for PATH."""
    stages = read_stages(project / "Dockerfile")
    words = [
        word
        for stage in chain(stages, target)
        for step in stage.instructions
        if step.keyword == "ENV"
        for word in step.words
    ]
    found = {name: value for name, _, value in (word.partition("=") for word in words)}
    found.pop("PATH", None)
    return found
