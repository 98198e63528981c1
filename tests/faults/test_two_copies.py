"""Two copies of one task at once. The first is believed dead, for it has slept through its lease, and is alive: the second has
taken over, and the first finds out before it writes."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from tests.faults.installation import Child, Installation, Whole, check, until_true
from tests.faults.moments import Moment, fall_asleep, shorten_leases, wait
from tests.faults.recorded import Row, keep

pytestmark = pytest.mark.nightly

LEASE = partial(shorten_leases, 2.0)
ASLEEP = [
    Moment("skillsengine.stages.training_log:TrainingLog.add", 8),  # a few steps after the first checkpoint
    Moment("skillsengine.stages.checkpoints:_seal", 2),  # the second checkpoint is half-written
    Moment("skillsengine.stages.checkpoints:_seal", 2, after=True),
    Moment("skillsengine.stages.finetune:save_adapter"),
    Moment("skillsengine.storage.store:Store.publish"),
]
"""When the first one falls asleep. Of what is made in its process only `finetune` is published."""
LATE = Moment("skillsengine.stages.finetune:save_adapter", after=True)
"""All is trained by then."""
OUTCOME = "the second one's result counts; the first stops before it writes, and says why"


def sleeping(installation: Installation, moment: Moment) -> Child:
    """A copy of the task that has stopped in its work."""
    prepared = installation.start_stages("r", "format", "profile").ended()
    assert prepared.code == 0, prepared.said
    first = installation.start_stages("r", "finetune", happens=[LEASE, partial(fall_asleep, moment)])
    first.until_stopped()
    return first


def told(installation: Installation) -> list[tuple[str, int]]:
    """(state, attempts) of the task's step in the catalog."""
    catalog = installation.catalog
    run = catalog.get_run("tiny", "r")
    assert run is not None
    return [(row.state, row.attempts) for row in catalog.steps_of(run.id) if row.stage == "finetune"]


def ends_well(installation: Installation, whole: Whole, first: Child, second: Child) -> int:
    """The first has stopped, with a reason, and the second's result is all there is. Returns the steps that both have done."""
    lost, won = first.ended(), second.ended()
    assert won.code == 0, won.said
    assert lost.code == 1 and "Traceback" in lost.said, lost.said
    reason = lost.said.strip().rpartition("\n")[2]
    assert re.match(
        r"skillsengine\.storage\.\w+\.(LeaseLost: this attempt has lost |StoreError: \S+ is gone: another)", reason
    )
    assert reason.endswith(("leaves the work to the other one.", "This attempt stops; see how the other one ends."))
    assert told(installation) == [("done", 2)]
    rest = installation.run()
    assert rest.code == 0 and "finetune cached" in rest.said, rest.said
    return check(installation, whole)


@pytest.mark.parametrize("moment", ASLEEP, ids=str)
def test_the_first_wakes_while_the_second_is_at_work(
    installation: Installation, whole: Whole, tmp_path: Path, moment: Moment
) -> None:
    first = sleeping(installation, moment)
    at_work, go = tmp_path / "at-work", tmp_path / "go"
    second = installation.start_stages("r", "finetune", happens=[LEASE, partial(wait, LATE, at_work, go)])
    until_true(at_work.exists, second)
    kept = sorted(path.name for path in installation.store.root.glob("checkpoints/*/*"))
    first.go_on()
    lost = first.ended()
    assert lost.code == 1, lost.said
    assert sorted(path.name for path in installation.store.root.glob("checkpoints/*/*")) == kept, "nothing was written"
    assert told(installation) == [("running", 2)]
    go.touch()
    repeated = ends_well(installation, whole, first, second)
    keep(Row("two copies of a task, the first wakes while the second is at work", OUTCOME, repeated))


@pytest.mark.parametrize("moment", [ASLEEP[0], ASLEEP[-1]], ids=str)
def test_the_first_wakes_when_the_second_is_done(installation: Installation, whole: Whole, moment: Moment) -> None:
    first = sleeping(installation, moment)
    second = installation.start_stages("r", "finetune", happens=[LEASE])
    assert second.ended().code == 0, second.said()
    assert told(installation) == [("done", 2)]
    first.go_on()
    repeated = ends_well(installation, whole, first, second)
    keep(Row("two copies of a task, the first wakes when the second is done", OUTCOME, repeated))
