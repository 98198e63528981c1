"""A git repository for a test."""

from __future__ import annotations

import subprocess
from pathlib import Path

_WHO = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")


def commit(folder: Path, *paths: str) -> None:
    """Make `folder` a repository where it is none, and commit `paths` (all by default)."""
    for words in (("init", "-q"), ("add", *(paths or ("-A",))), (*_WHO, "commit", "-q", "-m", "a commit")):
        subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True)
