"""What reading a file has shown is remembered by the state that the file was in, so that an unchanged one is read once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

_SETTLED_NS = 2_000_000_000
"""File systems keep times in steps of up to 2 s: a file that changed so shortly ago may change again without showing it."""


class Memory(Protocol):
    """Who remembers: the catalog. Values are plain JSON."""

    def recall_reading(self, uri: str, question: str, state: str) -> Any | None:
        """What was found out about `question`, if the file is still in the same state."""

    def remember_reading(self, uri: str, question: str, state: str, answer: Any) -> None: ...


class Forgetful:
    """Remembers nothing."""

    def recall_reading(self, uri: str, question: str, state: str) -> None:
        return None

    def remember_reading(self, uri: str, question: str, state: str, answer: Any) -> None: ...


def local_state(path: Path) -> str:
    """What tells this state of a local file from another one. Raises OSError.

    Size and times to the nanosecond, and which file on which disk it is. The time of change (ctime) is in it because
    copying tools set the time of modification back, and nothing sets that one.
    """
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def is_settled(path: Path, now_ns: int) -> bool:
    """Whether a local file was last changed so long before `now_ns` (nanoseconds since 1970) that a further change would
    show in its times. A file dated in the future is not. Raises OSError."""
    found = path.stat()
    return max(found.st_mtime_ns, found.st_ctime_ns) + _SETTLED_NS < now_ns
