"""Device and quantization. What this machine has is looked at for real; GPUs are facts as torch and bitsandbytes give them."""

from __future__ import annotations

from dataclasses import replace

import bitsandbytes
import pytest
import torch

from skillsengine.doctor.accelerator import (
    Accelerator,
    Gpu,
    Quantizer,
    examine_accelerator,
    judge_device,
    judge_quantizer,
    look_at_bitsandbytes,
    look_at_torch,
)
from skillsengine.doctor.finding import Finding
from skillsengine.spec.schema import Experiment, Resources
from tests.pipeline.project import tiny_experiment

H100 = Gpu("NVIDIA H100", 80_000_000_000, (9, 0))
V100 = Gpu("Tesla V100", 16_000_000_000, (7, 0))
CPU = Accelerator("2.13.0+cpu", None)
CUDA = Accelerator("2.13.0", "12.8", (H100,), device_files=True)
BNB = Quantizer("0.50.2", "libbitsandbytes_cuda128.so", ("12.6", "12.8", "13.0"))


def _experiment(device: str, quantization: str = "none", name: str = "a") -> Experiment:
    return tiny_experiment(name, resources={"device": device}, base={"model": "base", "quantization": quantization})


def _device(found: Accelerator, *experiments: Experiment) -> list[Finding]:
    return list(judge_device(found, experiments))


def _quantizer(found: Quantizer, device: Accelerator, *experiments: Experiment) -> list[Finding]:
    return list(judge_quantizer(found, device, experiments))


def test_this_machine() -> None:
    found = look_at_torch()
    assert (found.torch, found.cuda) == (torch.__version__, torch.version.cuda)
    assert len(found.gpus) == torch.cuda.device_count()
    if not found.gpus:
        quantizer = look_at_bitsandbytes({"nf4", "int8"}, on_gpu=False)
        assert quantizer == Quantizer(bitsandbytes.__version__, "libbitsandbytes_cpu.so", quantizer.cuda_versions, None)
        assert "12.8" in quantizer.cuda_versions
        device, quantized = examine_accelerator([_experiment("cpu", "nf4")])
        assert (device.level, quantized.level) == ("ok", "ok")
        assert quantized.text == f"bitsandbytes {bitsandbytes.__version__} quantizes on the CPU"


def test_a_cpu_is_enough_for_specs_that_ask_for_one() -> None:
    (finding,) = _device(CPU, _experiment("cpu"))
    assert finding.level == "ok"
    assert finding.text.startswith("torch 2.13.0+cpu, CPU, ")


@pytest.mark.parametrize(
    ("found", "level", "text"),
    [
        (CPU, "warning", "torch 2.13.0+cpu sees no GPU here, and a wants one"),
        (
            replace(CUDA, gpus=(), device_files=False, driver="Found no NVIDIA driver on your system."),
            "warning",
            "torch 2.13.0 sees no GPU here (Found no NVIDIA driver on your system.), and a wants one",
        ),
        (
            replace(CPU, device_files=True),
            "problem",
            "an NVIDIA GPU is here, and torch 2.13.0+cpu is built for CPUs; a wants CUDA",
        ),
        (
            replace(CUDA, gpus=(), driver="The NVIDIA driver on your system is too old (found version 11040)."),
            "problem",
            "an NVIDIA GPU is here, and torch 2.13.0 for CUDA 12.8 does not see it: The NVIDIA driver on your system is too "
            "old (found version 11040).",
        ),
        (
            replace(CUDA, gpus=(replace(V100, error="CUDA error: no kernel image is available"),)),
            "problem",
            "Tesla V100: torch 2.13.0 for CUDA 12.8 cannot compute on it: CUDA error: no kernel image is available",
        ),
        (CUDA, "ok", "torch 2.13.0 for CUDA 12.8: NVIDIA H100 (80.0 GB, compute capability 9.0)"),
    ],
)
def test_what_wants_a_gpu(found: Accelerator, level: str, text: str) -> None:
    (finding,) = _device(found, _experiment("cuda"))
    assert (finding.level, finding.text) == (level, text)
    assert (finding.mend is None) == (level == "ok")


