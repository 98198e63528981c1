"""Who needs an artifact, as far as the catalog knows: when a step made or found it last, in which runs; and its removal.

A stage and a removal that come at the same moment do not cross. The stage first says in the catalog that its run uses the
digest (`start_step`), then looks whether the digest is being removed (`removing`), then looks into the store. A removal first
says that it removes (`acquire_removal`), then looks whether anybody uses the digest (`forget_artifact`), then takes it out.
Whoever comes second sees the first.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, or_, select

from skillsengine.storage.database import Database
from skillsengine.storage.leases import Lease, Leases
from skillsengine.storage.models import ArtifactRow, CellRow, LeaseRow, RunRow, StepRow
from skillsengine.storage.owners import REMOVING, is_gone, this_owner
from skillsengine.storage.runs import RUNNING

_REMOVAL_SECONDS = 120.0
"""Much longer than a removal takes; a remover that dies on another host is waited for as long."""


class Uses(Leases):
    """The part of the catalog that knows what is in use."""

    _db: Database

    def last_uses(self) -> dict[str, datetime]:
        """Digest -> when a step was last at work on it, or found it."""
        query = select(StepRow.digest, func.max(StepRow.updated)).group_by(StepRow.digest)
        with self._db.reading() as session:
            return {digest: when for digest, when in session.execute(query)}

    def going_on(self, since: datetime) -> list[RunRow]:
        """Runs that have not ended, and that began or were heard of since then: of a run whose process is gone the catalog is
        never told its end."""
        heard = select(StepRow.run_id).where(StepRow.updated >= since)
        query = select(RunRow).where(RunRow.state == RUNNING, or_(RunRow.started >= since, RunRow.id.in_(heard)))
        with self._db.reading() as session:
            return list(session.scalars(query.order_by(RunRow.id)))

    def digests_of(self, experiment: str) -> set[str]:
        """What any run of the experiment has made or found."""
        query = select(StepRow.digest).join(RunRow, RunRow.id == StepRow.run_id).where(RunRow.experiment == experiment)
        with self._db.reading() as session:
            return set(session.scalars(query.distinct()))

    def acquire_removal(self, digest: str) -> Lease:
        """The lease of a digest, to remove its artifact. Raises LeaseHeld while an attempt is at work on it."""
        return self.acquire(digest, this_owner() + REMOVING, _REMOVAL_SECONDS)

    def removing(self, digests: Collection[str]) -> set[str]:
        """Those of the digests that are being removed at this moment."""
        query = select(LeaseRow).where(
            LeaseRow.digest.in_(digests), LeaseRow.owner.like(f"%{REMOVING}"), LeaseRow.expires > self._db.now()
        )
        with self._db.reading() as session:
            return {row.digest for row in session.scalars(query) if not is_gone(str(row.owner))}

    def forget_artifact(self, digest: str, used: datetime | None, since: datetime) -> bool:
        """Strike an artifact, and the cells that it holds, from the catalog, unless somebody needs it by now; whether it did.

        `used` is when it was used last as the caller knows it; any later use keeps it, and so does a run that is `going_on`
        (`since`) with a step of that digest. Call it under `acquire_removal`, and then remove the artifact.
        """
        steps = select(func.max(StepRow.updated)).where(StepRow.digest == digest)
        heard = select(StepRow.run_id).where(StepRow.updated >= since)
        held = (
            select(RunRow.id)
            .join(StepRow, StepRow.run_id == RunRow.id)
            .where(StepRow.digest == digest, RunRow.state == RUNNING)
            .where(or_(RunRow.started >= since, RunRow.id.in_(heard)))
        )
        with self._db.writing() as session:
            newest = session.scalars(steps).one()
            if newest is not None and (used is None or newest > used):
                return False
            if session.scalars(held.limit(1)).first() is not None:
                return False
            session.execute(delete(CellRow).where(CellRow.artifact_digest == digest, CellRow.marked.is_(None)))
            session.execute(delete(ArtifactRow).where(ArtifactRow.digest == digest))
            return True
