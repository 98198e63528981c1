"""A compiled folder as Airflow itself reads it."""

from __future__ import annotations

from pathlib import Path

from airflow.dag_processing.dagbag import DagBag

from skillsengine.airflow.compile import compile_experiments
from tests.airflow.support import write_spec


def read(project: Path) -> DagBag:
    compile_experiments(project / "experiments", project / "out")
    # As the DAG processor does: only files that its scan takes for DAG files, and their errors as the UI shows them.
    return DagBag(dag_folder=project / "out", bundle_path=project / "out", bundle_name="experiments", safe_mode=True)


def test_a_broken_spec_is_an_error_of_its_own_and_all_other_dags_are_there(tmp_path: Path) -> None:
    write_spec(tmp_path, "good")
    write_spec(tmp_path, "late")
    assert set(read(tmp_path).dag_ids) == {
        f"{name}{kind}" for name in ("good", "late") for kind in ("", ".evaluations", ".try")
    }
    write_spec(tmp_path, "late", "train: {lerning_rate: 1}\n")
    write_spec(tmp_path, "never", "nonsense\n", folder="team")
    bag = read(tmp_path)
    assert set(bag.dag_ids) == {f"{name}{kind}" for name in ("good", "late") for kind in ("", ".evaluations", ".try")}
    errors = {Path(name).name: text for name, text in bag.import_errors.items()}
    assert set(errors) == {"late.yaml.py", "never.yaml.py"}
    assert errors["late.yaml.py"].startswith(
        "spec: experiments/late.yaml:5:9: train.lerning_rate: unknown key\n   5 | "
    )
    assert errors["never.yaml.py"].startswith("spec: experiments/team/never.yaml:5:")
    assert errors["never.yaml.py"].rstrip().endswith("spec: never does not compile; it has no DAG yet")


def test_the_code_tab_gets_the_compiled_file(tmp_path: Path) -> None:
    write_spec(tmp_path, "good")
    dag = read(tmp_path).dags["good"]
    assert dag.fileloc == str(tmp_path / "out" / "good.py")
    assert dag.relative_fileloc == "good.py"
