"""One thread that owns the model and answers the texts of many requests in one batch that rolls on.

A new request does not wait until the batch is done: its texts join as soon as a quarter of the rows is free. Requests take
turns text by text, and texts part by part, so that a large one holds up no small one.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from skillsengine.serving.extract import Extraction, Extractor

_LOG = logging.getLogger(__name__)
_LONGEST_RETRY = 60
"""Seconds after which a client that was sent away may come again, at most."""


class Full(Exception):
    """As many requests are waiting as may."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"come again in {seconds} s")
        self.seconds = seconds
        """After which it is worth trying again."""


class Closed(Exception):
    """The worker takes no more requests."""


@dataclass(eq=False)
class _Request:
    texts: Sequence[str]
    done: Future[list[Extraction]] = field(default_factory=Future)
    given: int = 0
    """Texts that the model was given."""
    found: dict[int, Extraction] = field(default_factory=dict)
    """Text -> its skills."""
    since: float = field(default_factory=time.monotonic)


class Worker:
    """Answers until it is closed. Its methods may be called from any thread."""

    def __init__(self, extractor: Extractor, *, most: int) -> None:
        """`most`: requests that may be open at once."""
        self._extractor, self._most = extractor, most
        self._changed = threading.Condition(threading.RLock())
        self._open: set[_Request] = set()
        self._waiting: deque[_Request] = deque()
        """Requests with texts that the model was not given yet."""
        self._closing = False
        self._took = 1.0
        """Seconds that the newest request took."""
        self.answered = 0
        """Texts so far."""
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def ask(self, texts: Sequence[str]) -> Future[list[Extraction]]:
        """The skills of each text, in their order, some time later; cancel it to drop what the model was not given yet.

        Raises Full, Closed.
        """
        request = _Request(texts)
        with self._changed:
            if self._closing:
                raise Closed
            if len(self._open) >= self._most:
                raise Full(max(1, min(_LONGEST_RETRY, math.ceil(self._took))))
            self._open.add(request)
            self._waiting.append(request)
            self._changed.notify()
        request.done.add_done_callback(lambda _: self._forget(request))
        return request.done

    @property
    def ready(self) -> bool:
        """Whether it takes requests."""
        return self._thread.is_alive() and not self._closing

    @property
    def waiting(self) -> int:
        """Requests that are open: at work, or waiting for it."""
        return len(self._open)

    def close(self) -> None:
        """Take no more requests, answer those that are open, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _forget(self, request: _Request) -> None:
        with self._changed:
            self._open.discard(request)
            if request in self._waiting:
                self._waiting.remove(request)

    def _run(self) -> None:
        while True:
            try:
                for (request, place), found in self._extractor.stream(self._take):
                    self._found(request, place, found)
                return
            except Exception as error:  # noqa: BLE001 - those who wait are told, and the next ones are answered
                _LOG.exception("answering failed")
                with self._changed:
                    failed = list(self._open)
                for request in failed:
                    if request.done.set_running_or_notify_cancel():
                        request.done.set_exception(error)

    def _take(self, most: int, wait: bool) -> list[tuple[tuple[_Request, int], str]] | None:
        with self._changed:
            while wait and not self._waiting:
                if self._closing:
                    return None
                self._changed.wait()
            taken: list[tuple[tuple[_Request, int], str]] = []
            while self._waiting and len(taken) < most:
                request = self._waiting.popleft()
                taken.append(((request, request.given), request.texts[request.given]))
                request.given += 1
                if request.given < len(request.texts):
                    self._waiting.append(request)
            return taken

    def _found(self, request: _Request, place: int, found: Extraction) -> None:
        self.answered += 1
        request.found[place] = found
        # False for a request that was dropped meanwhile.
        if len(request.found) == len(request.texts) and request.done.set_running_or_notify_cancel():
            self._took = time.monotonic() - request.since
            request.done.set_result([request.found[each] for each in range(len(request.texts))])
