"""A run that is stopped from outside, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from skillsengine.settings import load_settings
from skillsengine.spec.load import resolved
from skillsengine.storage.catalog import Catalog
from tests.pipeline.project import make_project, tiny_experiment


@pytest.mark.parametrize(
    ("sent", "code", "note"),
    [(signal.SIGTERM, 143, "failed: stopped by SIGTERM"), (signal.SIGINT, 130, "failed: stopped by Ctrl-C")],
)
def test_a_stopped_run_is_closed_and_says_so(tmp_path: Path, sent: signal.Signals, code: int, note: str) -> None:
    project = tmp_path / "project"
    make_project(project)
    spec = resolved(tiny_experiment())
    spec["train"] = {**spec["train"], "epochs": 1000}  # it is not done before the signal comes
    (project / "experiments" / "tiny.yaml").write_text(yaml.safe_dump(spec))
    running = subprocess.Popen(
        [sys.executable, "-m", "skillsengine", "run", "experiments/tiny.yaml"],
        cwd=project,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A suite that runs in the background may ignore Ctrl-C, and its children would do so too.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert running.stdout is not None and running.stderr is not None
    for line in running.stdout:
        if line.startswith("  format"):
            break
    running.send_signal(sent)
    running.stdout.read()
    said = running.stderr.read()
    assert running.wait(60) == code, said
    assert "stopped: what was finished is kept, and the same command goes on from there" in said
    assert "Traceback" not in said
    [row] = Catalog.open(load_settings(project).catalog_url).list_runs()
    assert (row.state, row.note) == ("failed", note)
