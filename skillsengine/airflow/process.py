"""Nothing is orphaned: a process that asks the kernel to end it with its parent, and its forks to do the same.

Linux only; elsewhere these functions do nothing, and the lease in the catalog is what keeps two attempts apart.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from typing import Final

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1


class Orphaned(Exception):
    """The parent was gone before the kernel could be asked to watch it."""


def die_with_parent(parent: int | None = None, sig: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send `sig` to this process when its parent ends.

    After a `kill -9` of a task's supervisor the task would live on, and its retry run beside it. `parent` is the
    parent as it was known earlier; raises Orphaned if it is another one by now. Without it nothing is checked.

    Known limitation: the kernel watches the parent's thread that forked, not the whole process; Airflow forks from
    its main thread.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(sig), 0, 0, 0) != 0:
        log.warning("prctl(PR_SET_PDEATHSIG) failed: %s", os.strerror(ctypes.get_errno()))
        return
    now = os.getppid()
    # Process 1 may rightly be the parent (in a container): only a parent that changed tells.
    if parent is not None and now != parent:
        raise Orphaned(f"the parent process {parent} is gone; this process was about to run without it")


def forks_die_with_parent() -> None:
    """From now on every process that this one forks through Python ends with its parent, and so do its own forks.

    Not for programs started by `subprocess`: those are not run through Python's fork.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getpid()

    def before() -> None:
        nonlocal parent
        parent = os.getpid()

    def in_child() -> None:
        try:
            die_with_parent(parent)
        except Orphaned:
            os._exit(1)

    os.register_at_fork(before=before, after_in_child=in_child)
