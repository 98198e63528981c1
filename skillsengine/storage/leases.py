"""Leases: at most one attempt makes the artifact of a digest, and one that was overtaken finds out before it writes.

A lease ends by release, by time, or at once when its owner was a process of this host that is gone. Its token grows
with every acquisition (fencing): an attempt that slept through its lease holds an old token and is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from skillsengine.storage.database import Database, insert_or_find
from skillsengine.storage.models import LeaseRow
from skillsengine.storage.owners import REMOVING, is_gone

_WRONG_CLOCK = timedelta(hours=1)


class LeaseLost(Exception):
    """Another attempt has taken over; this one must stop and write nothing more."""


class LeaseHeld(Exception):
    """Another attempt is at work on the same digest."""

    def __init__(self, digest: str, owner: str, until: datetime) -> None:
        self.digest, self.owner, self.until = digest, owner, until
        self.removing = owner.endswith(REMOVING)
        """Whether it is being removed, and not made."""
        super().__init__(
            f"{digest[:12]} is being made by another attempt, {owner} (host:pid:start), which holds it until "
            f"{until:%Y-%m-%d %H:%M:%S} UTC unless it goes on. Wait for it, or end that process and try again."
        )


@dataclass(frozen=True)
class Lease:
    """The right to make one artifact, until `expires`."""

    digest: str
    owner: str
    token: int
    ttl_seconds: float
    expires: datetime
    """Of the last acquire or renew that returned this object; the catalog's own time counts."""


class Leases:
    """The part of the catalog that keeps leases."""

    _db: Database

    def acquire(self, digest: str, owner: str, ttl_seconds: float) -> Lease:
        """Take the lease for `ttl_seconds`; `owner` is `owners.this_owner()`. It is not re-entrant.

        Raises LeaseHeld while another lease on the digest runs and its owner is not known to be gone. One that would run for
        more than an hour longer than this one was taken by a clock that was wrong, and is over.
        """
        if ttl_seconds <= 0:
            raise ValueError(f"a lease of {ttl_seconds} seconds is over before it begins")
        with self._db.writing() as session:
            now = self._db.now()
            row = insert_or_find(session, _row(digest), LeaseRow(digest=digest, owner=None, token=0, expires=now))
            end = now + timedelta(seconds=ttl_seconds) + _WRONG_CLOCK
            if row.owner is not None and now < row.expires <= end and not is_gone(row.owner):
                raise LeaseHeld(digest, row.owner, row.expires)
            row.owner, row.token, row.expires = owner, row.token + 1, now + timedelta(seconds=ttl_seconds)
            return Lease(digest, owner, row.token, ttl_seconds, row.expires)

    def renew(self, lease: Lease) -> Lease:
        """Let the lease run `ttl_seconds` from now, even if it had run out and nobody took it.

        Raises LeaseLost if another attempt has it or it was released.
        """
        with self._db.writing() as session:
            row = _held(session, lease)
            row.expires = self._db.now() + timedelta(seconds=lease.ttl_seconds)
            return replace(lease, expires=row.expires)

    def check(self, lease: Lease) -> None:
        """Raise LeaseLost unless this attempt may still write; it may then for the next `ttl_seconds`.

        It renews: a lease that ends between the check and the write it was made for would be no protection.
        """
        self.renew(lease)

    def release(self, lease: Lease) -> None:
        """Give the lease back; does nothing if another attempt has it already."""
        with self._db.writing() as session:
            row = session.scalars(_row(lease.digest)).one_or_none()
            if row is not None and (row.token, row.owner) == (lease.token, lease.owner):
                row.owner, row.expires = None, self._db.now()


def _row(digest: str) -> Select[LeaseRow]:
    return select(LeaseRow).where(LeaseRow.digest == digest).with_for_update()


def _held(session: Session, lease: Lease) -> LeaseRow:
    row = session.scalars(_row(lease.digest)).one_or_none()
    if row is None or (row.token, row.owner) != (lease.token, lease.owner):
        holder = "nobody" if row is None or row.owner is None else row.owner
        raise LeaseLost(
            f"this attempt has lost {lease.digest[:12]}: {holder} holds it now (token {row.token if row else 0}, "
            f"ours was {lease.token}). It stops here and leaves the work to the other one."
        )
    return row
