"""The bases of the specs: are they reachable, may they be read, how large are they, and is there room for them?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from skillsengine.doctor.finding import Finding, gigabytes, ok, problem, warning
from skillsengine.doctor.machine import hub_token
from skillsengine.doctor.room import free_at, memory
from skillsengine.modeling import builtin
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.hub import HubFiles, look
from skillsengine.modeling.location import is_hub_id, locate
from skillsengine.pipeline.plan import base_roots
from skillsengine.settings import Settings
from skillsengine.spec.schema import BUILTIN_BASE, Base, Experiment

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BUILTIN_ROOM = 1e9
"""Bytes that the conversion of the built-in base needs at its height."""


def examine_base(experiment: Experiment, settings: Settings, *, trusted: bool = False) -> Iterator[Finding]:
    """Findings about the base of one spec; nothing is fetched."""
    base = experiment.base
    subject = f"base {base.model}"
    if base.model == BUILTIN_BASE:
        yield from _builtin(subject, settings)
        return
    roots = base_roots(experiment, settings, trusted=trusted)
    if not is_hub_id(base.model, settings.project):
        yield from _folder(subject, experiment, roots, _converted(settings))
        return
    try:
        files = look(base.model, base.revision)
    except ModelError as error:
        yield problem(subject, str(error))
        if not hub_token():
            yield warning("Hub token", "none in this environment", "set HF_TOKEN, or `hf auth login`, where stages run")
        return
    yield from _hub(subject, base, files)
    yield from _fits(subject, experiment, files.size)


def _converted(settings: Settings) -> Path:
    """`Store.bases`, which would be made by looking at it."""
    return settings.store_root / "bases"


def _builtin(subject: str, settings: Settings) -> Iterator[Finding]:
    try:
        source = builtin.find_gguf()
    except ModelError as error:
        yield problem(subject, str(error))
        return
    bases = _converted(settings)
    if (bases / BUILTIN_BASE / builtin.RECORD).is_file():
        yield ok(subject, f"converted, in {bases / BUILTIN_BASE}")
    elif (free := free_at(bases)) < _BUILTIN_ROOM:
        yield problem(
            subject,
            f"its conversion needs {gigabytes(_BUILTIN_ROOM)}, {gigabytes(free)} are free in {bases}",
            "make room",
        )
    else:
        yield ok(subject, f"comes with the installation ({source.name}); the first run converts it in about a minute")


def _folder(subject: str, experiment: Experiment, roots: tuple[Path, ...], bases: Path) -> Iterator[Finding]:
    try:
        # Without the weights' hash, which takes a second a GB.
        folder = locate(experiment.base, bases=bases, allowed_roots=roots, tokenizer_only=True).folder
    except ModelError as error:
        yield problem(subject, str(error))
        return
    weights = list(folder.glob("*.safetensors"))
    if not weights:
        yield problem(subject, f"{folder} holds no *.safetensors", "save the model there with `model.save_pretrained`")
        return
    size = sum(file.stat().st_size for file in weights)
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type", "unknown")
    yield ok(subject, f"local folder {folder}: {kind}, {gigabytes(size)} of weights")
    if experiment.base.revision is not None:
        yield warning(subject, "base.revision is set, and a local folder has none", "leave base.revision out")
    yield from _fits(subject, experiment, size)


def _hub(subject: str, base: Base, files: HubFiles) -> Iterator[Finding]:
    at = f"commit {files.commit[:12]}, {files.files} files, {gigabytes(files.size)}"
    if files.missing == 0:
        yield ok(subject, f"{at}, all in the cache {files.cache}")
    elif files.missing > files.free:
        yield problem(
            subject,
            f"{at}: {gigabytes(files.missing)} to fetch, {gigabytes(files.free)} free in {files.cache}",
            "make room, or let HF_HOME name a larger disk",
        )
    else:
        yield warning(
            subject,
            f"{at}: may be read; {gigabytes(files.missing)} to fetch into {files.cache}",
            "fetch it ahead of the first run with `skillsengine pull SPEC`",
        )
    if not _COMMIT.fullmatch(base.revision or ""):
        what = f"the branch or tag `{base.revision}`" if base.revision else "whatever the main branch holds on the day"
        yield warning(
            subject,
            f"base.revision: runs take {what}, and a later run may get other weights",
            f"pin it: revision: {files.commit}",
        )


def _fits(subject: str, experiment: Experiment, size: int) -> Iterator[Finding]:
    """Whether the weights alone fit the memory, roughly: files hold 16 bits a weight."""
    if experiment.resources.device != "cpu":
        return
    bits = {"none": 32, "int8": 8, "nf4": 5}[experiment.base.quantization]
    needed = size / 16 * bits
    if needed > memory() * 0.9:
        yield problem(
            subject,
            f"its weights take about {gigabytes(needed)} in memory on a CPU, this machine has {gigabytes(memory())}",
            "set base.quantization: nf4, take a smaller base, or set resources.device: cuda and run it where a GPU is",
        )
