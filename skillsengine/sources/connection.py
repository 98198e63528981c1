"""Credentials of object stores and of the Hub, by the name of an Airflow connection.

What a connection keeps secret goes to the client library and nowhere else: not into an error, a log or the catalog.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from skillsengine.sources.errors import SourceError

Connect = Callable[[str], Mapping[str, Any]]
"""Connection id -> {"type", "login", "password", "host", "port", "schema", "extra": {...}}. Raises SourceError for an
unknown or unreadable one, SourceUnavailable if who keeps them does not answer."""

_FIELDS = ("login", "password", "host", "port", "schema")


def connection_names(connection_id: str) -> list[str]:
    """What a connection may be called: its id, or with `_` for all but letters and digits: no shell sets AIRFLOW_CONN_MY-ID."""
    return [*dict.fromkeys((connection_id, re.sub(r"\W", "_", connection_id)))]


def variable_names(connection_id: str) -> list[str]:
    """The variables that a connection may stand in. The last one can be set in any shell."""
    return [f"AIRFLOW_CONN_{name.upper()}" for name in connection_names(connection_id)]


def environment_connect(connection_id: str) -> Mapping[str, Any]:
    """A connection from the variable AIRFLOW_CONN_<ID>, a URI or JSON as Airflow writes them; for work outside of Airflow."""
    names = variable_names(connection_id)
    for name in names:
        if text := os.environ.get(name, "").strip():
            return _parse(text, connection_id, name)
    raise SourceError(
        f"data.connection: `{connection_id}` is not known here. Outside of Airflow it is read from {names[-1]} (a URI "
        "or JSON, as `airflow connections get` prints it). Set it, or leave data.connection out: then the environment's own "
        "credentials are taken."
    )


def _parse(text: str, connection_id: str, variable: str) -> Mapping[str, Any]:
    # Neither the text nor what a parser says about it is quoted: it holds the password.
    try:
        return _from_json(text) if text.startswith("{") else _from_uri(text)
    except ValueError:
        pass
    raise SourceError(
        f"data.connection: `{connection_id}`: {variable} holds neither JSON "
        '({"conn_type": "aws", "login": "...", "password": "...", "extra": {...}}) nor a URI '
        "(aws://login:password@/?region_name=..., with special letters written as %2F). Mend it."
    )


def _from_json(text: str) -> Mapping[str, Any]:
    fields = json.loads(text)
    return fields_of(fields.get("conn_type"), fields)


def _from_uri(text: str) -> Mapping[str, Any]:
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("no type")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    fields = {
        "login": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
        "host": unquote(parts.hostname) if parts.hostname else None,
        "port": parts.port,
        "schema": unquote(parts.path[1:]) or None,
        "extra": query.get("__extra__", query),
    }
    return fields_of(parts.scheme.replace("-", "_"), fields)


def fields_of(kind: str | None, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """A connection in the form of `Connect`; `extra` may be JSON text. Raises ValueError if it is no object."""
    extra = fields.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    if not isinstance(extra, Mapping):
        raise ValueError("extra is no object")
    return {"type": kind or "", **{name: fields.get(name) for name in _FIELDS}, "extra": dict(extra)}


def storage_options(scheme: str, connection_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with which fsspec opens a store of `scheme` (`s3`, `gs`) with a connection.

    Raises SourceError for a connection of another type, and for a way to get credentials that is not supported.
    """
    extra = fields["extra"]
    return (_s3 if scheme == "s3" else _gs)(connection_id, fields, extra)


def _s3(connection_id: str, fields: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    _check(connection_id, fields, ("aws", "s3"), "s3", ("role_arn", "assume_role_method", "assume_role_kwargs"))
    service = extra.get("service_config", {})
    own = service.get("s3", {}) if isinstance(service, Mapping) else {}
    options = {
        "key": fields["login"] or extra.get("aws_access_key_id"),
        "secret": fields["password"] or extra.get("aws_secret_access_key"),
        "token": extra.get("aws_session_token"),
        "endpoint_url": own.get("endpoint_url") or extra.get("endpoint_url"),
        "profile": extra.get("profile_name"),
    }
    if (options["key"] is None) != (options["secret"] is None):
        raise SourceError(
            f"data.connection: `{connection_id}` has only one of login (the access key's id) and password (the secret "
            "access key). Give both, or neither: then the environment's own credentials are taken."
        )
    found = {name: value for name, value in options.items() if value}
    return found | ({"client_kwargs": {"region_name": extra["region_name"]}} if extra.get("region_name") else {})


def _gs(connection_id: str, fields: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    # Airflow wrote the names with a prefix once, and still reads such connections.
    extra = {name.removeprefix("extra__google_cloud_platform__"): value for name, value in extra.items()}
    _check(
        connection_id,
        {**fields, "extra": extra},
        ("google_cloud_platform", "gcs"),
        "gs",
        ("key_secret_name", "impersonation_chain", "credential_config_file"),
    )
    token: Any = extra.get("key_path")
    if keyfile := extra.get("keyfile_dict"):
        try:
            token = json.loads(keyfile) if isinstance(keyfile, str) else dict(keyfile)
        except ValueError:
            token = None
        if not isinstance(token, dict):
            raise SourceError(
                f"data.connection: `{connection_id}`: the extra field `keyfile_dict` is no JSON object. Put the text of the "
                "service account's key file there, or its path into `key_path`."
            )
    elif token and not os.path.isfile(token):  # noqa: PTH113 - a text from outside, which may be no path at all
        raise SourceError(
            f"data.connection: `{connection_id}`: the extra field `key_path` names {token}, and there is no such file on this "
            "machine. Put the service account's key file there on every worker, or its text into `keyfile_dict`."
        )
    if extra.get("is_anonymous") in (True, "true", "True", "1"):
        token = "anon"
    options = {"token": token, "project": extra.get("project"), "endpoint_url": extra.get("endpoint_url")}
    return {name: value for name, value in options.items() if value}


def hub_token(connection_id: str, fields: Mapping[str, Any]) -> str:
    """The token for the Hub: the connection's password. Raises SourceError if it has none."""
    if token := fields["password"] or fields["extra"].get("token"):
        return str(token)
    raise SourceError(
        f"data.connection: `{connection_id}` has no password, which holds the token for an `hf://` source. Put it there, or "
        "leave data.connection out: then HF_TOKEN or the login of `hf auth login` is taken."
    )


def _check(
    connection_id: str, fields: Mapping[str, Any], kinds: tuple[str, ...], scheme: str, unsupported: tuple[str, ...]
) -> None:
    if fields["type"] not in kinds:
        raise SourceError(
            f"data.connection: `{connection_id}` is of type `{fields['type']}`; an `{scheme}://` source wants one of type "
            f"`{kinds[0]}`. Name another connection, or change its type."
        )
    for name in unsupported:
        if fields["extra"].get(name):
            raise SourceError(
                f"data.connection: `{connection_id}` asks for `{name}`, which is not supported here. Leave data.connection out "
                "and give the workers these credentials themselves (a role of the machine, a profile, a credentials file)."
            )
