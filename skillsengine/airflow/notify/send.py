"""Sends a message over a connection of Airflow's: a mail over an SMTP one, a POST over an HTTP one.

Runs in tasks and, in a thread, in the triggerer. Nothing that a connection keeps secret (its password, its headers, the path
of a webhook) gets into a text of ours.
"""

from __future__ import annotations

import json
import smtplib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from skillsengine.airflow.connections import find_connection
from skillsengine.airflow.notify.message import Message
from skillsengine.sources.connection import variable_names

_SECONDS = 30.0
_WAITS = (0.5, 2.0)
"""Between the attempts of a POST. What is refused (4xx) is not tried again."""
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_GENERIC = (
    " Where Airflow lacks the HTTP provider, `airflow connections add` writes `generic` for `--conn-type http`; with "
    "`--conn-json` it keeps the type."
)
_OPTIONS = frozenset({"headers", "endpoint", "timeout", "verify"})


class NotifyError(Exception):
    """A message could not be sent; the text says over which connection, why, and the mend."""


def send(message: Message, connection_id: str, to: Sequence[str]) -> str:
    """Send `message` and say where it went, for a log. Raises NotifyError."""
    connection = _connection(connection_id)
    if connection.conn_type == "smtp":
        return _mail(message, connection_id, connection, to)
    if connection.conn_type in ("http", "https"):
        return _post(message, connection_id, connection)
    raise NotifyError(
        f"notify.connection: `{connection_id}` is of type `{connection.conn_type}`, and messages go over `smtp` or `http`. "
        f"Change its type, or name another connection in the spec.{_GENERIC if connection.conn_type == 'generic' else ''}"
    )


def _connection(connection_id: str) -> Any:
    try:
        return find_connection(connection_id)
    except AirflowNotFoundException:
        problem = "Airflow has no such connection"
    except (AirflowException, ValueError) as error:
        problem = f"Airflow does not hand it out ({type(error).__name__})"
    raise NotifyError(
        f"notify.connection: `{connection_id}`: {problem}. Make it (`airflow connections add {connection_id} --conn-type "
        f"smtp ...`, or the variable {variable_names(connection_id)[-1]} on workers and triggerer), or mend its name in "
        "the spec."
    )


def _mail(message: Message, connection_id: str, connection: Any, to: Sequence[str]) -> str:
    from airflow.providers.smtp.hooks.smtp import SmtpHook

    server = f"{connection.host or 'localhost'}:{connection.port or 'its default port'}"
    if not to:
        raise NotifyError(
            f"notify.to: empty, and `{connection_id}` is an SMTP connection. Say who gets the mails (to: [team@example.com])."
        )
    try:
        with SmtpHook(smtp_conn_id=connection.conn_id) as hook:
            hook.send_email_smtp(to=list(to), subject=message.subject, html_content=message.html)
    except (AirflowException, smtplib.SMTPException, OSError, ValueError) as error:
        raise NotifyError(
            f"notify.connection: no mail over `{connection_id}` ({server}): {_told(error)}. Look at its host, port and login; "
            "the extra fields it takes are `from_email` (needed), `disable_ssl` and `disable_tls`: a server with STARTTLS "
            "(port 587) wants disable_ssl, one with TLS from the start (465) disable_tls."
        ) from error
    return f"mail to {', '.join(to)} by {server}"


def _post(message: Message, connection_id: str, connection: Any) -> str:
    extra = connection.extra_dejson
    url = _address(connection_id, connection, extra)
    shown = str(url.copy_with(raw_path=b"/", username=None, password=None)).rstrip("/")
    said = "no answer"
    try:
        with httpx.Client(
            headers=_headers(extra),
            auth=(connection.login, connection.password or "") if connection.login else None,
            timeout=float(extra.get("timeout", _SECONDS)),
            verify=_verify(extra),
        ) as client:
            for wait in (*_WAITS, None):
                try:
                    answer = client.post(url, json=message.as_json())
                except httpx.TransportError as error:
                    said = _told(error)
                else:
                    if answer.is_success:
                        return f"POST to {shown}: {answer.status_code}"
                    said = f"it answered {answer.status_code}"
                    if answer.status_code not in _RETRIED:
                        break
                if wait is None:
                    break
                time.sleep(wait)
    except (
        OSError,
        ValueError,
        TypeError,
    ) as error:  # what its extra fields hold is no number, no certificate, no header
        said = _told(error)
    raise NotifyError(
        f"notify.connection: no POST over `{connection_id}` ({shown}): {said}. Look at its host, port, schema (http or https) "
        "and login; the path of a webhook goes into the extra field `endpoint`, further headers into `headers`."
    )


def _address(connection_id: str, connection: Any, extra: Mapping[str, Any]) -> httpx.URL:
    host, schema = connection.host or "", connection.schema or connection.conn_type
    mend = (
        "It needs a host and the schema http or https. In a URI what follows the host is the schema: the path of a webhook "
        "goes into the extra field `endpoint`."
    )
    if "://" not in host and schema not in ("http", "https"):
        raise NotifyError(f"notify.connection: `{connection_id}` has a schema that is neither http nor https. {mend}")
    try:
        base = httpx.URL(host if "://" in host else f"{schema}://{host}")
        if connection.port:
            base = base.copy_with(port=connection.port)
        if endpoint := str(extra.get("endpoint") or ""):
            base = base.copy_with(raw_path=b"/" + endpoint.lstrip("/").encode("ascii"))
    except (httpx.InvalidURL, UnicodeError, TypeError) as error:
        raise NotifyError(f"notify.connection: `{connection_id}` makes no address. {mend}") from error
    if base.scheme not in ("http", "https") or not base.host:
        raise NotifyError(f"notify.connection: `{connection_id}` makes no address. {mend}")
    return base


def _headers(extra: Mapping[str, Any]) -> dict[str, str]:
    """The headers of the extra field `headers`; as in Airflow's HTTP hook, other extra fields are headers too."""
    named = extra.get("headers") or {}
    if isinstance(named, str):
        named = json.loads(named)
    others = {name: value for name, value in extra.items() if name not in _OPTIONS and isinstance(value, (str, int))}
    return {str(name): str(value) for name, value in {**others, **dict(named)}.items()}


def _verify(extra: Mapping[str, Any]) -> Any:
    """True, False, or a context with the certificates of a file."""
    import ssl

    found = extra.get("verify", True)
    if isinstance(found, str) and found.lower() not in ("true", "false"):
        return ssl.create_default_context(cafile=found)
    return found if isinstance(found, bool) else str(found).lower() != "false"


def _told(error: BaseException) -> str:
    """An error in one short line. What a server quotes back may be long, and mail servers answer with bytes."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(". :")
