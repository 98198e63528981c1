"""What reading the files of sources has shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "readings",
        sa.Column("uri", sa.String, nullable=False),
        sa.Column("question", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("read", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("uri", "question", name="pk_readings"),
    )


def downgrade() -> None:
    op.drop_table("readings")


def lost(connection: sa.Connection) -> list[str]:
    count = connection.scalar(sa.text("SELECT count(*) FROM readings"))
    return [f"what reading {count} file{'s' * (count != 1)} has shown, which is read once more"] if count else []
