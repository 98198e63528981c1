"""What the gate said of a version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("versions", sa.Column("verdict", sa.JSON))


def downgrade() -> None:
    op.drop_column("versions", "verdict")


def lost(connection: sa.Connection) -> list[str]:
    said = "verdict IS NOT NULL AND CAST(verdict AS VARCHAR) <> 'null'"
    count = connection.scalar(sa.text(f"SELECT count(*) FROM versions WHERE {said}"))
    return [f"what the gate said of {count} version{'s' * (count != 1)}, as the pages show it"] if count else []
