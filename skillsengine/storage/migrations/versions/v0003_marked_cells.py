"""Cells that are marked, not filled: all ads of the partition, or near copies of them, were trained on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("cells", sa.Column("marked", sa.String))