def test_a_gpu_without_bfloat16() -> None:
    well, slow = _device(replace(CUDA, gpus=(V100,)), _experiment("cuda"))
    assert (well.level, slow.level) == ("ok", "warning")
    assert slow.text == "Tesla V100 has no bfloat16 in hardware, in which a would compute: slow"


def test_fewer_gpus_than_a_spec_asks_for() -> None:
    four = _experiment("cuda").model_copy(update={"resources": Resources(device="cuda", gpus=4)})
    well, few = _device(CUDA, four)
    assert (well.level, few.level) == ("ok", "problem")
    assert few.text == "a trains on 4 GPUs (resources.gpus), and there is 1 here"
    assert few.mend == "write `resources.gpus: 1`, which changes only the time, or run it where there are more"
    assert [finding.level for finding in _device(replace(CUDA, gpus=CUDA.gpus * 4), four)] == ["ok"]


def test_the_library_for_torchs_cuda_or_its_nearest() -> None:
    (same,) = _quantizer(BNB, CUDA, _experiment("cuda", "nf4"))
    assert (same.level, same.text) == ("ok", "bitsandbytes 0.50.2 quantizes on the GPU, with its library for CUDA 12.8")
    (near,) = _quantizer(BNB, replace(CUDA, cuda="12.9"), _experiment("cuda", "nf4"))
    assert near.text.endswith("with its library for CUDA 12.8 (torch is built for CUDA 12.9)")


def test_no_library_for_torchs_cuda() -> None:
    (finding,) = _quantizer(replace(BNB, library=None), replace(CUDA, cuda="14.1"), _experiment("cuda", "nf4"))
    assert finding.level == "problem"
    assert finding.text == (
        "bitsandbytes 0.50.2 cannot load a library for CUDA 14.1, which torch 2.13.0 is built for; it has them "
        "for 12.6, 12.8, 13.0"
    )
    assert "`python -m bitsandbytes` tells more" in (finding.mend or "")


def test_on_a_cpu() -> None:
    cpu = replace(BNB, library="libbitsandbytes_cpu.so")
    (finding,) = _quantizer(replace(cpu, library=None), CPU, _experiment("cpu", "int8"))
    assert (finding.level, "without its native library" in finding.text) == ("warning", True)
    (finding,) = _quantizer(
        replace(cpu, error="nf4 and back is off by 0.50 on average"), CPU, _experiment("cpu", "nf4")
    )
    assert (finding.level, finding.text) == (
        "problem", "bitsandbytes 0.50.2 does not quantize here: nf4 and back is off by 0.50 on average"
    )  # fmt: skip


def test_a_gpu_that_is_elsewhere_is_not_judged() -> None:
    (finding,) = _quantizer(BNB, CPU, _experiment("cuda", "nf4"))
    assert (finding.level, finding.mend) == ("unknown", "run doctor on the GPU worker")
    assert finding.text.endswith("whether it works for a can only be looked at where the GPU is")


@pytest.mark.parametrize(
    ("capability", "quantization", "told"),
    [((7, 0), "int8", "7.5"), ((7, 5), "int8", None), ((5, 2), "nf4", "6.0"), ((6, 0), "nf4", None)],
)
def test_a_gpu_that_is_too_old(capability: tuple[int, int], quantization: str, told: str | None) -> None:
    device = replace(CUDA, gpus=(replace(V100, capability=capability),))
    _, *old = _quantizer(BNB, device, _experiment("cuda", quantization))
    texts = [finding.text for finding in old if finding.level == "warning"]
    has = ".".join(map(str, capability))
    expected = f"{quantization} asks for compute capability {told}, Tesla V100 has {has}: slow or impossible for a"
    assert texts == ([expected] if told else [])
