"""Aliases: movable names of versions. Every move is one transaction and leaves a line of history."""

from __future__ import annotations

import re
from types import EllipsisType

from sqlalchemy import select
from sqlalchemy.orm import Session

from skillsengine.storage.database import CatalogError, Database
from skillsengine.storage.models import AliasMoveRow, AliasRow, ModelRow, VersionRow

LATEST = "latest"
PENDING, READY = "pending", "ready"
ROLLED_BACK = "rolled back"
"""How the reason of such a move begins."""


class AliasMoved(CatalogError):
    """An alias is not where the caller believes it to be: somebody moved it since."""


class Aliases:
    """The part of the catalog that keeps aliases."""

    _db: Database

    def set_alias(
        self, model: str, alias: str, number: int, reason: str, expect: int | EllipsisType | None = ...
    ) -> bool:
        """Point an alias to a ready version; True if it moved, False if it stood there already.

        `expect` is where the caller believes it to stand (None: nowhere); left out, it does not matter.
        Raises AliasMoved where it stands elsewhere than expected, CatalogError: no such ready version, a name that is not
        allowed.
        """
        if alias == LATEST:
            raise CatalogError(
                f"`{LATEST}` follows the newest version by itself and cannot be set; choose another alias."
            )
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,99}", alias):
            raise CatalogError(
                f"`{alias}` cannot be an alias: it begins with a lower-case letter, then letters, digits, `_` and `-`."
            )
        with self._db.writing() as session:
            lock_model(session, model)
            version = session.get(VersionRow, (model, number))
            if version is None or version.state != READY:
                raise CatalogError(f"{model}@{alias} cannot move to version {number}: {what_there_is(session, model)}")
            row = session.get(AliasRow, (model, alias))
            present = None if row is None else row.number
            if present == number:
                return False  # also a repeated attempt, whose `expect` is out of date by its own first success
            if not isinstance(expect, EllipsisType) and present != expect:
                raise AliasMoved(
                    f"{model}@{alias} is {_place(present)} and not {_place(expect)}, as was assumed when version "
                    f"{number} was chosen: somebody moved it since. "
                    "Compare the versions again (clear the run's gate), then move it."
                )
            self._move(session, model, alias, number, reason)
            return True

    def roll_back(self, model: str, alias: str, why: str) -> tuple[int, int]:
        """Point an alias to where it stood before its present version, in one transaction; (from, to).

        Rolled back again, it goes one further back, and not to and fro. Raises CatalogError where there is nothing before.
        """
        with self._db.writing() as session:
            lock_model(session, model)
            row = session.get(AliasRow, (model, alias))
            if row is None:
                raise CatalogError(
                    f"{model}@{alias} is set nowhere, so it cannot go back: {what_there_is(session, model)}"
                )
            query = select(AliasMoveRow).where(AliasMoveRow.model == model, AliasMoveRow.alias == alias)
            stood: list[int] = []
            for move in session.scalars(query.order_by(AliasMoveRow.id)):
                if move.reason.startswith(ROLLED_BACK):
                    stood.pop()
                else:
                    stood.append(move.number)
            if len(stood) < 2:
                raise CatalogError(
                    f"{model}@{alias} has stood at version {row.number} from the beginning: there is nothing to go back to. "
                    f"`skillsengine promote {model}@NUMBER` moves it by hand; {what_there_is(session, model)}"
                )
            self._move(session, model, alias, stood[-2], f"{ROLLED_BACK}: {why}")
            return stood[-1], stood[-2]

    def _move(self, session: Session, model: str, alias: str, number: int, reason: str) -> None:
        """Move an alias and write the history, inside a transaction that holds the model's lock."""
        row, now = session.get(AliasRow, (model, alias)), self._db.now()
        old = None if row is None else row.number
        if row is None:
            session.add(AliasRow(model=model, alias=alias, number=number, moved=now))
        else:
            row.number, row.moved = number, now
        session.add(AliasMoveRow(model=model, alias=alias, old_number=old, number=number, reason=reason, moved=now))

    def alias(self, model: str, alias: str) -> int | None:
        """The number an alias points to, or None."""
        with self._db.reading() as session:
            row = session.get(AliasRow, (model, alias))
            return None if row is None else row.number

    def aliases(self, model: str) -> dict[str, int]:
        """All aliases of a model."""
        with self._db.reading() as session:
            return _aliases(session, model)

    def alias_moves(self, model: str, alias: str | None = None) -> list[AliasMoveRow]:
        """The history, oldest first."""
        query = select(AliasMoveRow).where(AliasMoveRow.model == model).order_by(AliasMoveRow.id)
        if alias is not None:
            query = query.where(AliasMoveRow.alias == alias)
        with self._db.reading() as session:
            return list(session.scalars(query))


def lock_model(session: Session, model: str) -> None:
    """Hold the model's row until the transaction ends: numbers and aliases of one model change one after the other."""
    session.get(ModelRow, model, with_for_update=True)


def what_there_is(session: Session, model: str) -> str:
    """For error texts: the versions and aliases of a model, or the models if it is unknown."""
    if session.get(ModelRow, model) is None:
        models = sorted(session.scalars(select(ModelRow.name)))
        known = (
            f"registered are {', '.join(models)}." if models else "nothing is registered yet: run an experiment first."
        )
        return f"there is no model `{model}`; {known}"
    query = select(VersionRow.number).where(VersionRow.model == model, VersionRow.state == READY)
    ready = list(session.scalars(query.order_by(VersionRow.number)))
    if not ready:
        return f"no version of {model} is ready yet: its first `register` has not finished."
    shown = ", ".join(str(number) for number in ready[-10:])
    names = ", ".join(f"{alias} ({number})" for alias, number in sorted(_aliases(session, model).items()))
    return f"{model} has the versions {'..., ' if len(ready) > 10 else ''}{shown} and the aliases {names}."


def _aliases(session: Session, model: str) -> dict[str, int]:
    rows = session.scalars(select(AliasRow).where(AliasRow.model == model))
    return dict(sorted((row.alias, row.number) for row in rows))


def _place(number: int | None) -> str:
    return "set nowhere" if number is None else f"version {number}"
