"""A door on loopback before a server: open, gone (nobody listens), or a black hole that takes every byte and never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Door:
    """Hands bytes on to a port of loopback, both ways, while it is open."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._listening: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._hole = False
        self.port = 0
        self.reopen()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reopen(self) -> None:
        """At the same port as before."""
        self.go_away()
        self._hole = False
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, args=(self._listening,), daemon=True).start()

    def go_away(self) -> None:
        """Connections break, and new ones are refused."""
        if self._listening is not None:
            with suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
            self._listening = None
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._open.clear()

    def swallow(self) -> None:
        """Connections stay and new ones are taken; nothing comes back."""
        self._hole = True

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                return
            self._open |= {client, server}
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._hand_on, args=(one, other), daemon=True).start()

    def _hand_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if not self._hole:
                    other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@contextmanager
def door_to(upstream: int) -> Iterator[Door]:
    """A door to a port of loopback, on a free port, open at first."""
    door = Door(upstream)
    try:
        yield door
    finally:
        door.go_away()
