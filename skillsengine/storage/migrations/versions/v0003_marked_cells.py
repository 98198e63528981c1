"""Cells that are marked, not filled: all ads of the partition, or near copies of them, were trained on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("cells", sa.Column("marked", sa.String))


def downgrade() -> None:
    # Without its mark such a cell would be a score without numbers.
    op.execute("DELETE FROM cells WHERE marked IS NOT NULL")
    op.drop_column("cells", "marked")


def lost(connection: sa.Connection) -> list[str]:
    count = connection.scalar(sa.text("SELECT count(*) FROM cells WHERE marked IS NOT NULL"))
    what = "the mark of a cell that has" if count == 1 else f"the marks of {count} cells that have"
    return [f"{what} nothing to be scored on, which is looked at once more"] if count else []
