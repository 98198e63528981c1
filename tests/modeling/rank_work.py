"""What the ranks of test_ranks.py do."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as group

from skillsengine.modeling.ranks import Link


def add(numbers: list[int], link: Link) -> int:
    """The sum of each rank's number, added by the ranks together; rank 0 asks for one more."""
    group.init_process_group("gloo")
    mine = torch.tensor(numbers[link.rank])
    group.all_reduce(mine)
    more = torch.tensor(link.ask("one more") if link.rank == 0 else 0)
    group.broadcast(more, 0)
    group.destroy_process_group()
    return int(mine + more)


def fail(arguments: Any, link: Link) -> None:
    """Rank 1 fails while the others wait for it."""
    if link.rank == 1:
        raise ValueError(f"{arguments} is too much")
    time.sleep(600)


def die(arguments: Any, link: Link) -> None:
    if link.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def wait(folder: str, link: Link) -> None:
    """Leave a sign, then wait to be ended."""
    (Path(folder) / f"pid-{link.rank}").write_text(str(os.getpid()))
    time.sleep(600)


def ask(arguments: Any, link: Link) -> None:
    if link.rank == 0:
        link.ask(arguments)
    time.sleep(600)
