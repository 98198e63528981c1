"""The GPU, torch and bitsandbytes: do they fit each other, and what the specs ask of them?"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from skillsengine.doctor.finding import Finding, gigabytes, listed, ok, problem, unknown, warning
from skillsengine.doctor.room import memory
from skillsengine.spec.schema import Experiment

_INT8 = (7, 5)
_NF4 = (6, 0)
"""Least compute capability for int8 and nf4: https://huggingface.co/docs/bitsandbytes/v0.50.0/installation."""
_BFLOAT16 = (8, 0)
"""Least compute capability that multiplies bfloat16 in hardware; below it torch goes by way of float32."""
_ERROR_LIMIT = 0.05
"""nf4 and back is off by 0.014 on average for the numbers that are tried."""


@dataclass(frozen=True)
class Gpu:
    """One device that torch shows."""

    name: str
    memory: int
    """Bytes."""
    capability: tuple[int, int]
    error: str | None = None
    """Why a small product of two matrices in bfloat16 did not work on it."""


@dataclass(frozen=True)
class Accelerator:
    """What this machine and its Python have."""

    torch: str
    """Version."""
    cuda: str | None
    """CUDA version that torch was built for; None of a CPU build."""
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    """Why torch shows no GPU."""
    device_files: bool = False
    """Whether the system has an NVIDIA device, seen by torch or not."""


@dataclass(frozen=True)
class Quantizer:
    """bitsandbytes, after a try on the device that torch computes on."""

    version: str
    library: str | None
    """Name of the native library's file that it loaded; None where none could be loaded."""
    cuda_versions: tuple[str, ...] = ()
    """CUDA versions that it has a library for."""
    error: str | None = None
    """Why quantizing a few numbers did not work."""


def examine_accelerator(experiments: Collection[Experiment]) -> Iterator[Finding]:
    """Findings about device and quantization. Imports torch, and bitsandbytes only where a base is quantized."""
    found = look_at_torch()
    yield from judge_device(found, experiments)
    kinds = {e.base.quantization for e in experiments} - {"none"}
    if not kinds:
        return
    names = [e.name for e in experiments if e.base.quantization != "none"]
    if importlib.util.find_spec("bitsandbytes") is None:
        yield problem(
            "bitsandbytes",
            f"not installed, and {listed(names)} has a quantized base",
            "pip install 'skillsengine[worker]', or set base.quantization: none",
        )
        return
    yield from judge_quantizer(look_at_bitsandbytes(kinds, bool(found.gpus)), found, experiments)


def look_at_torch() -> Accelerator:
    import torch

    files = any(Path("/dev").glob("nvidia[0-9]*"))
    version, cuda = torch.__version__, torch.version.cuda
    if not torch.cuda.is_available():
        driver = None
        if cuda is not None:
            try:
                torch.cuda.init()  # type: ignore[no-untyped-call]
            except (RuntimeError, AssertionError) as error:
                driver = _first_line(error)
        return Accelerator(str(version), cuda, driver=driver, device_files=files)
    gpus = []
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        error_text = None
        try:
            ones = torch.ones(16, 16, dtype=torch.bfloat16, device=f"cuda:{number}")
            (ones @ ones).sum().item()
        except RuntimeError as error:
            error_text = _first_line(error)
        gpus.append(Gpu(facts.name, facts.total_memory, (facts.major, facts.minor), error_text))
    return Accelerator(str(version), cuda, tuple(gpus), device_files=files)


def look_at_bitsandbytes(kinds: Collection[str], on_gpu: bool) -> Quantizer:
    """Load it, and quantize a few numbers the ways of `kinds` (`nf4`, `int8`) on the GPU or on the CPU."""
    import bitsandbytes
    import torch
    from bitsandbytes import functional
    from bitsandbytes.cextension import BNBNativeLibrary, ErrorHandlerMockBNBNativeLibrary, lib
    from bitsandbytes.cextension import get_available_cuda_binary_versions as cuda_versions

    loaded = isinstance(lib, BNBNativeLibrary) and not isinstance(lib, ErrorHandlerMockBNBNativeLibrary)
    library = Path(str(lib._lib._name)).name if loaded else None
    error_text = None
    numbers = torch.linspace(-1, 1, 4096, device="cuda" if on_gpu else "cpu").reshape(64, 64)
    try:
        if "nf4" in kinds:
            packed, state = functional.quantize_4bit(numbers, quant_type="nf4")
            off = (functional.dequantize_4bit(packed, state) - numbers).abs().mean().item()
            if not off < _ERROR_LIMIT:
                error_text = f"nf4 and back is off by {off:.2f} on average"
        if "int8" in kinds:
            functional.int8_vectorwise_quant(numbers.half())
    except (RuntimeError, NotImplementedError) as error:
        error_text = _first_line(error)
    return Quantizer(bitsandbytes.__version__, library, tuple(cuda_versions()), error_text)


