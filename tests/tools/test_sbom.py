"""An image's list of packages against its lock."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tools.test_locks import pins
from tools import sbom
from tools.lock import LOCKS, PYTHONS, lock_name
from tools.sbom import differences, listed, pinned


def written(path: Path, components: dict[str, str], **head: Any) -> Path:
    """As cyclonedx-py writes it, names as the packages themselves do."""
    told = [{"type": "library", "name": name, "version": version} for name, version in components.items()]
    path.write_text(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": told} | head))
    return path


@pytest.mark.parametrize("kind", ["-control", "-worker"])
def test_a_lock_is_read_whole(kind: str) -> None:
    name = lock_name(PYTHONS[0], kind)
    assert pinned(LOCKS / name) == {package: str(version) for package, version in pins(name).items()}


def test_what_the_list_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("# head\n-c cuda.txt\npyyaml==6.0.3   # via x\njaraco-text==1.0\ntorch==2.13.0\n")
    whole = written(tmp_path / "a.json", {"PyYAML": "6.0.3", "jaraco.text": "1.0", "torch": "2.13.0", "pip": "26"})
    assert differences(pinned(lock), listed(whole)) == []
    torn = written(tmp_path / "b.json", {"PyYAML": "6.0.2", "torch": "2.13.0"})
    assert differences(pinned(lock), listed(torn)) == [
        "jaraco-text==1.0: the list has it not",
        "pyyaml==6.0.3: the list has 6.0.2",
    ]
    for path, code in ((whole, 0), (torn, 1)):
        monkeypatch.setattr(sys, "argv", ["sbom", str(path), str(lock)])
        assert sbom.main() == code
    said = capsys.readouterr().out
    assert "a.json: 4 packages; 0 of 3 pins missing; beside the lock: ['pip']" in said
    assert "SBOM pyyaml==6.0.3: the list has 6.0.2" in said


def test_another_file_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no CycloneDX list: bomFormat is 'SPDX'"):
        listed(written(tmp_path / "a.json", {}, bomFormat="SPDX"))
