"""The machine's clock jumps, and its open files are used up."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.faults.installation import Installation, Whole, check, until_true
from tests.faults.moments import Moment, jump, move_clock, no_more_files, wait_at_step
from tests.faults.recorded import Row, keep

pytestmark = pytest.mark.nightly

DAY = 24 * 3600


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The file by which the clock of children is moved."""
    file = tmp_path / "clock"
    file.write_text("0")
    return file


def test_a_clock_that_jumps_in_mid_training(
    installation: Installation, whole: Whole, clock: Path, tmp_path: Path
) -> None:
    """A day on, a day back, and right again, each before a checkpoint."""
    jumps = {3: DAY, 6: -DAY, 10: 0}
    waits = [partial(wait_at_step, step, tmp_path / f"at-{step}", tmp_path / f"go-{step}") for step in jumps]
    child = installation.start("run", str(installation.spec), happens=[partial(move_clock, clock), *waits])
    for step, offset in jumps.items():
        until_true((tmp_path / f"at-{step}").exists, child)
        jump(clock, offset)
        (tmp_path / f"go-{step}").touch()
    ended = child.ended()
    assert ended.code == 0, ended.said
    told = "the training goes on undisturbed"
    keep(Row("the clock jumps a day on, a day back, and right again", told, check(installation, whole, at_most=0)))


def test_a_host_whose_clock_is_a_day_ahead(
    installation: Installation, whole: Whole, clock: Path, tmp_path: Path
) -> None:
    """To a second copy there the lease of the first, which is alive, is over."""
    prepared = installation.start_stages("r", "format", "profile").ended()
    assert prepared.code == 0, prepared.said
    at, go = tmp_path / "at", tmp_path / "go"
    first = installation.start_stages("r", "finetune", happens=[partial(wait_at_step, 6, at, go)])
    until_true(at.exists, first)
    jump(clock, DAY)
    at_work, finish = tmp_path / "at-work", tmp_path / "finish"
    ahead = [partial(move_clock, clock), partial(wait_at_step, whole.steps, at_work, finish)]
    second = installation.start_stages("r", "finetune", happens=ahead)
    until_true(at_work.exists, second)
    go.touch()
    lost = first.ended()
    assert lost.code == 1 and "LeaseLost: this attempt has lost " in lost.said, lost.said
    finish.touch()
    won = second.ended()
    assert won.code == 0, won.said
    again = installation.run()
    assert again.code == 0 and "finetune cached" in again.said, again.said
    told = "the second copy takes over; the first stops before it writes, and says why"
    keep(
        Row(
            "the clock of a second host is a day ahead, so that a live lease seems over",
            told,
            check(installation, whole),
        )
    )


@pytest.mark.parametrize(
    "moment",
    [
        Moment("skillsengine.storage.catalog:Catalog.pin_run"),
        Moment("skillsengine.stages.format:run"),
        Moment("skillsengine.stages.checkpoints:Checkpoints.write", 2),
        Moment("skillsengine.storage.store:Store.publish", 5),
    ],
    ids=str,
)
def test_no_more_open_files(installation: Installation, whole: Whole, moment: Moment) -> None:
    installation.env = {"SKILLSENGINE_CATALOG_WAIT": "1"}
    refused = installation.run(partial(no_more_files, moment))
    assert refused.code == 1 and "Traceback" not in refused.said, refused.said
    said = "no more files can be opened: this process may have 3 open at once. Raise that number (`ulimit -n`;"
    assert said in refused.said, refused.said
    again = installation.run()
    assert again.code == 0, again.said
    told = "the error says so; with more of them, the same command goes on"
    keep(Row("open files used up, at each writing step", told, check(installation, whole)))
