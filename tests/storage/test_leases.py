"""Leases: one attempt at a time, a dead one gives way at once, an overtaken one is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from skillsengine.storage.catalog import Catalog, LeaseHeld, LeaseLost
from skillsengine.storage.owners import is_gone, this_owner
from tests.storage.support import Clock, Hanging, at_once

DIGEST = "ab" * 32


def test_a_lease_excludes_others_until_it_is_released(catalog: Catalog) -> None:
    lease = catalog.acquire(DIGEST, this_owner(), 60)
    assert lease.token == 1
    with pytest.raises(LeaseHeld) as caught:
        catalog.acquire(DIGEST, "elsewhere:1:1", 60)
    assert (caught.value.owner, caught.value.until) == (this_owner(), lease.expires)
    assert str(caught.value) == (
        f"abababababab is being made by another attempt, {this_owner()} (host:pid:start), which holds it until "
        "2026-07-01 12:01:00 UTC unless it goes on. Wait for it, or end that process and try again."
    )
    with pytest.raises(LeaseHeld):
        catalog.acquire(DIGEST, this_owner(), 60)  # not re-entrant
    assert catalog.acquire("cd" * 32, this_owner(), 60).token == 1
    catalog.release(lease)
    assert catalog.acquire(DIGEST, "elsewhere:1:1", 60).token == 2


def test_a_lease_runs_out(catalog: Catalog, clock: Clock) -> None:
    old = catalog.acquire(DIGEST, "one:1:1", 60)
    clock.forward(59)
    with pytest.raises(LeaseHeld):
        catalog.acquire(DIGEST, "two:1:1", 60)
    clock.forward(1)
    new = catalog.acquire(DIGEST, "two:1:1", 60)
    assert new.token == 2
    for call in (catalog.check, catalog.renew):
        with pytest.raises(LeaseLost) as caught:
            call(old)
        assert str(caught.value) == (
            "this attempt has lost abababababab: two:1:1 holds it now (token 2, ours was 1). "
            "It stops here and leaves the work to the other one."
        )
    catalog.release(old)  # does not touch what is another's
    catalog.check(new)


def test_a_lease_of_a_clock_that_was_wrong_holds_nobody_up_for_long(catalog: Catalog, clock: Clock) -> None:
    """The clock was a day ahead when the lease was taken; a little ahead is no reason to take it away."""
    clock.forward(3600)
    ahead = catalog.acquire(DIGEST, "one:1:1", 60)
    clock.forward(-3600)
    with pytest.raises(LeaseHeld):
        catalog.acquire(DIGEST, "two:1:1", 60)
    clock.forward(24 * 3600)
    catalog.renew(ahead)
    clock.forward(-24 * 3600)
    assert catalog.acquire(DIGEST, "two:1:1", 60).token == 2
    with pytest.raises(LeaseLost):
        catalog.check(ahead)


def test_a_renewed_lease_goes_on(catalog: Catalog, clock: Clock) -> None:
    lease = catalog.acquire(DIGEST, "one:1:1", 60)
    for _ in range(5):
        clock.forward(50)
        lease = catalog.renew(lease)
        assert lease.expires == clock.time + timedelta(seconds=60)
    clock.forward(500)
    catalog.check(lease)  # it had run out, nobody took it: it is ours, and again for a while
    clock.forward(50)
    with pytest.raises(LeaseHeld):
        catalog.acquire(DIGEST, "two:1:1", 60)


def test_a_released_lease_is_lost(catalog: Catalog) -> None:
    lease = catalog.acquire(DIGEST, "one:1:1", 60)
    catalog.release(lease)
    catalog.release(lease)
    with pytest.raises(LeaseLost, match="nobody holds it now"):
        catalog.check(lease)
    with pytest.raises(ValueError, match="is over before it begins"):
        catalog.acquire(DIGEST, "one:1:1", 0)


def test_the_same_name_does_not_help_an_overtaken_attempt(catalog: Catalog, clock: Clock) -> None:
    """The token decides: a process that slept, lost and took the lease again still cannot write with its first one."""
    old = catalog.acquire(DIGEST, "one:1:1", 60)
    clock.forward(60)
    catalog.acquire(DIGEST, "one:1:1", 60)
    with pytest.raises(LeaseLost):
        catalog.check(old)


def test_one_of_several_processes_gets_it(catalog: Catalog) -> None:
    def work(index: int) -> int | None:
        try:
            return catalog.acquire(DIGEST, f"host{index}:1:1", 60).token
        except LeaseHeld:
            return None

    assert sorted(at_once(8, work), key=str) == [1, *[None] * 7]


def test_a_killed_owner_gives_way_at_once(catalog: Catalog) -> None:
    def work(say: Callable[[Any], None]) -> None:
        say(catalog.acquire(DIGEST, this_owner(), 3600))

    attempt = Hanging(work)
    with pytest.raises(LeaseHeld):
        catalog.acquire(DIGEST, this_owner(), 60)
    attempt.kill()
    lease = catalog.acquire(DIGEST, this_owner(), 60)
    assert lease.token == attempt.said.token + 1
    with pytest.raises(LeaseLost):
        catalog.check(attempt.said)


def test_processes_are_told_apart() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host, pid, start = this_owner().split(":")
    stat = Path(f"/proc/{sleeper.pid}/stat").read_text()
    other = f"{host}:{sleeper.pid}:{stat.rpartition(')')[2].split()[19]}"
    assert pid == str(os.getpid())
    assert not is_gone(this_owner())
    assert not is_gone(other)
    assert is_gone(f"{host}:{sleeper.pid}:{start}1")  # the number was given to another process since
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(other)  # a zombie has ended too
    sleeper.wait()
    assert is_gone(other)


@pytest.mark.parametrize("owner", ["", "x", "other-host:1:1", "{host}:x:1", "{host}", "::"])
def test_what_cannot_be_known_counts_as_alive(owner: str) -> None:
    assert not is_gone(owner.replace("{host}", this_owner().split(":")[0]))
