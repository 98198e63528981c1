"""The process list, looked at while something runs: whoever has an account on a machine reads every command line on it."""

from __future__ import annotations

import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class ProcessList:
    """Collects the command lines of all processes, ten times a second, until it is left."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="process-list", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def texts(self) -> dict[str, str]:
        return {f"process `{line[:80]}`": line for line in self.lines}

    def _watch(self) -> None:
        while True:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.lines.add(path.read_bytes().replace(b"\0", b" ").decode(errors="surrogateescape"))
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it has ended meanwhile
            if self._ended.wait(0.1):
                return
