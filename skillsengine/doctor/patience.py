"""Bounded waiting: a look that hangs (a server that accepts and never answers, a name that is looked up for ever) is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NoAnswer(Exception):
    """A look was not done in time; the text says in which."""


class NotBegun(NoAnswer):
    """Those before it took all the time."""


class Patience:
    """Seconds that one look, and all of them together, may take."""

    def __init__(self, each: float, total: float) -> None:
        self._each, self._total, self._left = each, total, total

    def ask(self, look: Callable[[], T]) -> T:
        """What `look` returns or raises. Raises NoAnswer and NotBegun.

        It runs in a thread of its own, which is left alone where it hangs and ends with the process: not every library's
        time-out counts the look-up of a name, or the pauses between its repeats.
        """
        if self._left <= 0:
            raise NotBegun(f"not looked at: those before it took all of {self._total:.0f} s")
        returned: list[T] = []
        raised: list[BaseException] = []

        def run() -> None:
            try:
                returned.append(look())
            except BaseException as error:  # noqa: BLE001 - raised again below, in the caller's thread
                raised.append(error)

        thread = threading.Thread(target=run, name="doctor-look", daemon=True)
        limit, began = min(self._each, self._left), time.monotonic()
        thread.start()
        thread.join(limit)
        self._left -= time.monotonic() - began
        if raised:
            raise raised[0]
        if not returned:
            raise NoAnswer(f"no answer within {limit:.0f} s")
        return returned[0]
