"""Who asks, and which DAGs they may read or start: always Airflow's auth manager that says so, at every request.

An experiment is read by whoever may read its DAG; of its parts, the spec by whoever may read the DAG's code, runs and what they
made by whoever may read the DAG's runs. What may not be read is "not found", so that nobody learns which names there are.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException

from skillsengine.spec.schema import NAME_PATTERN

NOT_FOUND = "There is no such experiment, or you may not read it."


class Access:
    """What one user may do, during one request. `session` is one of Airflow's database."""

    def __init__(self, user: Any, session: Any) -> None:
        self.user, self.session = user, session
        self._manager = get_auth_manager()

    @property
    def user_id(self) -> str:
        return str(self.user.get_id())

    @cached_property
    def readable(self) -> frozenset[str]:
        """The ids of all DAGs that they may read: one query, and one question for each DAG only to auth managers that know no
        better."""
        return frozenset(self._manager.get_authorized_dag_ids(user=self.user, method="GET", session=self.session))

    def may_read(self, dag_id: str) -> bool:
        return self._may("GET", dag_id, None)

    def may_read_new(self, dag_id: str, team: str | None) -> bool:
        """Of a DAG that Airflow does not have yet."""
        details = DagDetails(id=dag_id, team_name=team)
        return bool(self._manager.is_authorized_dag(method="GET", details=details, user=self.user))

    def may_read_code(self, dag_id: str) -> bool:
        return self._may("GET", dag_id, DagAccessEntity.CODE)

    def may_read_runs(self, dag_id: str) -> bool:
        return self._may("GET", dag_id, DagAccessEntity.RUN)

    def with_readable_runs(self, dag_ids: Collection[str]) -> frozenset[str]:
        """Those of the readable ones whose runs they may read too: one query more than `readable` takes."""
        asked = sorted(self.readable.intersection(dag_ids))
        teams = DagModel.get_dag_id_to_team_name_mapping(asked, session=self.session)
        details = (DagDetails(id=dag_id, team_name=teams.get(dag_id)) for dag_id in asked)
        return frozenset(
            each.id
            for each in details
            if self._manager.is_authorized_dag(
                method="GET", access_entity=DagAccessEntity.RUN, details=each, user=self.user
            )
        )

    def may_trigger(self, dag_id: str) -> bool:
        return self._may("POST", dag_id, DagAccessEntity.RUN)

    @cached_property
    def sees_import_errors(self) -> bool:
        return bool(self._manager.is_authorized_view(access_view=AccessView.IMPORT_ERRORS, user=self.user))

    def _may(self, method: str, dag_id: str, entity: DagAccessEntity | None) -> bool:
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id, session=self.session))
        return bool(
            self._manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=self.user)
        )


def get_access(user: GetUserDep, session: SessionDep) -> Access:
    """A dependency of every route but that of static files. Raises HTTPException 401 without a token."""
    return Access(user, session)


Asking = Annotated[Access, Depends(get_access)]


def checked_name(name: str) -> str:
    """The name of an experiment, or HTTPException 404: what is no name never comes near a path or a query."""
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise HTTPException(404, NOT_FOUND)
    return name
