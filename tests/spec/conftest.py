from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.support import Folder


@pytest.fixture
def specs(tmp_path: Path) -> Folder:
    """An empty `experiments/`."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    return Folder(folder)
