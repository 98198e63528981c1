from __future__ import annotations

from pathlib import Path

import pytest

import skillsengine
from skillsengine.serving.extract import Extractor
from skillsengine.serving.named import Named, find
from skillsengine.settings import load_settings
from skillsengine.stages.contract import StageError
from skillsengine.storage.catalog import CatalogError
from tests.serving.conftest import SHORT


def test_a_folder_is_a_version(version: Path) -> None:
    named = find(str(version), load_settings(version.parent))
    assert named == Named("job-skills", 7, version) and named.name == "job-skills@7"


def test_what_is_not_there_is_told(version: Path) -> None:
    settings = load_settings(version.parent)
    with pytest.raises(StageError, match=r"is no registered version: it holds no version.json"):
        find(str(version.parent), settings)
    with pytest.raises(CatalogError, match="nobody@champion does not exist"):
        find("nobody", settings)


def test_two_lines_of_python(version: Path, extractor: Extractor) -> None:
    loaded = skillsengine.load(str(version), project=version.parent)
    assert loaded.extract(SHORT[0]) == extractor.extract(SHORT[0])
    assert loaded.extract(SHORT) == extractor.extract(SHORT)
