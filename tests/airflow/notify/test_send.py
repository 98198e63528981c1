"""Messages over real connections to real servers on this machine."""

from __future__ import annotations

import datetime
import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from skillsengine.airflow.notify import send as module
from skillsengine.airflow.notify.message import About, Message, failure
from skillsengine.airflow.notify.send import NotifyError, send
from tests.sinks import MailSink, PostSink

MESSAGE: Message = failure(
    About("job", "job", "manual__1", "manual", "2026-03", "http://127.0.0.1/dags/job/runs/manual__1"),
    "finetune: größer als der Speicher",
)
PLAIN = {"from_email": "skills@example.com", "disable_ssl": True, "disable_tls": True}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the connection `team`."""

    def make(**fields: Any) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", json.dumps(fields))

    monkeypatch.setattr(module, "_WAITS", (0.0, 0.0))
    return make


def problem(to: tuple[str, ...] = ()) -> str:
    with pytest.raises(NotifyError) as caught:
        send(MESSAGE, "team", to)
    return str(caught.value)


def test_a_mail_arrives(connect: Any) -> None:
    with MailSink() as sink:
        connect(conn_type="smtp", host="127.0.0.1", port=sink.port, extra=PLAIN)
        where = send(MESSAGE, "team", ["ann@example.com", "bob@example.com"])
    assert where == f"mail to ann@example.com, bob@example.com by 127.0.0.1:{sink.port}"
    (mail,) = sink.mails
    assert (mail.sender, mail.to) == ("skills@example.com", ("ann@example.com", "bob@example.com"))
    assert mail.message["subject"] == "[skillsengine] job 2026-03: failed in finetune"
    assert "größer als der Speicher" in mail.body


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_login_over_starttls(connect: Any, tmp_path: Path) -> None:
    """The usual mail server: port 587, STARTTLS, a login. (The hook's asynchronous way fails here.)"""
    with MailSink(login=("skills", "correct horse"), tls=certificate(tmp_path)) as sink:
        extra = {"from_email": "skills@example.com", "disable_ssl": True, "ssl_context": "none"}
        fields = {"conn_type": "smtp", "host": "127.0.0.1", "port": sink.port, "login": "skills", "extra": extra}
        connect(**fields, password="correct horse")
        send(MESSAGE, "team", ["ann@example.com"])
        assert len(sink.mails) == 1
        connect(**fields, password="wrong battery")
        text = problem(("ann@example.com",))
        assert text.startswith(
            f"notify.connection: no mail over `team` (127.0.0.1:{sink.port}): SMTPAuthenticationError: "
        )
        assert "Look at its host, port and login" in text and "battery" not in text
        connect(**fields | {"extra": extra | {"ssl_context": "default"}}, password="correct horse")
        assert "SSLCertVerificationError" in problem(("ann@example.com",))
    assert len(sink.mails) == 1


def test_mails_that_cannot_be_sent(connect: Any) -> None:
    with MailSink() as sink:
        sink.refused["ann@example.com"] = "550 no such person"
        fields = {"conn_type": "smtp", "host": "127.0.0.1", "port": sink.port}
        connect(**fields, extra=PLAIN)
        assert "SMTPRecipientsRefused" in problem(("ann@example.com",))
        assert problem() == (
            "notify.to: empty, and `team` is an SMTP connection. Say who gets the mails (to: [team@example.com])."
        )
        connect(**fields, extra=PLAIN | {"from_email": None})
        assert "You should provide `from_email`" in problem(("ann@example.com",))
        connect(**fields)
        assert "WRONG_VERSION_NUMBER" in problem(("ann@example.com",)), "TLS from the start is the default"
        connect(**fields, extra=PLAIN | {"timeout": "soon"})
        assert "ValueError" in problem(("ann@example.com",))
    connect(**fields, extra=PLAIN)
    assert "ConnectionRefusedError" in problem(("ann@example.com",))
    assert sink.mails == []


def test_a_post_arrives(connect: Any) -> None:
    extra = {"endpoint": "/hooks/T0/s3cret?thread=1", "headers": {"X-Team": "skills"}, "X-Old": "way", "timeout": 5}
    with PostSink() as sink:
        connect(conn_type="http", host="127.0.0.1", port=sink.port, login="me", password="pass", extra=extra)
        assert send(MESSAGE, "team", []) == f"POST to http://127.0.0.1:{sink.port}: 200", "the path may be a secret"
    (post,) = sink.posts
    assert post.path == "/hooks/T0/s3cret?thread=1" and post.body == MESSAGE.as_json()
    assert post.headers["content-type"] == "application/json"
    assert (post.headers["x-team"], post.headers["x-old"]) == ("skills", "way")
    assert post.headers["authorization"] == "Basic bWU6cGFzcw=="


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:{port}", "http://127.0.0.1:{port}/http", "http://http%3A%2F%2F127.0.0.1%3A{port}"]
)
def test_the_ways_to_write_an_address(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with PostSink() as sink:
        monkeypatch.setenv("AIRFLOW_CONN_TEAM", uri.format(port=sink.port))
        send(MESSAGE, "team", [])
    assert [post.path for post in sink.posts] == ["/"]


def test_a_server_that_is_busy_for_a_moment(connect: Any) -> None:
    with PostSink((503, 429, 204)) as sink:
        connect(conn_type="http", host="127.0.0.1", port=sink.port)
        send(MESSAGE, "team", [])
        assert len(sink.posts) == 3


def test_posts_that_cannot_be_sent(connect: Any) -> None:
    with PostSink((404,)) as sink:
        connect(conn_type="http", host="127.0.0.1", port=sink.port, extra={"endpoint": "s3cret"})
        assert problem() == (
            f"notify.connection: no POST over `team` (http://127.0.0.1:{sink.port}): it answered 404. Look at its host, port, "
            "schema (http or https) and login; the path of a webhook goes into the extra field `endpoint`, further headers "
            "into `headers`."
        )
        assert len(sink.posts) == 1, "a refusal is not tried again"
    assert "ConnectError" in problem()
    connect(conn_type="http", host="127.0.0.1", port=sink.port, extra={"timeout": "soon"})
    assert "ValueError" in problem()
    connect(conn_type="http", host="127.0.0.1", port=sink.port, extra={"headers": "no json"})
    assert "JSONDecodeError" in problem()
    connect(conn_type="https", host="127.0.0.1", port=sink.port, extra={"verify": "/nowhere.pem"})
    assert "FileNotFoundError" in problem()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"conn_type": "http", "host": "x", "schema": "services/T0"}, "a schema that is neither http nor https"),
        ({"conn_type": "http"}, "`team` makes no address"),
        ({"conn_type": "http", "host": "ftp://x"}, "`team` makes no address"),
        ({"conn_type": "http", "host": "x", "extra": {"endpoint": "ä"}}, "`team` makes no address"),
        ({"conn_type": "postgres", "host": "x"}, "`team` is of type `postgres`, and messages go over `smtp` or `http`"),
        (
            {"conn_type": "generic", "host": "x"},
            "spec. Where Airflow lacks the HTTP provider, `airflow",
        ),
    ],
)
def test_connections_that_lead_nowhere(connect: Any, fields: dict[str, Any], text: str) -> None:
    connect(**fields)
    assert text in problem()


