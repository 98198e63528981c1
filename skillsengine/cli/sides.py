"""What `diff` compares: the spec of a file, of a file as git's HEAD has it, or of a registered version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from skillsengine.cli.console import settings_for
from skillsengine.cli.registry import find_version
from skillsengine.cli.specs import load
from skillsengine.pipeline.committed import REVISION, CommitError, committed
from skillsengine.pipeline.stored import Made, made_then, made_today, stored_spec
from skillsengine.settings import Settings
from skillsengine.spec.errors import SpecError
from skillsengine.spec.extends import Reader
from skillsengine.spec.load import Loaded, load_spec
from skillsengine.spec.schema import Experiment
from skillsengine.spec.source import Part
from skillsengine.spec.text import printable
from skillsengine.storage.opening import open_store


@dataclass(frozen=True)
class Side:
    """One of the two specs."""

    title: str
    """What people call it: `experiments/job.yaml`, `HEAD:experiments/job.yaml`, `job@7`."""
    experiment: Experiment
    settings: Settings
    made: Mapping[str, Made]
    """How its artifacts are made, or were, beside what its spec says."""
    loaded: Loaded | None = None
    """None for a version, whose text nobody keeps."""
    notes: tuple[str, ...] = ()
    revision: str = ""
    """`HEAD:` for a spec of a commit."""

    def where(self, path: tuple[Part, ...]) -> str | None:
        """Where a field was written: file, line and column, or an override; None for a default, and for a version."""
        place = self.loaded.sources.place(path) if self.loaded else None
        return None if place is None else printable(f"{self.revision}{place}")


def is_version(text: str) -> bool:
    """Whether an argument names a version (`job-skills@7`) and no file."""
    return "@" in text and not text.endswith((".yaml", ".yml")) and not Path(text).exists()


def of_file(path: Path, overrides: Sequence[str] = ()) -> Side:
    """A spec as it stands in the work tree. Raises SpecError and SettingsError."""
    loaded, settings = load(path, list(overrides))
    title = " ".join([Reader(settings.experiments).shown(path), *(f"--set {text}" for text in overrides)])
    return Side(title, loaded.experiment, settings, made_today(loaded.experiment, settings), loaded)


def of_commit(path: Path) -> Side:
    """The spec, all that it extends and the overlay as they stand in git's HEAD.

    Raises CommitError where they cannot be had, SpecError (its places begin with `HEAD:`) where they do not compile.
    """
    settings = settings_for(path)
    shown = Reader(settings.experiments).shown(path)
    name = path.absolute().parent.resolve() / path.name
    if not name.is_relative_to(settings.experiments):
        raise CommitError(
            f"{shown} stands outside of {settings.experiments}/, where specs are: name a second spec to compare it with."
        )
    overlay, notes = settings.overlay, []
    with committed(settings.experiments) as experiments:
        then = experiments / name.relative_to(settings.experiments)
        if not then.exists() and not then.is_symlink():
            raise CommitError(
                f"{shown} is new since {REVISION}: git's last commit does not have it. Compare it with another spec, or with a "
                f"version: skillsengine diff MODEL@champion {shown}"
            )
        if overlay is not None:
            laid = experiments / overlay.relative_to(settings.experiments)
            if not laid.exists():
                notes.append(
                    f"{Reader(settings.experiments).shown(overlay)} is new since {REVISION}: not laid over there"
                )
            overlay = laid if laid.exists() else None
        try:
            loaded = load_spec(then, experiments=experiments, overlay=overlay)
        except SpecError as error:
            raise SpecError([replace(found, file=f"{REVISION}:{found.file}") for found in error.problems]) from error
    experiment = loaded.experiment
    made, revision = made_today(experiment, settings), f"{REVISION}:"
    return Side(f"{revision}{shown}", experiment, settings, made, loaded, tuple(notes), revision)


def of_version(reference: str, settings: Settings) -> Side:
    """The spec that made a version. Raises CatalogError that lists what there is."""
    version, _catalog = find_version(reference, settings)
    spec = stored_spec(version)
    notes = []
    if spec.missing:
        notes.append(f"made before there was {', '.join(spec.missing)}: today's defaults stand in for them")
    if spec.unknown:
        notes.append(f"its spec has what is no longer known: {', '.join(spec.unknown)}")
    made = made_then(version, open_store(settings))
    titled = tuple(f"{version.name}: {note}" for note in notes)
    return Side(version.name, spec.experiment, settings, made, notes=titled)
