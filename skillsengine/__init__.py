"""A declarative experiment engine on Apache Airflow: a YAML spec becomes a cached, resumable fine-tuning pipeline."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from skillsengine.serving.extract import Extractor

__version__ = "0.1.0"


def load(reference: str, *, project: Path | None = None, device: str | None = None, batch_size: int = 8) -> Extractor:
    """A registered version in memory: `load("job-skills@champion").extract(text).skills`.

    `reference`: `MODEL@REF` with a number or an alias (without `@REF`: the champion), or the folder of a version. `project`:
    the folder that holds `experiments/`; by default the nearest one upwards, or `SKILLSENGINE_PROJECT`. `device`: `cpu` or
    `cuda`; by default what the adapter was trained on. `batch_size`: texts read at once; the answers do not depend on it.

    Raises SettingsError outside a project, CatalogError that lists what there is, StageError where base or adapter cannot be
    loaded, or the extra `worker` is not installed.
    """
    # By name and only now: this module is imported by all others, most of which must stay light.
    heavy = import_module("skillsengine.pipeline.heavy")
    extractor: Extractor = heavy.import_heavy("skillsengine.serving.load").load(
        reference, project=project, device=device, batch_size=batch_size
    )
    return extractor
