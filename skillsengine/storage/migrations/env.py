"""Run by alembic, inside the transaction that `skillsengine.storage.migrate` has opened.

To add a revision: change `models.py`, write `versions/vNNNN_*.py`, raise HEAD in `migrate.py`. A test fails until the
three agree, and shows the difference.
"""

from __future__ import annotations

from alembic import context

from skillsengine.storage.migrate import VERSION_TABLE
from skillsengine.storage.models import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
