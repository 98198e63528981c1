"""What the control plane says where the libraries of the worker are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.pipeline.heavy import import_heavy
from skillsengine.stages.contract import StageError


def test_a_module_that_can_be_imported() -> None:
    assert import_heavy("skillsengine.stages.contract").StageError is StageError


def test_a_missing_library_is_said_with_the_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "heavy_stage.py").write_text("import no_such_library.part\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StageError) as raised:
        import_heavy("heavy_stage")
    assert str(raised.value) == (
        "heavy_stage needs the library `no_such_library`, which is not installed in this Python: it is part of the extra "
        "`worker`. Install it (pip install 'skillsengine[worker]'), use the worker's image, or, in Airflow, let "
        "`resources.queue` of the spec name a queue whose workers have it."
    )


def test_a_module_of_ours_that_is_missing_is_our_mistake() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"skillsengine\.stages\.no_such_stage"):
        import_heavy("skillsengine.stages.no_such_stage")


def test_waiting_threads_sleep() -> None:
    """OpenMP itself tells what it was set to, when torch loads it."""
    code = "from skillsengine.pipeline.heavy import import_heavy; import_heavy('skillsengine.modeling.encoding'); import torch"
    unset = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    told = subprocess.run(
        [sys.executable, "-c", code],
        env=unset | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "GOMP_SPINCOUNT = '0'" in told


def test_what_a_library_prints_when_it_is_imported_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chatty_stage.py").write_text("print('[INFO] Running in some mode')\nVERSION = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_heavy("chatty_stage").VERSION == 1
    assert capsys.readouterr().out == ""
