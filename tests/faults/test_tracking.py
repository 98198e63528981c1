"""W&B's server goes away, before a training or in the middle of it: the training ends as if nothing had been, all is kept, and
`skillsengine sync` delivers it later, once. The server is one of the tests' own, which speaks as much of W&B's API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from skillsengine.tracking.kept import kept_runs
from tests.faults.installation import Ended, Installation, Whole, until_true
from tests.faults.moments import impatient_tracking, wait_at_step
from tests.faults.recorded import Row, keep
from tests.tracking.door import Door, door_to
from tests.tracking.wandb_server import Received, wandb_server

pytestmark = pytest.mark.nightly

KEY = "0123456789" * 4


@dataclass
class Wandb:
    """The server, and the door before it."""

    received: Received
    door: Door

    def no_route(self) -> None:
        self.door.go_away()

    def black_hole(self) -> None:
        self.door.swallow()

    def errors_500(self) -> None:
        self.received.refuse = 500

    def wrong_key(self) -> None:
        self.received.refuse = 401

    def mend(self) -> None:
        self.received.refuse = None
        self.door.reopen()


@pytest.fixture
def wandb() -> Iterator[Wandb]:
    with wandb_server() as received, door_to(int(urlsplit(received.url).port or 0)) as door:
        received.url = door.url  # files are sent to where the server says
        yield Wandb(received, door)


FAULTS: dict[str, Callable[[Wandb], None]] = {
    "no route": Wandb.no_route,
    "a black hole": Wandb.black_hole,
    "errors 500": Wandb.errors_500,
    "a wrong key": Wandb.wrong_key,
}


def prepared(installation: Installation, wandb: Wandb) -> Installation:
    """The training is next."""
    installation.env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": wandb.door.url, "WANDB_MODE": ""}
    ended = installation.start("run", str(installation.spec), "--until", "profile").ended()
    assert ended.code == 0, ended.said
    return installation


TRAIN = ("--until", "finetune", "--set", "tracking.mode=auto")


def delivered(installation: Installation, wandb: Wandb, whole: Whole, trained: Ended) -> None:
    """The training is as any other, and `sync` sends all of it once."""
    assert trained.code == 0 and "W&B" in trained.said and KEY not in trained.said, trained.said
    assert installation.adapter() == whole.adapter and installation.repeated == 0
    assert [run.state for run in kept_runs(installation.home)] == ["waiting"]
    wandb.mend()
    sent = installation.start("sync").ended()
    assert sent.code == 0 and " sent " in sent.said, sent.said
    again = installation.start("sync").ended()
    assert again.code == 0 and "nothing to send" in again.said, again.said
    ((run, told),) = wandb.received.runs.items()
    steps = [moment["_step"] for _, moment in sorted(told["history"].items()) if "train/loss" in moment]
    assert steps == list(range(1, whole.steps + 1)), "each step, once"
    assert wandb.received.made(run) == {"tiny-adapter": "adapter"}
    assert kept_runs(installation.home) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_before_a_training(installation: Installation, wandb: Wandb, whole: Whole, fault: str) -> None:
    prepared(installation, wandb)
    FAULTS[fault](wandb)
    trained = installation.start("run", str(installation.spec), *TRAIN, happens=[impatient_tracking]).ended()
    assert "going on offline" in trained.said
    delivered(installation, wandb, whole, trained)
    keep(Row("W&B: no route, a black hole, errors 500, a wrong key before a training", OUTCOME, 0))


@pytest.mark.parametrize("fault", FAULTS)
def test_in_mid_training(installation: Installation, wandb: Wandb, whole: Whole, tmp_path: Path, fault: str) -> None:
    prepared(installation, wandb)
    at, go = tmp_path / "at", tmp_path / "go"
    happens = [impatient_tracking, partial(wait_at_step, 6, at, go)]
    child = installation.start("run", str(installation.spec), *TRAIN, happens=happens)
    until_true(at.exists, child)
    FAULTS[fault](wandb)
    go.touch()
    delivered(installation, wandb, whole, child.ended())
    keep(Row("W&B: no route, a black hole, errors 500, a wrong key in mid-training", OUTCOME, 0))


OUTCOME = "the same adapter; all is kept, and `skillsengine sync` delivers it, each step once"
