"""How much memory a piece of work took at its height, and what is left to do where there was not enough."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.utils.memory import should_reduce_batch_size

_GB = 1024**3
_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def restart_peak(device: str) -> None:
    """Forget earlier heights. On a CPU only Linux can; elsewhere the height is that of the whole process."""
    if device == "cuda" and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        _CLEAR_REFS.write_text("5")  # proc(5): resets the peak resident set size
    except OSError:
        return  # not Linux, or a container that forbids it: peak_gb then tells the process's height


def peak_gb(device: str) -> float:
    """Height since `restart_peak` in GB (2**30 bytes): resident memory on a CPU, allocated device memory on CUDA."""
    if device == "cuda" and torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / _GB
    if _STATUS.is_file():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _GB
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _GB


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` is torch's word for a lack of memory, on a GPU or a CPU."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and bool(should_reduce_batch_size(error))


def release(model: Any) -> None:
    """Give back what a failed forward or backward pass left behind."""
    model.zero_grad(set_to_none=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
