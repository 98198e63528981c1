"""The machine and the installation: Python packages, device, disk, catalog, tokens."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import uuid4

from skillsengine.doctor.finding import Finding, gigabytes, ok, problem, warning
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog, CatalogError, CatalogUnavailable

_WORKER = ("torch", "transformers", "peft", "accelerate", "datasets", "wandb", "sklearn")
_ROOM = 5e9
"""Bytes that a training with its checkpoints, artifacts and W&B files may need."""


def examine_machine(settings: Settings, experiments: Collection[Experiment]) -> Iterator[Finding]:
    """Findings that do not depend on a single spec."""
    yield from _store(settings)
    yield from _catalog(settings)
    missing = [name for name in _WORKER if importlib.util.find_spec(name) is None]
    if missing:
        yield warning(
            "worker packages",
            f"{', '.join(missing)} not installed: no stage can run in this environment",
            "on a machine that only schedules that is right; where stages run: pip install 'skillsengine[worker]'",
        )
    else:
        yield ok("worker packages", "installed")
        yield from _device(experiments)
    yield from _tracking(experiments)


def _store(settings: Settings) -> Iterator[Finding]:
    folder = settings.store_root
    probe = folder / f".doctor-{uuid4().hex[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        yield problem(
            "store",
            f"{folder} cannot be written: {error.strerror}",
            "mend the folder's permissions, or let SKILLSENGINE_HOME name another folder",
        )
        return
    free = shutil.disk_usage(folder).free
    if free < _ROOM:
        yield warning(
            "store",
            f"{folder}: {gigabytes(free)} free; a training may need {gigabytes(_ROOM)}",
            "make room, or let SKILLSENGINE_HOME name a folder on a larger disk",
        )
    else:
        yield ok("store", f"{folder}: writable, {gigabytes(free)} free")


def _catalog(settings: Settings) -> Iterator[Finding]:
    try:
        catalog = Catalog.open(settings.catalog_url)
        runs = len(catalog.list_runs(limit=1))
    except (CatalogError, CatalogUnavailable) as error:
        yield problem("catalog", str(error))
        return
    yield ok("catalog", f"{catalog.address} answers" + ("" if runs else ", no runs yet"))


def _device(experiments: Collection[Experiment]) -> Iterator[Finding]:
    wants_cuda = sorted(e.name for e in experiments if e.resources.device == "cuda")
    quantized = sorted(e.name for e in experiments if e.base.quantization != "none")
    import torch

    if torch.cuda.is_available():
        shown = ", ".join(
            f"{torch.cuda.get_device_name(i)} ({gigabytes(torch.cuda.get_device_properties(i).total_memory)})"
            for i in range(torch.cuda.device_count())
        )
        yield ok("device", f"CUDA {torch.version.cuda}: {shown}")
    elif wants_cuda:
        yield warning(
            "device",
            f"torch {torch.__version__} sees no GPU here, and {_names(wants_cuda)} wants one",
            "run doctor on the GPU worker; nvidia-smi tells whether the driver is there; or set resources.device: cpu",
        )
    else:
        yield ok("device", f"torch {torch.__version__}, CPU, {os.cpu_count()} cores, {gigabytes(memory())} of memory")
    if quantized and importlib.util.find_spec("bitsandbytes") is None:
        yield problem(
            "bitsandbytes",
            f"not installed, and {_names(quantized)} has a quantized base",
            "pip install 'skillsengine[worker]', or set base.quantization: none",
        )


def memory() -> int:
    """Bytes of main memory."""
    import psutil

    return int(psutil.virtual_memory().total)


def _tracking(experiments: Collection[Experiment]) -> Iterator[Finding]:
    if os.environ.get("WANDB_API_KEY"):
        yield ok("Weights & Biases", "WANDB_API_KEY is set: runs are reported online")
    elif any(e.tracking.mode == "auto" for e in experiments):
        yield ok("Weights & Biases", "no WANDB_API_KEY: runs are kept offline, and sent once a key is there")
    pushed = sorted(e.name for e in experiments if e.register.hub is not None)
    if pushed and not hub_token():
        yield problem(
            "Hub token",
            f"none, and {_names(pushed)} pushes its versions to the Hub",
            "set HF_TOKEN to a token with the right to write where the stages run, or `hf auth login`",
        )


def hub_token() -> bool:
    """Whether the environment holds a token for the Hub (HF_TOKEN, or a login's file)."""
    from huggingface_hub import get_token

    return get_token() is not None


def _names(names: Collection[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def free_at(folder: Path) -> int:
    """Bytes free on the disk that `folder` is, or would be, on."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
