"""Versions: numbered adapters of a model. A number is given once; of a version that is ready only
the gate's verdict changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sqlalchemy import Select, func, select

from skillsengine.storage.aliases import LATEST, PENDING, READY, Aliases, lock_model, what_there_is
from skillsengine.storage.database import CatalogError, insert_or_find
from skillsengine.storage.models import AliasRow, ModelRow, VersionRow

MODEL_NAME = r"[a-z0-9][a-z0-9_-]{0,99}"
"""As `register.model` of a spec: it becomes a folder's name."""


class Versions(Aliases):
    """The part of the catalog that keeps versions; it moves the alias `latest` and looks versions up by alias."""

    def allocate_version(
        self,
        model: str,
        adapter_digest: str,
        *,
        experiment: str,
        partition: str | None,
        run_id: int | None,
        spec: Mapping[str, Any],
    ) -> VersionRow:
        """The version of this adapter: the one it has, ready or not, or a new `pending` one with the next number.

        Numbers are 1, 2, ... without gaps or doubles, however many processes ask. Raises CatalogError for a bad name.
        """
        if not re.fullmatch(MODEL_NAME, model):
            raise CatalogError(
                f"`{model}` cannot name a model: it takes lower-case letters, digits, `_` and `-`, at most 100 of them."
            )
        with self._db.writing() as session:
            now = self._db.now()
            find = select(ModelRow).where(ModelRow.name == model)
            counter = insert_or_find(session, find, ModelRow(name=model, last_number=0, created=now))
            session.refresh(counter, with_for_update=True)
            found = session.scalars(_of_adapter(model, adapter_digest)).one_or_none()
            if found is not None:
                return found
            counter.last_number += 1
            row = VersionRow(
                model=model,
                number=counter.last_number,
                adapter_digest=adapter_digest,
                state=PENDING,
                experiment=experiment,
                partition=partition,
                run_id=run_id,
                spec=dict(spec),
                artifact_digest=None,
                path=None,
                metrics={},
                lineage={},
                created=now,
                published=None,
            )
            session.add(row)
            return row

    def publish_version(
        self,
        model: str,
        number: int,
        artifact_digest: str,
        path: Path | str,
        metrics: Mapping[str, Any],
        lineage: Mapping[str, Any],
    ) -> VersionRow:
        """Make a pending version ready, and let `latest` be the highest ready number, in one transaction.

        A version that is ready already stays as it is and is returned: its folder was promised to people.
        Raises CatalogError if the number was never allocated.
        """
        with self._db.writing() as session:
            lock_model(session, model)
            row = session.get(VersionRow, (model, number))
            if row is None:
                raise CatalogError(f"{model}@{number} was never allocated: {what_there_is(session, model)}")
            if row.state == READY:
                return row
            row.state, row.artifact_digest, row.path = READY, artifact_digest, str(path)
            row.metrics, row.lineage, row.published = dict(metrics), dict(lineage), self._db.now()
            session.flush()
            ready = select(func.max(VersionRow.number)).where(VersionRow.model == model, VersionRow.state == READY)
            newest = session.scalars(ready).one()
            latest = session.get(AliasRow, (model, LATEST))
            if newest is not None and (latest is None or latest.number != newest):
                self._move(session, model, LATEST, newest, f"{model}@{number} was registered")
            return row

    def set_verdict(self, model: str, number: int, verdict: Mapping[str, Any]) -> VersionRow:
        """Keep what the gate said of a version, in the place of what it said before. Raises CatalogError if there is none."""
        with self._db.writing() as session:
            row = session.get(VersionRow, (model, number), with_for_update=True)
            if row is None:
                raise CatalogError(f"{model}@{number} was never allocated: {what_there_is(session, model)}")
            row.verdict = dict(verdict)
            return row

    def resolve(self, model: str, ref: str) -> VersionRow:
        """The ready version that `ref` names: a number (`7`) or an alias (`champion`).

        Raises CatalogError that lists what there is.
        """
        with self._db.reading() as session:
            number = int(ref) if re.fullmatch(r"[0-9]{1,9}", ref) else None
            if number is None:
                alias = session.get(AliasRow, (model, ref))
                number = None if alias is None else alias.number
            row = None if number is None else session.get(VersionRow, (model, number))
            if row is not None and row.state == READY:
                return row
            known = what_there_is(session, model)
            if row is not None:
                raise CatalogError(f"{row.name} is not ready: its `register` stage has not finished. {known}")
            names = session.scalars(select(AliasRow.alias).where(AliasRow.model == model))
            close = get_close_matches(ref, list(names), n=1)
            raise CatalogError(
                f"{model}@{ref} does not exist: {known}" + (f" Did you mean {model}@{close[0]}?" if close else "")
            )

    def find_version(self, model: str, adapter_digest: str) -> VersionRow | None:
        """The version of an adapter, pending or ready, or None."""
        with self._db.reading() as session:
            return session.scalars(_of_adapter(model, adapter_digest)).one_or_none()

    def versions(self, model: str | None = None) -> list[VersionRow]:
        """By model, then by number; pending ones too."""
        query = select(VersionRow)
        if model is not None:
            query = query.where(VersionRow.model == model)
        with self._db.reading() as session:
            # Sorted here: the order of a database is its collation's.
            return sorted(session.scalars(query), key=lambda row: (row.model, row.number))


def _of_adapter(model: str, adapter_digest: str) -> Select[VersionRow]:
    return select(VersionRow).where(VersionRow.model == model, VersionRow.adapter_digest == adapter_digest)
