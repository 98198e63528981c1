"""Airflow's connections: from its database, its secrets backends, or AIRFLOW_CONN_ variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError, AirflowSecretsBackendAccessDenied

from skillsengine.sources.connection import connection_names, fields_of, variable_names
from skillsengine.sources.errors import SourceError, SourceUnavailable


def find_connection(connection_id: str) -> Connection:
    """The connection of that id, or else of the name with which any shell can set its variable, as outside of Airflow.

    Raises AirflowNotFoundException where there is neither, and what else Airflow raises.
    """
    *firsts, last = connection_names(connection_id)
    for name in firsts:
        with suppress(AirflowNotFoundException):
            return BaseHook.get_connection(name)
    return BaseHook.get_connection(last)


def airflow_connect(connection_id: str) -> Mapping[str, Any]:
    """The fields of a connection, for the stages of a task; Airflow hides its secrets in the task's log.

    Raises SourceError if Airflow has no such connection or its extra fields are no JSON, SourceUnavailable if Airflow does
    not hand it out now.
    """
    try:
        found = find_connection(connection_id)
    except AirflowNotFoundException:
        raise SourceError(
            f"data.connection: `{connection_id}`: Airflow has no such connection. Make it (`airflow connections add "
            f"{connection_id} --conn-type ...`, or the variable {variable_names(connection_id)[-1]} on the workers), mend its "
            "name in the spec, or leave data.connection out: then the workers' own credentials are taken."
        ) from None
    except AirflowSecretsBackendAccessDenied as error:
        raise SourceError(
            f"data.connection: `{connection_id}`: Airflow denies it to this task. Allow it there, or name another connection."
        ) from error
    except AirflowRuntimeError as error:
        raise SourceUnavailable(
            f"data.connection: `{connection_id}`: Airflow does not hand it out now ({error.error.error.value})."
        ) from error
    fields = {name: getattr(found, name) for name in ("login", "password", "host", "port", "schema")}
    try:
        json.loads(found.extra or "{}")
        return fields_of(found.conn_type, {**fields, "extra": found.extra_dejson})  # it masks what is in it
    except ValueError:
        pass  # nothing of it is quoted: it may hold secrets
    raise SourceError(
        f"data.connection: `{connection_id}`: its extra fields are no JSON object. Mend them in Airflow (Admin, Connections)."
    )
