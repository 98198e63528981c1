"""`finetune` on several GPUs of one machine: a process on each (data parallel), and this one, which starts and hears them.

Each process makes the same rows, loads the base onto its GPU and does its share of every optimizer step. The first one
reports, writes checkpoints and leaves the artifact; the lease and the tracker stay here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as group

from skillsengine.modeling.ranks import Link, run_on_ranks
from skillsengine.stages import finetune
from skillsengine.stages.contract import StageConfig, StageContext, StageError, Summary
from skillsengine.stages.team import Team
from skillsengine.storage.artifact import Artifact

_PATIENCE = timedelta(hours=6)
"""So long the processes wait for one another: while one lets the model answer, or writes a checkpoint, or loads slowly."""


@dataclass(frozen=True)
class _Job:
    """What every process is told."""

    config: StageConfig
    inputs: Mapping[str, Artifact]
    out: Path
    checkpoints: Path
    bases: Path
    allowed_roots: tuple[Path, ...]
    digest: str
    stopping: Callable[[], bool]


def train_together(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """`finetune.train` on `resources.gpus` processes; returns and raises what the first does.

    Raises StageError where this machine has too few GPUs, and RankError where a process ended without a word.
    """
    count, device = config.spec.resources.gpus, config.spec.resources.device
    there = torch.cuda.device_count()
    if device == "cuda" and there < count:
        raise StageError(
            f"resources.gpus: {count}, but this machine shows {there} CUDA devices to torch {torch.__version__}. Write "
            f"`resources.gpus: {max(1, there)}`, which changes nothing but the time, or run it on a worker with more "
            "(resources.queue, CUDA_VISIBLE_DEVICES)."
        )
    job = _Job(
        config,
        dict(inputs),
        out,
        context.checkpoints,
        context.bases,
        context.allowed_roots,
        context.digest,
        context.stopping,
    )
    answers: dict[str, Callable[..., Any]] = {
        "report": context.report,
        "guard": context.guard,
        "keep_checkpoint": context.keep_checkpoint,
        "log": context.tracker.log,
        "table": context.tracker.table,
        "image": context.tracker.image,
        "summary": context.tracker.summary,
    }
    summary: Summary = run_on_ranks(
        f"{__name__}:one_of_them", job, count=count, hear=lambda said: answers[said[0]](*said[1], **said[2])
    )
    return summary


def one_of_them(job: _Job, link: Link) -> Summary:
    """What each process does."""
    team = Team(link.rank, link.count)
    on_gpu = job.config.spec.resources.device == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    group.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    try:
        context = StageContext(
            report=_teller("report", link),
            guard=_teller("guard", link),
            tracker=_Tracker(link),
            checkpoints=job.checkpoints,
            bases=job.bases,
            allowed_roots=job.allowed_roots,
            digest=job.digest,
            keep_checkpoint=_teller("keep_checkpoint", link),
            stopping=job.stopping,
        )
        return finetune.train(job.config, job.inputs, job.out, context, team)
    finally:
        group.destroy_process_group()


class _Tracker:
    """The tracker of the process that started this one; of all but the first it hears nothing."""

    def __init__(self, link: Link) -> None:
        self.log, self.table = _teller("log", link), _teller("table", link)
        self.image, self.summary = _teller("image", link), _teller("summary", link)


def _teller(name: str, link: Link) -> Callable[..., None]:
    return partial(_tell, link, name) if link.rank == 0 else _nothing


def _tell(link: Link, name: str, *args: Any, **kwargs: Any) -> None:
    link.ask((name, args, kwargs))


def _nothing(*args: Any, **kwargs: Any) -> None:
    """The other processes have nothing to tell: they did the same."""
