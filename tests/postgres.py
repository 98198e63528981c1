"""A real PostgreSQL of the tests' own: made in a temporary folder, on a free port of loopback, ended with the tests.

Its collation is a linguistic one (ICU, en-US), as people's servers have: what relies on the order of bytes shows.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

REQUIRED = "SKILLSENGINE_REQUIRE_POSTGRES"
"""Where it is set, a machine without PostgreSQL fails the tests that need one instead of skipping them."""
ADMIN = "skills"
_PR_SET_PDEATHSIG = 1


def binaries() -> Path:
    """The folder of initdb and postgres. Skips the test, or fails it where `REQUIRED` says so, if there is none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    if found := shutil.which("initdb"):
        places.insert(0, Path(found).resolve().parent)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    said = "PostgreSQL is not on this machine (apt-get install postgresql)"
    if os.environ.get(REQUIRED):
        pytest.fail(f"{said}, and {REQUIRED} is set")
    pytest.skip(said)


class Server:
    """One PostgreSQL. `stop` and `start` keep what is in it, and its port."""

    def __init__(self, folder: Path) -> None:
        self._bin, self._folder = binaries(), folder
        self._process: subprocess.Popen[bytes] | None = None
        # initdb and postgres refuse to work as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(folder, self._user, pwd.getpwnam(self._user).pw_gid)
        self._run("initdb", "-D", "data", "-U", ADMIN, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8",
                  "--locale-provider=icu", "--icu-locale=en-US")  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [self._bin / program, *words], cwd=self._folder, user=self._user, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def url(self, database: str = "postgres", user: str = ADMIN) -> str:
        return f"postgresql+psycopg://{user}@127.0.0.1:{self.port}/{database}"

    def start(self, **options: object) -> None:
        """Start it, with options of postgresql.conf, and wait until it answers."""
        told = {"fsync": "off", "full_page_writes": "off", "max_connections": 100, **options}
        told |= {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self._folder)}
        words = [word for name, value in told.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", "data", "-p", str(self.port), *words],
                cwd=self._folder,
                user=self._user,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
            )
        engine = create_engine(self.url())
        try:
            for _ in range(600):
                try:
                    engine.connect().close()
                    return
                except OperationalError:
                    assert self._process.poll() is None, (self._folder / "log").read_text()
                    time.sleep(0.05)
            pytest.fail(f"PostgreSQL does not answer: {(self._folder / 'log').read_text()}")
        finally:
            engine.dispose()

    def stop(self, by: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT closes what is open (as `pg_ctl restart` does), SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(60)
            self._process = None

    def sql(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the administrator, outside of a transaction."""
        engine = create_engine(self.url(database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(statement))
        engine.dispose()

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database, dropped in the end."""
        name = f"test_{uuid.uuid4().hex}"
        self.sql(f"CREATE DATABASE {name}")
        yield self.url(name)
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")


def _end_with_parent() -> None:
    # Tests that are killed leave no server behind: it gets SIGINT, which closes it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


@contextmanager
def serving() -> Iterator[Server]:
    """A server of one's own, running. Another user must reach its folder, which pytest's own keeps from it."""
    with tempfile.TemporaryDirectory(prefix="skills-postgres-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
