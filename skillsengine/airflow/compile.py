"""experiments/ -> a folder of DAG files, one a spec. What the bundle does at each refresh, and `skillsengine compile`.

A spec that no longer compiles keeps its last good file and gets a second one, `<spec>.yaml.py`, that raises what is
wrong: Airflow shows it as an import error, and the DAG with its running runs goes on.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skillsengine.airflow import dagfolder
from skillsengine.airflow.dagfile import broken_file, good_file
from skillsengine.settings import SettingsError
from skillsengine.spec.errors import Problem, SpecError
from skillsengine.spec.load import Loaded, candidates, check_spec, clash, clashes
from skillsengine.spec.schema import NAME_PATTERN
from skillsengine.spec.stamp import Stamp, stamp_of, told_apart

_MAX_NAME = 255
"""Bytes."""
_REFUSED = "_env.py"
"""No spec has this name: those that begin with `_` are none."""


@dataclass(frozen=True)
class CompileReport:
    """What one pass did. Names are relative to the folder that was written into."""

    written: tuple[str, ...] = ()
    """Files that are new or changed."""
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    errors: tuple[SpecError, ...] = field(default=())
    """One a spec that does not compile."""
    replaced: tuple[str, ...] = ()
    """Those of `written` that hold another text than before."""
    read: int = 0
    """How many specs were read; the others had not changed since the last pass."""

    @property
    def changed(self) -> bool:
        return bool(self.written or self.removed)


@dataclass(frozen=True)
class _Known:
    """A spec that compiled: the state of all files it was read from, and of the DAG file that was made of them."""

    files: Mapping[Path, Stamp]
    made: Stamp | None


class Compiler:
    """Makes `out` hold one DAG file for every spec of `experiments`, and none of ours for specs that are gone.

    Each pass reads the specs of which a file changed since the last pass (their own, one that they extend, the overlay, or
    the DAG file), and those that did not compile; of the others it only looks at the files' stamps.

    The files remember `project`, by default the folder above `experiments`, as where a task finds what belongs to it.
    The values of the file `overlay` are laid over every spec, and stand in the DAG files: tasks read no overlay.

    Files that do not begin with the marker are never touched; where one stands in the way, the spec gets an error file.
    May be at work in several processes at once: a lock file in `out` lets them take turns.
    """

    def __init__(
        self, experiments: Path, out: Path, *, project: Path | None = None, overlay: Path | None = None
    ) -> None:
        self._experiments, self._out, self._overlay = experiments.resolve(), out.resolve(), overlay
        self._project = str(project or self._experiments.parent)
        self._known: dict[Path, _Known] = {}

    def compile(self, unsettled: Collection[Path] = ()) -> CompileReport:
        """One pass. What was made of the files in `unsettled` stays as it is: somebody is writing them.

        Raises OSError if `out` cannot be written, and SettingsError if `experiments` is not there: a disk that is away for a
        moment must not take all DAGs along.
        """
        if not self._experiments.is_dir():
            raise SettingsError(
                f"{self._experiments}: there is no such folder. The DAG files in {self._out} stay as they are."
            )
        self._out.mkdir(parents=True, exist_ok=True)
        with dagfolder.turn(self._out):
            return _Pass(self._experiments, self._out, self._project, self._overlay, self._known).run(set(unsettled))


@dataclass
class _Pass:
    experiments: Path
    out: Path
    project: str
    overlay: Path | None
    known: dict[Path, _Known]
    files: set[str] = field(default_factory=set)
    """All that belongs into `out`."""
    written: dict[str, dagfolder.Written] = field(default_factory=dict)
    errors: list[SpecError] = field(default_factory=list)
    stamps: dict[Path, Stamp | None] = field(default_factory=dict)
    """A base that a thousand specs extend is looked at once."""
    read: int = 0

    def run(self, unsettled: set[Path]) -> CompileReport:
        paths = candidates(self.experiments)
        for gone in self.known.keys() - set(paths):
            del self.known[gone]
        doubles = clashes(paths, self.experiments)
        for path in paths:
            if path in unsettled or (path in self.known and not unsettled.isdisjoint(self.known[path].files)):
                self._leave(path)
            elif path in self.known and path not in doubles and self._still(path):
                self.files.add(f"{path.stem}.py")
            else:
                self._compile(path, doubles.get(path))
        removed = dagfolder.ours(self.out, but=self.files)
        for name in removed:
            dagfolder.remove(self.out / name, self.out)
        written = tuple(sorted(name for name, how in self.written.items() if how != "unchanged"))
        return CompileReport(
            written,
            tuple(sorted(self.files.difference(written))),
            tuple(removed),
            tuple(self.errors),
            tuple(name for name in written if self.written[name] == "replaced"),
            self.read,
        )

    def _still(self, path: Path) -> bool:
        known = self.known[path]
        for file, before in known.files.items():
            if file not in self.stamps:
                self.stamps[file] = stamp_of(file)
            if self.stamps[file] != before:
                return False
        return known.made is not None and stamp_of(self.out / f"{path.stem}.py") == known.made

    def _leave(self, path: Path) -> None:
        for name in (f"{path.stem}.py", _error_file(path.relative_to(self.experiments))):
            if (self.out / name).exists():
                self.files.add(name)

    def _compile(self, path: Path, double: str | None) -> None:
        self.known.pop(path, None)
        self.read += 1
        result = check_spec(path, self.experiments, overlay=self.overlay)
        if result is None:
            return
        if double is not None:
            result = clash(path, result, double, self.experiments)
        source = path.relative_to(self.experiments.parent).as_posix()
        stands = self.out / f"{path.stem}.py"
        if isinstance(result, Loaded) and stands.exists() and not dagfolder.is_ours(stands):
            result = _in_the_way(source, stands)
        if isinstance(result, SpecError):
            self._refuse(path, source, result)
            return
        text = good_file(source=source, text=result.text, experiment=result.experiment, project=self.project)
        self._write(stands.name, text)
        if told_apart(result.files.values()):
            self.known[path] = _Known(result.files, stamp_of(stands))

    def _refuse(self, path: Path, source: str, error: SpecError) -> None:
        self.errors.append(error)
        good = self.out / f"{path.stem}.py"
        # A stem that is no name never had a good file: `a.yaml.py` beside `a.yaml.yaml` is the error file of `a.yaml`.
        named = re.fullmatch(NAME_PATTERN, path.stem) is not None
        if has_good := named and good.exists() and dagfolder.is_ours(good):
            self.files.add(good.name)
        # Under the spec's own sub-folder: two specs of one name are both told, each in a file of its own.
        name = _error_file(path.relative_to(self.experiments))
        self._write(name, broken_file(source=source, name=path.stem, message=str(error), has_good=has_good))

    def _write(self, name: str, text: str) -> None:
        self.files.add(name)
        self.written[name] = dagfolder.write(self.out / name, text)


def compile_experiments(
    experiments: Path, out: Path, *, project: Path | None = None, overlay: Path | None = None
) -> CompileReport:
    """One pass of a Compiler over all specs. Raises what `Compiler.compile` raises."""
    return Compiler(experiments, out, project=project, overlay=overlay).compile()


def refuse_all(out: Path, error: SettingsError) -> None:
    """Add a file to `out` that raises `error`, and leave the others alone: what stops all specs at once stands in Airflow's
    list of import errors too. The next compilation removes it. Raises OSError if `out` cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    with dagfolder.turn(out):
        has_good = any(name != _REFUSED for name in dagfolder.ours(out))
        text = broken_file(source="experiments/", name="experiments/", message=str(error), has_good=has_good)
        dagfolder.write(out / _REFUSED, text)


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
