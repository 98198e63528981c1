"""The control plane is light: what parses DAG files thousands of times a day loads no heavy library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.airflow.compile import compile_experiments
from tests.airflow.support import write_spec

HEAVY = "torch transformers datasets pandas wandb peft sklearn matplotlib numpy pyarrow"

_SEES = """
import importlib, pkgutil, runpy, sys
import skillsengine.airflow
{load}
found = sorted(name for name in {heavy!r}.split() if name in sys.modules)
assert not found, found
{more}
"""


def see(load: str, more: str = "") -> None:
    code = _SEES.format(load=load, heavy=HEAVY, more=more)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_no_module_of_the_room_loads_anything_heavy() -> None:
    see(
        "for module in pkgutil.walk_packages(skillsengine.airflow.__path__, 'skillsengine.airflow.'):\n"
        "    importlib.import_module(module.name)",
        more="assert 'skillsengine.airflow.compile' in sys.modules",
    )


def test_what_a_task_imports_before_its_stage_is_light() -> None:
    see("import skillsengine.pipeline.run")


def test_parsing_a_compiled_file_is_light_and_reads_no_yaml(tmp_path: Path) -> None:
    write_spec(tmp_path, "a")
    compile_experiments(tmp_path / "experiments", tmp_path / "out")
    see(
        f"names = runpy.run_path({str(tmp_path / 'out' / 'a.py')!r})",
        more=(
            "assert [dag.dag_id for dag in (names['retrain'], names['evaluations'])] == ['a', 'a.evaluations']\n"
            "assert not {'omegaconf', 'skillsengine.spec.load'} & set(sys.modules), 'it reads no YAML'"
        ),
    )


@pytest.mark.nightly
def test_the_housekeeping_dag_is_light(project: Path) -> None:
    see(f"runpy.run_path({str(project / 'dags' / 'housekeeping.py')!r})")
