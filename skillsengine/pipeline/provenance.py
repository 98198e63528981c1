"""Where a spec came from: its file and, where there is one, its git commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

from skillsengine.settings import Settings
from skillsengine.spec.load import find_specs


def spec_file(settings: Settings, name: str) -> Path | None:
    """The file of the experiment `name`, or None if it is gone."""
    return next((path for path in find_specs(settings.experiments) if path.stem == name), None)


def spec_commit(settings: Settings, name: str) -> str | None:
    """The commit that last touched the spec's file, with `+` if the file was changed since; None outside of git."""
    path = spec_file(settings, name)
    if path is None:
        return None
    try:
        last = _git(settings.project, "log", "-1", "--format=%H", "--", str(path))
        changed = _git(settings.project, "status", "--porcelain", "--", str(path))
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or no repository: lineage does without
    return f"{last}{'+' if changed else ''}" if last else None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