def judge_device(found: Accelerator, experiments: Collection[Experiment]) -> Iterator[Finding]:
    """What the specs ask of the device against what is there."""
    wants = [e.name for e in experiments if e.resources.device == "cuda"]
    if not found.gpus:
        if not wants:
            cores = f"CPU, {os.cpu_count()} cores, {gigabytes(memory())} of memory"
            yield ok("device", f"torch {found.torch}, {cores}")
            return
        yield _no_gpu(found, wants)
        return
    shown = ", ".join(
        f"{gpu.name} ({gigabytes(gpu.memory)}, compute capability {_dotted(gpu.capability)})" for gpu in found.gpus
    )
    broken = [gpu for gpu in found.gpus if gpu.error is not None]
    if broken:
        yield problem(
            "device",
            f"{broken[0].name}: torch {found.torch} for CUDA {found.cuda} cannot compute on it: {broken[0].error}",
            "install a torch that is built for this GPU: https://pytorch.org/get-started/locally",
        )
        return
    yield ok("device", f"torch {found.torch} for CUDA {found.cuda}: {shown}")
    for experiment in experiments:
        asked = experiment.resources.gpus
        if experiment.resources.device == "cuda" and asked > len(found.gpus):
            yield problem(
                "device",
                f"{experiment.name} trains on {asked} GPUs (resources.gpus), and there {_are(len(found.gpus))} here",
                f"write `resources.gpus: {len(found.gpus)}`, which changes only the time, or run it where there are more",
            )
    slow = [gpu.name for gpu in found.gpus if gpu.capability < _BFLOAT16]
    if slow and wants:
        yield warning(
            "device",
            f"{listed(slow)} has no bfloat16 in hardware, in which {listed(wants)} would compute: slow",
            "take a GPU of compute capability 8.0 or more (Ampere or later)",
        )


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count}"


def _no_gpu(found: Accelerator, wants: Collection[str]) -> Finding:
    names = listed(wants)
    if found.device_files and found.cuda is None:
        return problem(
            "device",
            f"an NVIDIA GPU is here, and torch {found.torch} is built for CPUs; {names} wants CUDA",
            "install a torch that is built for CUDA: https://pytorch.org/get-started/locally",
        )
    if found.device_files:
        return problem(
            "device",
            f"an NVIDIA GPU is here, and torch {found.torch} for CUDA {found.cuda} does not see it: "
            f"{found.driver or 'no reason given'}",
            f"install a driver that can do CUDA {found.cuda} (nvidia-smi tells what it can now), or a torch for an older one",
        )
    said = f" ({found.driver})" if found.driver else ""
    return warning(
        "device",
        f"torch {found.torch} sees no GPU here{said}, and {names} wants one",
        "run doctor on the GPU worker; nvidia-smi tells whether the driver is there; or set resources.device: cpu",
    )


def judge_quantizer(found: Quantizer, device: Accelerator, experiments: Collection[Experiment]) -> Iterator[Finding]:
    """bitsandbytes against torch, the GPU and the specs."""
    subject = "bitsandbytes"
    where = f"bitsandbytes {found.version}"
    quantized = [e for e in experiments if e.base.quantization != "none"]
    elsewhere = [e.name for e in quantized if e.resources.device == "cuda"]
    here = [e.name for e in quantized if e.resources.device == "cpu"]
    if not device.gpus and not here:
        yield unknown(
            subject,
            f"{where} is installed, with libraries for CUDA {', '.join(found.cuda_versions) or '-'}; whether it works for "
            f"{listed(elsewhere)} can only be looked at where the GPU is",
            "run doctor on the GPU worker",
        )
        return
    if device.gpus and found.library is None:
        yield problem(
            subject,
            f"{where} cannot load a library for CUDA {device.cuda}, which torch {device.torch} is built for; it has them for "
            f"{', '.join(found.cuda_versions) or 'none'}",
            "install a torch for one of these, or another bitsandbytes; `python -m bitsandbytes` tells more",
        )
        return
    if found.error is not None:
        yield problem(
            subject,
            f"{where} does not quantize here: {found.error}",
            "`python -m bitsandbytes` tells more; or set base.quantization: none",
        )
        return
    if found.library is None:
        yield warning(
            subject,
            f"{where} works here without its native library, which does not load: slow",
            "`python -m bitsandbytes` tells more; install it again (pip install --force-reinstall --no-deps bitsandbytes)",
        )
    elif device.gpus:
        yield ok(subject, f"{where} quantizes on the GPU, with its {_cuda_of(found.library)}{_differs(found, device)}")
    else:
        yield ok(subject, f"{where} quantizes on the CPU")
    yield from _too_old(device, quantized)


def _too_old(device: Accelerator, quantized: Collection[Experiment]) -> Iterator[Finding]:
    for kind, least in (("int8", _INT8), ("nf4", _NF4)):
        names = [e.name for e in quantized if e.base.quantization == kind and e.resources.device == "cuda"]
        old = [gpu for gpu in device.gpus if gpu.capability < least]
        if names and old:
            text = (
                f"{kind} asks for compute capability {_dotted(least)}, {old[0].name} has {_dotted(old[0].capability)}: "
            )
            text += f"slow or impossible for {listed(names)}"
            newer = "take a newer GPU" if kind == "nf4" else "set base.quantization: nf4, or take a newer GPU"
            yield warning("bitsandbytes", text, newer)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _cuda_of(library: str) -> str:
    """`libbitsandbytes_cuda128.so` -> `library for CUDA 12.8`."""
    found = re.search(r"_cuda(\d\d)(\d+)", library)
    return f"library for CUDA {found[1]}.{found[2]}" if found else library


def _differs(found: Quantizer, device: Accelerator) -> str:
    """The nearest library of the same major version serves, too; said, because it is the first thing to look at."""
    same = _cuda_of(found.library or "") == f"library for CUDA {device.cuda}"
    return "" if same else f" (torch is built for CUDA {device.cuda})"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
