"""The draft's name and its file: checked before it is put where Airflow looks."""

from __future__ import annotations

import re
import shutil
import tempfile
import unicodedata
from pathlib import Path
from uuid import uuid4

from skillsengine.draft.errors import DraftError
from skillsengine.settings import Settings
from skillsengine.spec.load import Loaded, find_specs, load_spec
from skillsengine.spec.schema import NAME_PATTERN


def target_for(name: str, settings: Settings, *, force: bool) -> Path:
    """The file that the spec `name` is written to.

    Raises DraftError: no name for a spec, or one that is taken (`force` overwrites the same file).
    """
    if not re.fullmatch(NAME_PATTERN.strip("^$"), name):
        usable = suggested(name)
        hint = f" For example: {usable}" if usable else ""
        raise DraftError(
            f"`{name}` is no name for a spec: it is the file's and the DAG's name too, so small letters, digits, `-` and `_`, "
            f"a letter or a digit first, at most 100.{hint}"
        )
    target = settings.experiments / f"{name}.yaml"
    for path in find_specs(settings.experiments):
        if path.stem.casefold() == name and path != target:
            raise DraftError(
                f"the name `{name}` is taken by {path.relative_to(settings.project)}: two specs of one name would be one DAG. "
                "Choose another name."
            )
    if target.exists() and not force:
        raise DraftError(
            f"{target.relative_to(settings.project)} is there already, and is not overwritten. Choose another name, or replace "
            "it with --force."
        )
    return target


def suggested(name: str) -> str:
    """A name that is allowed and like `name`; empty where nothing of it is left."""
    plain = unicodedata.normalize("NFKD", name.removesuffix(".yaml")).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:100].rstrip("-_")


def check(text: str, name: str, settings: Settings) -> Loaded:
    """Load the text as it would be loaded from `experiments/`. Raises SpecError."""
    with tempfile.TemporaryDirectory(prefix="skillsengine-new-") as folder:
        experiments = Path(folder) / "experiments"
        experiments.mkdir()
        shared = settings.experiments / "_base"
        if shared.is_dir():
            shutil.copytree(shared, experiments / "_base")
        path = experiments / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return load_spec(path, experiments=experiments)


def put(text: str, target: Path) -> None:
    """Write the file in one step: Airflow may look at any moment. Raises DraftError where the folder cannot be written."""
    building = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        building.write_text(text, encoding="utf-8")
        building.rename(target)
    except OSError as error:
        raise DraftError(f"{target} cannot be written: {error.strerror}. Mend the folder's permissions.") from error
    finally:
        building.unlink(missing_ok=True)
