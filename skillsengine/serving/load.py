"""A version in memory by its name: what `skillsengine.load` gives."""

from __future__ import annotations

from pathlib import Path

from skillsengine.serving.extract import Extractor
from skillsengine.serving.named import Named, find
from skillsengine.settings import Settings, load_settings
from skillsengine.storage.opening import open_store


def load(reference: str, *, project: Path | None = None, device: str | None = None, batch_size: int = 8) -> Extractor:
    """See `skillsengine.load`."""
    settings = load_settings(project)
    return load_named(find(reference, settings), settings, device=device, batch_size=batch_size)


def load_named(version: Named, settings: Settings, *, device: str | None = None, batch_size: int = 8) -> Extractor:
    """Raises StageError as `Extractor.load` does."""
    return Extractor.load(
        version.folder,
        bases=open_store(settings).bases,
        allowed_roots=settings.allowed_roots,
        device=device,
        batch_size=batch_size,
    )
