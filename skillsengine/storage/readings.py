"""What reading the files of sources has shown. Only ever a shortcut: without it everything is read again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from skillsengine.storage.database import Database, insert_or_find
from skillsengine.storage.models import ReadingRow


class Readings:
    """The part of the catalog that spares reading an unchanged file twice."""

    _db: Database

    def recall_reading(self, uri: str, question: str, state: str) -> Any | None:
        """What was found out about a file, if it was in the same state."""
        with self._db.reading() as session:
            row = session.get(ReadingRow, (uri, question))
            return row.answer if row is not None and row.state == state else None

    def remember_reading(self, uri: str, question: str, state: str, answer: Any) -> None:
        """Keep what was found out, plain JSON that is not null, in place of what an earlier state has shown."""
        with self._db.writing() as session:
            fresh = ReadingRow(uri=uri, question=question, state=state, answer=answer, read=self._db.now())
            find = select(ReadingRow).where(ReadingRow.uri == uri, ReadingRow.question == question)
            row = insert_or_find(session, find, fresh)
            row.state, row.answer, row.read = state, answer, self._db.now()
