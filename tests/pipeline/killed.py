"""A run that is killed in its training. As a program: `python -m tests.pipeline.killed PROJECT RUN STEP`.

It ends itself by SIGKILL after the optimizer step STEP, once the checkpoint of the step before is kept in the store.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from skillsengine.pipeline.run import open_run, run_stage
from skillsengine.settings import load_settings
from skillsengine.stages.contract import Progress
from skillsengine.storage.opening import open_store
from tests.pipeline.project import tiny_experiment

SECTIONS = {
    "train": {"epochs": 3, "per_device_batch_size": 4, "learning_rate": 0.01, "logging_steps": 1, "checkpoint_steps": 2}
}
"""12 ads to train on at least: 9 steps and more."""


def main(project: Path, run_id: str, last: int) -> None:
    settings = load_settings(project)
    experiment = tiny_experiment(**SECTIONS)
    run = open_run(experiment, dag_id=experiment.name, run_id=run_id, settings=settings)
    store, digest = open_store(settings), run.plan.adapter.digest

    def watch(step: str, progress: Progress) -> None:
        if progress.step is None or progress.step < last or "tokens/s" not in progress.text:
            return
        while not store.has_named(f"checkpoints/{digest}/checkpoint-{last - 1}/kept.json"):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGKILL)

    for stage in ("format", "profile", "finetune"):
        run_stage(run, stage, watch)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
