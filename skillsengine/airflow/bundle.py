"""experiments/ as an Airflow DAG bundle: at each refresh the specs are compiled, one DAG file each.

Configured in `[dag_processor] dag_bundle_config_list`:

    [{"name": "experiments", "classpath": "skillsengine.airflow.bundle.ExperimentsBundle",
      "kwargs": {"project": "/srv/skills", "refresh_interval": 3}}]
"""

from __future__ import annotations

import importlib
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.dag_processing.bundles.base import BaseDagBundle

from skillsengine.settings import Settings, SettingsError, load_settings
from skillsengine.spec.stamp import Stamp, stamp_of

if TYPE_CHECKING:
    from skillsengine.airflow.compile import Compiler

log = logging.getLogger(__name__)

_SPEC_SUFFIXES = (".yaml", ".yml")
_SETTLED_SECONDS = 20.0
"""A parse that began before a change and ended after it has read the old text, and Airflow takes the change for parsed:
a changed file is therefore marked as changed once more after so long, when such a parse is over."""
_FEW = 20
_QUIET_SECONDS = 0.5
"""A file that changed within so long may be half of a copy that goes on, and half a spec may be a spec."""
_PATIENCE_SECONDS = 2.0
"""So long a refresh waits for files to be quiet. What is then still being written is left for the next one."""

Look = dict[str, Stamp]


class ExperimentsBundle(BaseDagBundle):  # type: ignore[misc]  # airflow ships no types
    """The folder of compiled DAG files.

    `project` is the folder that holds `experiments/` (default: as the environment says, see skillsengine.settings);
    `path` is where the DAG files go (default: `bundle/` in the installation's home, so that all workers see one
    folder).

    Unversioned on purpose: Airflow's own cleaner deletes versions that live DAGs still point to. What a run pins
    instead is its spec, in the catalog.
    """

    supports_versioning = False

    def __init__(self, *, project: str | None = None, path: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._project = Path(project) if project else None
        self._settings: Settings = load_settings(self._project)
        self._path = Path(path) if path else self._settings.home / "bundle"
        self._seen: tuple[Look, Look] | None = None
        self._compiler: tuple[tuple[Path, Path, Path | None], Compiler] | None = None
        self._changed: dict[str, float] = {}

    @property
    def path(self) -> Path:
        return self._path

    def get_current_version(self) -> None:
        return None

    def initialize(self) -> None:
        """Workers call this before each task: they compile only where nobody has yet."""
        if not self._path.is_dir():
            self.refresh()
        super().initialize()

    def refresh(self) -> None:
        """Compile what changed in `experiments/` or in the folder of DAG files. Safe in several processes at once."""
        # Only the DAG processor refreshes. It forks for each file that it parses: what is loaded here, no fork loads again.
        importlib.import_module("skillsengine.airflow.dag")
        self._settings = load_settings(self._project)  # the project may be a link that was turned to a newer checkout
        self._mark_again()
        experiments = self._settings.experiments.resolve()
        if self._seen == (_look(experiments, _SPEC_SUFFIXES), _look(self._path, (".py",))):
            return
        try:
            overlay = self._settings.overlay
            overlay = overlay and experiments / overlay.relative_to(self._settings.experiments)
        except SettingsError as error:
            # Late: a worker that finds the files there needs neither YAML nor the spec's rules to load its DAG.
            from skillsengine.airflow.compile import refuse_all

            log.error("nothing is compiled: %s", error)
            refuse_all(self._path, error)
            return
        look, unsettled = self._settle(experiments)
        report = self._compiler_of(experiments, overlay).compile({Path(path) for path in unsettled})
        now = time.monotonic()
        # Of many new files none can have been parsed before; one or two may have met a database that was locked.
        again = report.written if len(report.written) <= _FEW else report.replaced
        self._changed |= {name: now for name in again}
        if report.changed:
            log.info("compiled: written %s, removed %s", list(report.written), list(report.removed))
        if unsettled:
            log.warning("being written, and read at the next refresh: %s", ", ".join(sorted(unsettled)))
        # What was read may have changed meanwhile: remember the look from before the reading.
        self._seen = None if unsettled else (look, _look(self._path, (".py",)))

    def _compiler_of(self, experiments: Path, overlay: Path | None) -> Compiler:
        """The one that knows the specs of the last refresh; a new one where it was another folder's."""
        from skillsengine.airflow.compile import Compiler

        project = self._settings.named or self._settings.project
        of = (experiments, project, overlay)
        if self._compiler is None or self._compiler[0] != of:
            self._compiler = of, Compiler(experiments, self._path, project=project, overlay=overlay)
        return self._compiler[1]

    def _settle(self, experiments: Path) -> tuple[Look, set[str]]:
        """What is in the folder once it is quiet, and the files that are not."""
        before = self._seen[0] if self._seen is not None else {}
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            look, now = _look(experiments, _SPEC_SUFFIXES), time.time()
            young = {
                path
                for path, stamp in look.items()
                # A clock that is ahead of ours says nothing.
                if stamp != before.get(path) and 0 <= now - stamp.changed / 1e9 < _QUIET_SECONDS
            }
            if not young or time.monotonic() > until:
                return look, young
            time.sleep(_QUIET_SECONDS / 4)

    def _mark_again(self) -> None:
        now = time.monotonic()
        due = [name for name, since in self._changed.items() if now - since > _SETTLED_SECONDS]
        for name in due:
            del self._changed[name]
            file = self._path / name
            if file.exists():
                os.utime(file)
        if due and self._seen is not None:
            self._seen = (self._seen[0], _look(self._path, (".py",)))


def _look(folder: Path, suffixes: tuple[str, ...]) -> Look:
    """The stamps of a folder's files."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(suffixes) and not name.startswith("."):
                path = f"{parent}/{name}"
                # Removed while we walk, or a link to nothing: told when it is read.
                found[path] = stamp_of(path) or Stamp(0, 0, 0, 0, 0)
    return found
