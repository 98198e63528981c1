"""The demo with its base unquantized, in int8 and in nf4: three specs that differ in one line. Scores, memory, seconds.

    python -m benchmarks.quantization                 # all three, about 25 minutes on two cores
    python -m benchmarks.quantization --only nf4      # one of them; the others' rows stay as they were

Each variant runs in a process and a home of its own, through the command line as a user would:
`skillsengine run experiments/job-skills-demo.yaml --set base.quantization=...`. Peak memory is the training process' own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._record import read_rows, record

PROJECT = Path(__file__).resolve().parent.parent
SPEC = "experiments/job-skills-demo.yaml"
VARIANTS = ("none", "int8", "nf4")


def measure(variant: str, home: Path) -> dict[str, Any]:
    """One whole run; what its artifacts' summaries say, and the wall time."""
    command = [sys.executable, "-m", "skillsengine", "run", SPEC, "--set", f"base.quantization={variant}"]
    started = time.monotonic()
    subprocess.run(command, cwd=PROJECT, env=os.environ | {"SKILLSENGINE_HOME": str(home)}, check=True)
    seconds = time.monotonic() - started
    found = {path: json.loads(path.read_text()) for path in home.glob("store/artifacts/*/*/*/manifest.json")}
    by_stage = {(m["stage"], m["key"]): m["summary"] for m in found.values()}
    trained = by_stage["finetune", None]
    adapter, base = by_stage["evaluate", "adapter"], by_stage["evaluate", "base"]
    return {
        "quantization": variant,
        "adapter_f1": adapter["f1"],
        "adapter_precision": adapter["precision"],
        "adapter_recall": adapter["recall"],
        "base_f1": base["f1"],
        "lexicon_f1": by_stage["evaluate", "lexicon"]["f1"],
        "validation_loss": trained["validation_loss"],
        "peak_memory_gb": trained["peak_memory_gb"],
        "training_seconds": trained["seconds"],
        "training_tokens_per_second": trained["tokens_per_second"],
        "generated_tokens_per_second": adapter["tokens_per_second"],
        "wall_seconds": round(seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=VARIANTS, help="measure one variant")
    only = parser.parse_args().only
    rows = {row["quantization"]: row for row in read_rows("quantization")} if only else {}
    for variant in (only,) if only else VARIANTS:
        home = Path(tempfile.mkdtemp(prefix="quantization-"))
        try:
            rows[variant] = measure(variant, home)
        finally:
            shutil.rmtree(home)
        print(json.dumps(rows[variant]), flush=True)
    done = [rows[variant] for variant in VARIANTS if variant in rows]
    plain = rows.get("none")
    ratios = {
        f"{row['quantization']} to none": {
            key: round(row[key] / plain[key], 3)
            for key in ("peak_memory_gb", "training_seconds", "generated_tokens_per_second", "adapter_f1")
        }
        for row in done
        if plain and row is not plain
    }
    print(record("quantization", done, ratios))


if __name__ == "__main__":
    main()
