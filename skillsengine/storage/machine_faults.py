"""What the machine refuses, told to people: a full disk, a folder that may not be written, no more open files."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

from skillsengine.storage.files import free_space

_NO_MORE_FILES = (
    "no more files can be opened: this process may have {} open at once. Raise that number (`ulimit -n`; LimitNOFILE of a "
    "systemd unit), then run it again"
)


def machine_fault(what: str, error: BaseException, root: Path | None, mend: str) -> str | None:
    """That `what` ("the format artifact could not be made") was not done since the machine refuses, and the mend; None where
    the error says something else. `root` is the folder that was written, where it is known; `mend` how to take another."""
    if files := out_of_files(error):
        return f"{what}: {files}."
    if denied := not_writable(error, root):
        return (
            f"{what}: {root or 'the place'} may not be written: {denied.strerror} ({denied.filename}). Give the user "
            f"{os.geteuid()} the right to, mount it to be written, or {mend}; then run it again."
        )
    full = disk_full(error)
    if full is None:
        return None
    place = _full_place(full, root)
    return (
        f"the disk is full: {what}, writing under {place} failed ({free_space(place)}). Nothing half-written stays. Free some "
        f"space there, or {mend}, then run it again."
    )


def _full_place(full: BaseException, root: Path | None) -> Path:
    """The folder to name: `root`, unless a library has filled the disk of its own temporary files."""
    name = full.filename if isinstance(full, OSError) else None
    if not isinstance(name, (str, bytes)):
        return root or Path.cwd()
    named = Path(os.fsdecode(name))
    return root if root and named.is_relative_to(root) else named.parent


def disk_full(error: BaseException) -> BaseException | None:
    """The error, or the one that it was raised from, that says that the disk or the quota is full; None if none does."""
    return _saying(error, errno.ENOSPC, errno.EDQUOT)


def out_of_files(error: BaseException) -> str | None:
    """For people: that this process, or the machine, can open no more files, and the mend; None of other errors."""
    if _saying(error, errno.EMFILE, errno.ENFILE) is None:
        return None
    return _NO_MORE_FILES.format(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def files_left() -> str | None:
    """What `out_of_files` says, where a library does not tell why it could open nothing; None where one can be opened now."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return out_of_files(error)
    return None


def not_writable(error: BaseException, folder: Path | None) -> OSError | None:
    """The error, or the one that it was raised from, by which the system refuses something below `folder`, or anywhere: it is
    mounted to be read only, or belongs to others. None if none does."""
    found = _saying(error, errno.EROFS, errno.EACCES, errno.EPERM)
    if isinstance(found, OSError) and isinstance(found.filename, (str, bytes)):
        return found if folder is None or Path(os.fsdecode(found.filename)).is_relative_to(folder) else None
    return None


def _saying(error: BaseException, *numbers: int) -> BaseException | None:
    """Native libraries (safetensors, Arrow) wrap the system's error into one of their own, so its text counts too."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in numbers:
            return seen
        if any(os.strerror(number) in str(seen) for number in numbers):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
