"""The GPU benchmark runs on a CPU with a toy, so that nothing is left to find out on the machine that costs money."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks._record import read_rows
from benchmarks.gpu_llama2_13b import lengths, ratios
from tests.conftest import PROJECT


def test_texts_are_as_long_as_real_ads() -> None:
    drawn = lengths(4_000, 1024)
    assert drawn == lengths(4_000, 1024)
    assert all(16 <= tokens <= 1024 and 2 <= answer < tokens for tokens, answer in drawn)
    assert sum(tokens for tokens, _ in drawn) / len(drawn) == pytest.approx(325, rel=0.05)
    assert max(tokens for tokens, _ in lengths(500, 64)) == 64


def test_ratios_leave_out_what_failed() -> None:
    rows = [
        {"side": "flattened", "quantization": "nf4", "tokens_per_second": 300.0},
        {"side": "trainer", "quantization": "nf4", "tokens_per_second": 200.0},
        {"side": "trl", "quantization": "nf4", "failed": 1},
    ]
    assert ratios(rows) == {"flattened to trainer, nf4": 1.5}


def test_the_table_of_the_docs_is_the_files() -> None:
    names = {"flattened": "ours, flattened", "trainer": "Trainer, padded", "trl": "TRL"}
    bases = {"none": "bf16", "nf4": "nf4", "int8": "int8"}
    rows = read_rows("gpu_llama2_13b")
    text = (PROJECT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert len(rows) == 5
    for row in rows:
        speed = f"{row['tokens_per_second']:,.0f} | {row['utilization']:.0%}"
        line = f"| {names[row['side']]} | {bases[row['quantization']]} | {speed} | {row['peak_memory_gb']:.1f} |\n"
        assert line in text
    found = ratios(rows)
    trainer, trl = found["flattened to trainer, none"], found["flattened to trl, none"]
    assert f"{trainer:.2f} times as fast as the plain Trainer and {trl:.2f} times" in text


@pytest.mark.nightly
def test_it_runs_on_a_cpu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu_llama2_13b", "--device", "cpu", "--scale", "tiny", "--steps", "5"]
    command += ["--batch", "4", "--quantizations", "none", "nf4", "--sides", "flattened", "padded", "trainer"]
    ran = subprocess.run([*command, "--work", str(tmp_path)], cwd=PROJECT, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(rows) == 6 and all(row["tokens_per_second"] > 0 and row["steps"] == 2 for row in rows)
    assert not list(tmp_path.iterdir()), "the weights are removed"