def test_a_name_that_no_shell_takes_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`airflow connections add` takes hyphens, `export AIRFLOW_CONN_TEAM-HOOK=...` does not."""
    with PostSink() as sink, MailSink() as mails:
        monkeypatch.setenv("AIRFLOW_CONN_TEAM_HOOK", f"http://127.0.0.1:{sink.port}")
        mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": mails.port, "extra": PLAIN}
        monkeypatch.setenv("AIRFLOW_CONN_TEAM_MAIL", json.dumps(mail))
        send(MESSAGE, "team-hook", ())
        send(MESSAGE, "team-mail", ("b@example.com",))
    assert len(sink.posts) == len(mails.mails) == 1
    with pytest.raises(
        NotifyError, match=r"`no-team`: Airflow has no such connection.*variable AIRFLOW_CONN_NO_TEAM on"
    ):
        send(MESSAGE, "no-team", ())


def test_a_connection_that_is_not_there() -> None:
    assert problem() == (
        "notify.connection: `team`: Airflow has no such connection. Make it (`airflow connections add team --conn-type smtp "
        "...`, or the variable AIRFLOW_CONN_TEAM on workers and triggerer), or mend its name in the spec."
    )


def test_a_server_that_never_answers_is_not_waited_for_for_ever(connect: Any) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        connect(conn_type="http", host="127.0.0.1", port=silent.getsockname()[1], extra={"timeout": 0.2})
        assert "ReadTimeout" in problem()
        assert time.monotonic() - started < 5
