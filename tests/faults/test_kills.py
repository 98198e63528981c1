"""`kill -9` of `skillsengine run`, then the same command again: one version, the same adapter, few steps done twice."""

from __future__ import annotations

import random
import signal
from functools import partial

import pytest

from tests.faults.installation import EVERY, Installation, Whole, check
from tests.faults.moments import Moment, kill, kill_at_call
from tests.faults.recorded import Row, keep

pytestmark = pytest.mark.nightly

STORE, RUN, CATALOG = "skillsengine.storage.store", "skillsengine.pipeline.run", "skillsengine.storage.catalog"
WORKING = "skillsengine.storage.patient:PatientCatalog"
"""The catalog of a run that is under way."""
GOES_ON = "the same command goes on, and ends as if nothing had been"
BORDERS = [
    Moment(f"{CATALOG}:Catalog.pin_run", after=True),
    *(Moment(f"{RUN}:execute", number) for number in (2, 5, 6)),
    Moment("skillsengine.stages.checkpoints:_seal", 2),
    Moment("skillsengine.stages.checkpoints:_seal", 2, after=True),
    Moment("skillsengine.stages.finetune:save_adapter", after=True),
    Moment(f"{STORE}:Store._rename", 5),
    Moment(f"{STORE}:Store._rename", 5, after=True),
    Moment(f"{WORKING}.record_artifact", 5, after=True),
    Moment(f"{STORE}:Store.link_version"),
    Moment(f"{WORKING}.publish_version", after=True),
    Moment("skillsengine.cli.runs:finish_run"),
]
"""A format, the training and an evaluation begin; the rest is within and between them."""
SEEDS = range(3)


@pytest.mark.parametrize("moment", BORDERS, ids=str)
def test_at_a_border(installation: Installation, whole: Whole, moment: Moment) -> None:
    killed = installation.run(partial(kill, moment))
    assert killed.code == -signal.SIGKILL, killed.said
    again = installation.run()
    assert again.code == 0, again.said
    repeated = check(installation, whole)
    keep(Row("`kill -9` at a border of a stage", GOES_ON, repeated))


@pytest.mark.parametrize("seed", SEEDS)
def test_at_any_moment_of_a_training(installation: Installation, whole: Whole, seed: int) -> None:
    """Three times in a row, each at another call that the product's code makes while it trains."""
    drawn = random.Random(seed)
    for _ in range(3):
        killed = installation.run(partial(kill_at_call, drawn.randrange(1, whole.calls)))
        if killed.code == 0:
            break  # what was left to do took fewer calls
        assert killed.code == -signal.SIGKILL, killed.said
    again = installation.run()
    assert again.code == 0, again.said
    repeated = check(installation, whole, at_most=3 * EVERY)
    keep(Row("`kill -9` three times, at any moment of a training", GOES_ON, repeated))
