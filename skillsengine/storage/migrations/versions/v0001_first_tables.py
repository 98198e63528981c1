"""The first tables. There is no way back from here: without them it is no catalog."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("dag_id", sa.String, nullable=False),
        sa.Column("run_id", sa.String, nullable=False),
        sa.Column("experiment", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("partition", sa.String),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("spec_commit", sa.String),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("note", sa.String, nullable=False),
        sa.Column("error", sa.String),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint("dag_id", "run_id", name="uq_runs_dag_id_run_id"),
    )
    op.create_index("ix_runs_experiment", "runs", ["experiment"])
    op.create_table(
        "steps",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("step_id", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("progress", sa.JSON, nullable=False),
        sa.Column("seconds", sa.Double),
        sa.Column("summary", sa.JSON, nullable=False),
        sa.Column("error", sa.String),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_steps"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_steps_run_id"),
        sa.UniqueConstraint("run_id", "step_id", name="uq_steps_run_id_step_id"),
    )
    op.create_table(
        "artifacts",
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("stage", sa.String, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_artifacts"),
    )
    op.create_index("ix_artifacts_stage", "artifacts", ["stage"])
    op.create_table(
        "cells",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("experiment", sa.String, nullable=False),
        sa.Column("partition", sa.String, nullable=False),
        sa.Column("data_digest", sa.String, nullable=False),
        sa.Column("artifact_digest", sa.String, nullable=False),
        sa.Column("stage_version", sa.Integer, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("adapter_digest", sa.String),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_cells"),
        sa.UniqueConstraint(
            "artifact_digest", "experiment", "partition", name="uq_cells_artifact_digest_experiment_partition"
        ),
    )
    op.create_index("ix_cells_experiment", "cells", ["experiment"])
    op.create_index("ix_cells_adapter_digest", "cells", ["adapter_digest"])
    op.create_table(
        "models",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("last_number", sa.Integer, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_models"),
    )
    op.create_table(
        "versions",
        sa.Column("model", sa.String, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("adapter_digest", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("experiment", sa.String, nullable=False),
        sa.Column("partition", sa.String),
        sa.Column("run_id", sa.Integer),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("artifact_digest", sa.String),
        sa.Column("path", sa.String),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("lineage", sa.JSON, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("model", "number", name="pk_versions"),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name="fk_versions_model"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_versions_run_id"),
        sa.UniqueConstraint("model", "adapter_digest", name="uq_versions_model_adapter_digest"),
    )
    op.create_table(
        "aliases",
        sa.Column("model", sa.String, nullable=False),
        sa.Column("alias", sa.String, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("moved", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "alias", name="pk_aliases"),
        sa.ForeignKeyConstraint(
            ["model", "number"], ["versions.model", "versions.number"], name="fk_aliases_model_number"
        ),
    )
    op.create_table(
        "alias_moves",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("alias", sa.String, nullable=False),
        sa.Column("old_number", sa.Integer),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("moved", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alias_moves"),
        sa.ForeignKeyConstraint(
            ["model", "number"], ["versions.model", "versions.number"], name="fk_alias_moves_model_number"
        ),
    )
    op.create_table(
        "leases",
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("owner", sa.String),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_leases"),
    )
