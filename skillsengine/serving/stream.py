"""Ads from an iterator to answers in its order, with bounded memory: read ahead in a thread, asked in a batch that rolls on."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from skillsengine.serving.texts import Text, Unread

if TYPE_CHECKING:
    from skillsengine.serving.extract import Extraction, Extractor

Item = TypeVar("Item")

AHEAD = 16
"""Batches of texts that are read, or answered and not given yet because an earlier one is not, at most."""


class Ahead(Generic[Item]):
    """Items of an iterator that is read in a thread of its own, at most `most` items ahead.

    Where the items come from a pipe, the thread may wait for one for ever: it ends with the process.
    """

    def __init__(self, items: Iterator[Item], most: int) -> None:
        self._queue: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(most)
        self._items = items
        self._over = False
        threading.Thread(target=self._read, name="read ahead", daemon=True).start()

    def take(self, most: int, wait: bool) -> list[Item] | None:
        """Up to `most` items that are there, with `wait` at least one; None when all were given.

        Raises what the iterator raised.
        """
        taken: list[Item] = []
        while len(taken) < most and not self._over:
            try:
                item = self._queue.get(block=wait and not taken)
            except queue.Empty:
                break
            if isinstance(item, BaseException):
                raise item
            if item is None:
                self._over = True
            else:
                taken.append(item[0])
        return None if self._over and not taken else taken

    def _read(self) -> None:
        try:
            for item in self._items:
                self._queue.put((item,))
        except BaseException as error:  # noqa: BLE001 - raised again where the items are taken
            self._queue.put(error)
        else:
            self._queue.put(None)


def in_order(
    extractor: Extractor, texts: Iterator[Text | Unread], tell: Callable[[Unread], None], *, ahead: int
) -> Iterator[tuple[Text, Extraction]]:
    """Each text with its skills, in the order in which they came; `tell` is called with what could not be read.

    A text is given as soon as it and all before it are answered. At most `ahead` texts are held, and as many read ahead.
    """
    reader = Ahead(texts, ahead)
    held: deque[Text] = deque()
    answers: dict[int, Extraction] = {}
    given = taken = 0

    def take(most: int, wait: bool) -> list[tuple[int, str]] | None:
        nonlocal taken
        items = reader.take(min(most, ahead - len(held)), wait)
        if items is None:
            return None
        found = []
        for item in items:
            if isinstance(item, Unread):
                tell(item)
            else:
                held.append(item)
                found.append((taken, item.text))
                taken += 1
        return found

    for number, answer in extractor.stream(take):
        answers[number] = answer
        while given in answers:
            yield held.popleft(), answers.pop(given)
            given += 1
