"""Artifacts and cells: what was made, and how good it is on which partition."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from skillsengine.storage.database import Database, insert_or_find
from skillsengine.storage.models import ArtifactRow, CellRow


class Results:
    """The part of the catalog that keeps artifacts and cells."""

    _db: Database

    def record_artifact(self, digest: str, stage: str, key: str | None, path: Path | str, bytes: int) -> ArtifactRow:
        """Note where an artifact lies (`bytes`: its size). Said again, its path is brought up to date: stores move."""
        with self._db.writing() as session:
            fresh = ArtifactRow(
                digest=digest, stage=stage, key=key, path=str(path), bytes=bytes, created=self._db.now()
            )
            row = insert_or_find(session, select(ArtifactRow).where(ArtifactRow.digest == digest), fresh)
            row.path, row.bytes = str(path), bytes
            return row

    def artifact(self, digest: str) -> ArtifactRow | None:
        with self._db.reading() as session:
            return session.get(ArtifactRow, digest)

    def put_cell(
        self,
        *,
        subject: str,
        kind: str,
        experiment: str,
        partition: str,
        data_digest: str,
        artifact_digest: str,
        stage_version: int,
        metrics: Mapping[str, Any],
        adapter_digest: str | None,
        marked: str | None = None,
    ) -> CellRow:
        """Add a score, or with `marked` the reason why there is none, once: said again for the same artifact, experiment and
        partition, the first row is returned.

        Two experiments that score the same adapter on the same rows share the artifact, and each has its cell.
        """
        with self._db.writing() as session:
            find = select(CellRow).where(
                CellRow.artifact_digest == artifact_digest,
                CellRow.experiment == experiment,
                CellRow.partition == partition,
            )
            row = CellRow(
                subject=subject,
                kind=kind,
                experiment=experiment,
                partition=partition,
                data_digest=data_digest,
                artifact_digest=artifact_digest,
                stage_version=stage_version,
                metrics=dict(metrics),
                adapter_digest=adapter_digest,
                marked=marked,
                created=self._db.now(),
            )
            return insert_or_find(session, find, row)

    def add_to_cell(self, cell_id: int, name: str, value: Mapping[str, Any]) -> None:
        """Lay what was measured later beside a cell's metrics, as `name`; said again, the newer one stays. Its scores never
        change."""
        with self._db.writing() as session:
            row = session.get_one(CellRow, cell_id, with_for_update=True)
            row.metrics = {**row.metrics, name: dict(value)}

    def cells(
        self, experiment: str | None = None, adapter_digest: str | None = None, partition: str | None = None
    ) -> list[CellRow]:
        """The scores that fit all that is given, oldest first."""
        query = select(CellRow).where(CellRow.marked.is_(None)).order_by(CellRow.id)
        if experiment is not None:
            query = query.where(CellRow.experiment == experiment)
        if adapter_digest is not None:
            query = query.where(CellRow.adapter_digest == adapter_digest)
        if partition is not None:
            query = query.where(CellRow.partition == partition)
        with self._db.reading() as session:
            return list(session.scalars(query))

    def oldest_cell(self, artifact_digest: str) -> CellRow | None:
        """The first score that was taken from an `evaluate` artifact, whichever experiment's; None where there is none."""
        query = select(CellRow).where(CellRow.artifact_digest == artifact_digest, CellRow.marked.is_(None))
        with self._db.reading() as session:
            return session.scalars(query.order_by(CellRow.id).limit(1)).first()

    def marks(self, experiment: str) -> dict[tuple[str, str], str]:
        """(digest of the artifact that will not be, partition) -> why, of all cells of the experiment that are marked."""
        query = select(CellRow).where(CellRow.experiment == experiment, CellRow.marked.is_not(None))
        with self._db.reading() as session:
            return {(row.artifact_digest, row.partition): str(row.marked) for row in session.scalars(query)}

    def barred(self, experiment: str) -> frozenset[tuple[str, str]]:
        """(adapter's digest, partition) of what is marked: there was nothing to score the adapter on."""
        query = select(CellRow.adapter_digest, CellRow.partition).where(
            CellRow.experiment == experiment, CellRow.marked.is_not(None), CellRow.adapter_digest.is_not(None)
        )
        with self._db.reading() as session:
            return frozenset((str(digest), partition) for digest, partition in session.execute(query))

    def scored_partitions(self, experiment: str) -> list[str]:
        """Those that have a cell; sorted."""
        query = select(CellRow.partition).where(CellRow.experiment == experiment, CellRow.marked.is_(None)).distinct()
        with self._db.reading() as session:
            return sorted(session.scalars(query))

    def newest_cell(self, experiment: str) -> int:
        """The id of the experiment's newest cell or mark; 0 where it has none."""
        with self._db.reading() as session:
            return session.scalar(select(func.max(CellRow.id)).where(CellRow.experiment == experiment)) or 0
