"""One tiny version in memory for all tests of the room, and a server around it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from skillsengine.modeling.backend import Backend
from skillsengine.modeling.decoding import Take
from skillsengine.serving.extract import Extractor
from skillsengine.serving.http import Limits
from skillsengine.serving.named import find
from skillsengine.serving.server import address_of, listen, run
from skillsengine.settings import load_settings
from tests.serving.taught import make_taught_version

SHORT = [
    "We look for a welder with TIG welding and first aid.",
    "A nurse. Spanish, wound care and budget planning; reading blueprints is a plus for the night shift.",
    "Docker.",
    "",
    "A developer with Python and SQL.",
    "<p>First&nbsp;aid</p>",
    "--",
    "Budget planning, Docker, Python: all of it at once, and a little SQL in the evening.",
]
LONG = " ".join(SHORT) * 3
"""Longer than the training texts: asked in parts."""


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a version in a project of its own."""
    return make_taught_version(tmp_path_factory.mktemp("serving") / "project")


@pytest.fixture(scope="session")
def extractor(version: Path) -> Extractor:
    return Extractor.load(version, bases=version.parent, allowed_roots=(version.parent,), batch_size=4)


@dataclass
class Held:
    """A model that answers nothing before it is released."""

    inner: Backend
    released: threading.Event = field(default_factory=threading.Event)
    failures: list[Exception] = field(default_factory=list)
    """What it raises first, one after the other."""

    @property
    def tokenizer(self) -> Any:
        return self.inner.tokenizer

    @property
    def context_length(self) -> int:
        return self.inner.context_length

    def generate(self, prompts: Sequence[list[int]], **settings: Any) -> list[str]:
        return self.inner.generate(prompts, **settings)

    def stream(self, take: Take, **settings: Any) -> Iterator[tuple[int, str]]:
        def held(most: int, wait: bool) -> Sequence[tuple[int, list[int]]]:
            prompts = take(most, wait)
            if prompts:
                self.released.wait()
                if self.failures:
                    raise self.failures.pop(0)
            return prompts

        return self.inner.stream(held, **settings)


def held(extractor: Extractor, *failures: Exception) -> tuple[Extractor, Held]:
    backend = Held(extractor.asker.backend, failures=list(failures))
    return replace(extractor, asker=replace(extractor.asker, backend=backend)), backend


_LIMITS = Limits()


@contextmanager
def serving(
    extractor: Extractor, version: Path, limits: Limits = _LIMITS, token: str | None = None
) -> Iterator[httpx.Client]:
    """A client of a real server on loopback, whose `server` ends it."""
    bound = listen("127.0.0.1", 0)
    ready: list[uvicorn.Server] = []
    up = threading.Event()

    def on_ready(server: uvicorn.Server) -> None:
        ready.append(server)
        up.set()

    named = find(str(version), load_settings(version.parent))
    thread = threading.Thread(
        target=run, args=(extractor, named, bound, limits), kwargs={"token": token, "on_ready": on_ready}, daemon=True
    )
    thread.start()
    try:
        assert up.wait(60), "the server did not start"
        with httpx.Client(base_url=address_of(bound), timeout=60) as client:
            client.server = ready[0]  # type: ignore[attr-defined]
            yield client
    finally:
        if isinstance(extractor.asker.backend, Held):
            extractor.asker.backend.released.set()
        for server in ready:
            server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server did not end"
