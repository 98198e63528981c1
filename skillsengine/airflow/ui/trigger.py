"""Starts a run for the user who asks, as Airflow's own API does: in its database, by its rules, in the user's name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.exceptions import ParamValidationError
from airflow.models.dag import DagModel
from airflow.models.dagbag import DBDagBag
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from fastapi import HTTPException

from skillsengine.airflow.ui.access import Access


def trigger(
    access: Access,
    dag_id: str,
    conf: Mapping[str, Any],
    *,
    prefix: str = "manual",
    run_id: str | None = None,
    note: str = "",
) -> str:
    """Start a run, and return its id: the given one, else `<prefix>__<time>__<chance>`. The caller has asked whether the user
    may.

    Raises HTTPException: 409 where Airflow does not have the DAG (yet), 422 for values that its form does not take; with a
    given id sqlalchemy.exc.IntegrityError where there is such a run.
    """
    session = access.session
    model = session.get(DagModel, dag_id)
    dag = None if model is None or model.is_stale else DBDagBag().get_latest_version_of_dag(dag_id, session=session)
    if dag is None:
        raise HTTPException(
            409,
            f"Airflow does not have the DAG {dag_id}. It makes it seconds after it has read the spec; try again then.",
        )
    now = datetime.now(UTC)
    # The chance part is long: who does not know a run's id does not find it by trying.
    run_id = run_id or f"{prefix}__{now:%Y%m%dT%H%M%S}__{secrets.token_hex(8)}"
    try:
        run = dag.create_dagrun(
            run_id=run_id,
            run_after=now,
            conf=dict(conf),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.UI,
            triggering_user_name=access.user.get_name(),
            state=DagRunState.QUEUED,
            session=session,
        )
    except (ParamValidationError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    if note:
        run.note = (note, access.user_id)
    session.commit()
    return run_id
