from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.recorded import load_recorded
from tests.stages.finetuned import BASE, make_finetuned


def load(project: Path, record: dict[str, Any], *roots: Path) -> str:
    loaded = load_recorded(record, project / "finetuned" / "adapter", "cpu", bases=project, allowed_roots=roots)
    return str(loaded.weights_sha256)


def test_a_local_base_is_found_below_any_root_or_as_one(tmp_path: Path) -> None:
    record = make_finetuned(tmp_path / "project").json("base.json")
    project, other = tmp_path / "project", tmp_path / "other"
    assert load(project, record, project) == record["weights_sha256"]
    other.mkdir()
    (project / BASE).rename(other / "tiny")
    # Named on the command line, a base is a root itself, and its version remembers only the folder's name.
    assert load(project, record | {"model": "tiny"}, project, other / "tiny") == record["weights_sha256"]
    assert load(project, record | {"model": str(other / "tiny")}, project, other) == record["weights_sha256"]
    with pytest.raises(ModelError, match=r"local folder `tiny`, which is in none of .*SKILLSENGINE_DATA_ROOTS"):
        load(project, record | {"model": "tiny"}, project)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    record = make_finetuned(tmp_path).json("base.json") | {"weights_sha256": "0" * 64}
    with pytest.raises(ModelError, match="`models/tiny` has changed since the adapter was trained on it.*it was 0000"):
        load(tmp_path, record, tmp_path)
