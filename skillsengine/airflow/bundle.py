"""experiments/ as an Airflow DAG bundle: at each refresh the specs are compiled, one DAG file each.

Configured in `[dag_processor] dag_bundle_config_list`:

    [{"name": "experiments", "classpath": "skillsengine.airflow.bundle.ExperimentsBundle",
      "kwargs": {"project": "/srv/skills", "refresh_interval": 3}}]
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle

from skillsengine.settings import Settings, SettingsError, load_settings

log = logging.getLogger(__name__)

_SPEC_SUFFIXES = (".yaml", ".yml")
_SETTLED_SECONDS = 20.0
"""A parse that began before a change and ended after it has read the old text, and Airflow takes the change for parsed:
a changed file is therefore marked as changed once more after so long, when such a parse is over."""


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
        self._seen: tuple[Any, ...] | None = None
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
        """Compile if anything in `experiments/` or in the folder of DAG files changed. Safe in several processes at
        once."""
        self._settings = load_settings(self._project)  # the project may be a link that was turned to a newer checkout
        self._mark_again()
        if self._seen is not None and self._seen == self._look():
            return
        # Late: a worker that finds the files there needs neither YAML nor the spec's rules to load its DAG.
        from skillsengine.airflow.compile import compile_experiments, refuse_all

        try:
            overlay = self._settings.overlay
        except SettingsError as error:
            log.error("nothing is compiled: %s", error)
            refuse_all(self._path, error)
            return
        experiments = _stamps(self._settings.experiments, _SPEC_SUFFIXES)
        report = compile_experiments(
            self._settings.experiments, self._path, project=self._settings.named, overlay=overlay
        )
        now = time.monotonic()
        self._changed |= {name: now for name in report.written}
        if report.changed:
            log.info("compiled: written %s, removed %s", list(report.written), list(report.removed))
        # What was read may have changed meanwhile: remember the look from before the reading.
        self._seen = (experiments, _stamps(self._path, (".py",)))

    def _look(self) -> tuple[Any, ...]:
        return _stamps(self._settings.experiments, _SPEC_SUFFIXES), _stamps(self._path, (".py",))

    def _mark_again(self) -> None:
        now = time.monotonic()
        due = [name for name, since in self._changed.items() if now - since > _SETTLED_SECONDS]
        for name in due:
            del self._changed[name]
            file = self._path / name
            if file.exists():
                os.utime(file)
        if due and self._seen is not None:
            self._seen = (self._seen[0], _stamps(self._path, (".py",)))


def _stamps(folder: Path, suffixes: tuple[str, ...]) -> tuple[tuple[str, int, int, int], ...]:
    """What tells one state of a folder's files from another without reading them."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith(suffixes) and not name.startswith("."):
                path = os.path.join(parent, name)  # noqa: PTH118 - walked every few seconds, over a thousand files
                try:
                    stat = os.stat(path)  # noqa: PTH116
                except OSError:
                    found.append((path, 0, 0, 0))  # removed while we walk, or a link to nothing: told when it is read
                    continue
                found.append((path, stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(sorted(found))
