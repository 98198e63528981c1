"""The machine and the installation: store, disk, Python packages, device, tokens."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Collection, Iterator
from uuid import uuid4

from skillsengine.doctor.accelerator import examine_accelerator
from skillsengine.doctor.finding import Finding, gigabytes, listed, ok, problem, warning
from skillsengine.doctor.room import nearest
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import StoreError

_WORKER = ("torch", "transformers", "peft", "accelerate", "datasets", "wandb", "sklearn")
_ROOM = 5e9
"""Bytes that a training with its checkpoints, artifacts and W&B files may need."""


def examine_machine(settings: Settings, experiments: Collection[Experiment]) -> Iterator[Finding]:
    """Findings that do not depend on a single spec."""
    yield _store(settings)
    if isinstance(settings.store, str):
        yield _bucket(settings)
    missing = [name for name in _WORKER if importlib.util.find_spec(name) is None]
    if missing:
        yield warning(
            "worker packages",
            f"{', '.join(missing)} not installed: no stage can run in this environment",
            "on a machine that only schedules that is right; where stages run: pip install 'skillsengine[worker]'",
        )
    else:
        yield ok("worker packages", "installed")
        yield from examine_accelerator(experiments)
        yield from _wandb(experiments)
    yield from _hub_token(experiments)


def _bucket(settings: Settings) -> Finding:
    """The store in a bucket: whether it can be written, read, listed and cleared."""
    store = open_store(settings)
    name = f".doctor-{uuid4().hex[:8]}"
    try:
        store.write_named(name, "x")
        there = store.read_named(name, 1)
        store.drop_named(name)
    except StoreError as error:
        return problem("store", str(error))
    if there != b"x":
        return problem(
            "store",
            f"{store.place}: what was written cannot be read back",
            "take a server that shows an object as soon as it was written, as S3 does",
        )
    return ok("store", f"{store.place}: writable; converted bases in {settings.store_root}")


def _store(settings: Settings) -> Finding:
    """The folder of a local store, or of the cache of one in a bucket."""
    remote = isinstance(settings.store, str)
    subject, variable = ("cache", "SKILLSENGINE_CACHE") if remote else ("store", "SKILLSENGINE_HOME")
    folder = settings.cache_root if remote else settings.store_root
    there = nearest(folder)  # nothing is made where nothing is yet
    probe = there / f".doctor-{uuid4().hex[:8]}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return problem(
            subject,
            f"{folder} cannot be written: {error.strerror}",
            f"mend the folder's permissions, or let {variable} name another folder",
        )
    free = shutil.disk_usage(there).free
    if free < _ROOM:
        return warning(
            subject,
            f"{folder}: {gigabytes(free)} free; a training may need {gigabytes(_ROOM)}",
            f"make room, or let {variable} name a folder on a larger disk",
        )
    limit = f", at most {gigabytes(settings.cache_bytes)} are kept" if remote else ""
    return ok(subject, f"{folder}: writable, {gigabytes(free)} free{limit}")


def _wandb(experiments: Collection[Experiment]) -> Iterator[Finding]:
    from skillsengine.tracking.server import mode_of, probe, server_address

    subject = "Weights & Biases"
    modes = {mode_of(e.tracking) for e in experiments}
    if "online" in modes:
        address = server_address()
        try:
            probe(address)
        except ConnectionError as error:
            yield warning(
                subject,
                f"WANDB_API_KEY is set, and {error}: runs are kept offline",
                "let the machine reach it (HTTPS_PROXY, WANDB_BASE_URL), or say tracking.mode: offline",
            )
        else:
            yield ok(subject, f"WANDB_API_KEY is set and {address} answers: runs are reported online")
    elif "offline" in modes and not os.environ.get("WANDB_API_KEY"):
        yield ok(subject, "no WANDB_API_KEY: runs are kept offline; `skillsengine sync` sends them once a key is there")
    elif "offline" in modes:
        yield ok(subject, "runs are kept offline, as the specs or WANDB_MODE say")
    elif modes:
        yield ok(subject, "disabled")


def _hub_token(experiments: Collection[Experiment]) -> Iterator[Finding]:
    pushed = [e.name for e in experiments if e.register.hub is not None]
    if pushed and not hub_token():
        yield problem(
            "Hub token",
            f"none, and {listed(pushed)} pushes its versions to the Hub",
            "set HF_TOKEN to a token with the right to write where the stages run, or `hf auth login`",
        )


def hub_token() -> bool:
    """Whether the environment holds a token for the Hub (HF_TOKEN, or a login's file)."""
    from huggingface_hub import get_token

    return get_token() is not None
