"""experiments/ -> a folder of DAG files, one a spec. What the bundle does at each refresh, and `skillsengine compile`.

A spec that no longer compiles keeps its last good file and gets a second one, `<spec>.yaml.py`, that raises what is
wrong: Airflow shows it as an import error, and the DAG with its running runs goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from skillsengine.airflow.dagfile import MARKER, broken_file, good_file
from skillsengine.settings import SettingsError
from skillsengine.spec.errors import Problem, SpecError
from skillsengine.spec.load import Loaded, check_specs, resolved
from skillsengine.spec.schema import NAME_PATTERN

_LOCK = ".skillsengine.lock"
_MAX_NAME = 255
"""Bytes."""
_REFUSED = "_env.py"
"""No spec has this name: those that begin with `_` are none."""
_HEAD = len(MARKER.encode())


@dataclass(frozen=True)
class CompileReport:
    """What one pass did. Names are relative to the folder that was written into."""

    written: tuple[str, ...] = ()
    """Files that are new or changed."""
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    errors: tuple[SpecError, ...] = field(default=())
    """One a spec that does not compile."""

    @property
    def changed(self) -> bool:
        return bool(self.written or self.removed)


def compile_experiments(
    experiments: Path, out: Path, *, project: Path | None = None, overlay: Path | None = None
) -> CompileReport:
    """Make `out` hold one DAG file for every spec of `experiments`, and none of ours for specs that are gone.

    The files remember `project`, by default the folder above `experiments`, as where a task finds what belongs to it.
    The values of the file `overlay` are laid over every spec, and stand in the DAG files: tasks read no overlay.

    Files that do not begin with the marker are never touched; where one stands in the way, the spec gets an error file.
    May run in several processes at once: a lock file in `out` lets them take turns. Raises OSError if `out` cannot be
    written, and SettingsError if `experiments` is not there: a disk that is away for a moment must not take all DAGs along.
    """
    experiments, out = experiments.resolve(), out.resolve()
    if not experiments.is_dir():
        raise SettingsError(f"{experiments}: there is no such folder. The DAG files in {out} stay as they are.")
    out.mkdir(parents=True, exist_ok=True)
    with _turn(out):
        files, errors = _wanted(
            experiments, check_specs(experiments, overlay=overlay), out, project or experiments.parent
        )
        written = [name for name, text in files.items() if text is not None and _write(out / name, text)]
        removed = sorted(
            path.relative_to(out).as_posix() for path in _ours(out) if path.relative_to(out).as_posix() not in files
        )
        for name in removed:
            _remove(out / name, out)
    unchanged = sorted(set(files) - set(written))
    return CompileReport(tuple(sorted(written)), tuple(unchanged), tuple(removed), tuple(errors))


def refuse_all(out: Path, error: SettingsError) -> None:
    """Add a file to `out` that raises `error`, and leave the others alone: what stops all specs at once stands in Airflow's
    list of import errors too. The next compilation removes it. Raises OSError if `out` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    with _turn(out):
        has_good = any(path.name != _REFUSED for path in _ours(out))
        _write(
            out / _REFUSED,
            broken_file(source="experiments/", name="experiments/", message=str(error), has_good=has_good),
        )


def _wanted(
    experiments: Path, checked: Mapping[Path, Loaded | SpecError], out: Path, project: Path
) -> tuple[dict[str, str | None], list[SpecError]]:
    """File name -> its text, or None for a last good file that stays as it is; and the errors."""
    files: dict[str, str | None] = {}
    errors: list[SpecError] = []
    for path, result in sorted(checked.items()):
        source = path.relative_to(experiments.parent).as_posix()
        good = f"{path.stem}.py"
        stands = out / good
        if isinstance(result, Loaded) and stands.exists() and not _is_ours(stands):
            result = _in_the_way(source, stands)
        if isinstance(result, Loaded):
            text = good_file(
                source=source, text=result.text, resolved=resolved(result.experiment), project=str(project)
            )
            files[good] = text
            continue
        errors.append(result)
        # A stem that is no name never had a good file: `a.yaml.py` beside `a.yaml.yaml` is the error file of `a.yaml`.
        named = re.fullmatch(NAME_PATTERN, path.stem) is not None
        if has_good := named and stands.exists() and _is_ours(stands):
            files.setdefault(good, None)
        # Under the spec's own sub-folder: two specs of one name are both told, each in a file of its own.
        name = _error_file(path.relative_to(experiments))
        files[name] = broken_file(source=source, name=path.stem, message=str(result), has_good=has_good)
    return files, errors


def _error_file(spec: Path) -> str:
    """`team/a.yaml` -> `team/a.yaml.py`; a name that would become too long for a file is shortened."""
    name = f"{spec.name}.py"
    if len(os.fsencode(name)) > _MAX_NAME:
        name = f"{spec.name[:20]}-{hashlib.sha256(os.fsencode(spec.name)).hexdigest()[:12]}.yaml.py"
    return spec.with_name(name).as_posix()


def _in_the_way(source: str, stands: Path) -> SpecError:
    hint = (
        "Rename one of the two. Files that skillsengine makes begin with a line that says so; only those are replaced."
    )
    return SpecError(
        [Problem(source, None, None, "", f"{stands} is in the way: it was not made by skillsengine", hint)]
    )


def _is_ours(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_HEAD) == MARKER.encode()


def _ours(out: Path) -> Iterator[Path]:
    for path in sorted(out.rglob("*.py")):
        if path.is_file() and _is_ours(path):
            yield path


def _write(path: Path, text: str) -> bool:
    """Replace the file atomically if its text differs; its mtime then is newer than before, whatever the clock says.

    Airflow parses a file again when its mtime is newer than its last parse, so a return to an earlier text counts too.
    """
    data = text.encode()
    before = 0
    if path.exists():
        if path.read_bytes() == data:
            return False
        before = path.stat().st_mtime_ns
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(
        f".{os.getpid()}.part"
    )  # a name of its own length: the file's may be as long as names can be
    try:
        beside.write_bytes(data)
        stamp = max(time.time_ns(), before + 1_000_000)
        os.utime(beside, ns=(stamp, stamp))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return True


def _remove(path: Path, out: Path) -> None:
    path.unlink(missing_ok=True)
    folder = path.parent
    while folder != out and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


@contextmanager
def _turn(out: Path) -> Iterator[None]:
    with (out / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
