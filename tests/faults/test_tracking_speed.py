"""W&B's server goes away in mid-training: what that costs. The product waits here as long as it does for people, so that what
is recorded holds for them. Steps before the fault and after it are those of one process, on one machine, a moment apart."""

from __future__ import annotations

import os
import statistics
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks._record import read_rows, record
from skillsengine.tracking.kept import kept_runs
from tests.faults.installation import Installation, until_true
from tests.faults.moments import at_steps, wait_at_step
from tests.faults.recorded import WHEN
from tests.faults.test_tracking import FAULTS, TRAIN, Wandb, prepared, wandb

__all__ = ["wandb"]

pytestmark = pytest.mark.nightly

NAME = "tracking_faults"
EPOCHS = 25
HALF, WARM = 52, 4
"""The step after which it happens, in the middle of an epoch; so many steps at first are not counted."""
OFFLINE = "offline from the start"


def tell_times(into: Path) -> None:
    """Write number and monotonic time of each optimizer step as a line of a file."""

    def tell(number: int) -> None:
        with into.open("a") as file:
            file.write(f"{number} {time.monotonic()}\n")

    at_steps(tell)


@pytest.mark.parametrize("fault", [OFFLINE, *FAULTS])
def test_in_mid_training(installation: Installation, wandb: Wandb, tmp_path: Path, fault: str) -> None:
    prepared(installation, wandb)
    times, at, go = tmp_path / "times", tmp_path / "at", tmp_path / "go"
    mode = "offline" if fault == OFFLINE else "auto"
    words = ["run", str(installation.spec), *TRAIN[:-1], f"tracking.mode={mode}", "--set", f"train.epochs={EPOCHS}"]
    child = installation.start(*words, happens=[partial(tell_times, times), partial(wait_at_step, HALF, at, go)])
    until_true(at.exists, child)
    if fault != OFFLINE:
        FAULTS[fault](wandb)
    go.touch()
    ended = child.ended()
    over = time.monotonic()
    assert ended.code == 0, ended.said
    told = [(int(number), float(at)) for number, at in map(str.split, times.read_text().splitlines())]
    assert [number for number, _ in told] == list(range(1, len(told) + 1)), "each step, once"
    assert len(told) >= HALF + 2 * WARM
    assert [run.state for run in kept_runs(installation.home)] == ["waiting"], "all is kept"
    seconds = {number: after - before for (_, before), (number, after) in pairwise(told)}
    before = [seconds[number] for number in range(WARM + 1, HALF)]
    after = [seconds[number] for number in seconds if number > HALF]
    row = {
        "fault": fault,
        "steps_a_second_before": round(len(before) / sum(before), 1),
        "steps_a_second_after": round(len(after) / sum(after), 1),
        "median_step_after_to_before": round(statistics.median(after) / statistics.median(before), 2),
        "longest_step_after": round(max(after), 2),
        "seconds_from_last_step_to_end": round(over - told[-1][1], 1),
    }
    print(row)
    if os.environ.get(WHEN):
        rows = {str(each["fault"]): each for each in read_rows(NAME)} | {fault: row}
        ordered = [rows[each] for each in (OFFLINE, *FAULTS) if each in rows]
        record(NAME, ordered, {})
