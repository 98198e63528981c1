"""Specs against the DAGs of an Airflow, from the answers of a real one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.dagfile import spec_digest
from skillsengine.airflow.describe import retrain_doc
from skillsengine.doctor import shown
from skillsengine.doctor.airflow_side import AirflowState
from skillsengine.doctor.finding import Finding
from skillsengine.doctor.shown import examine_orphans, examine_shown
from skillsengine.spec.load import Loaded, load_spec, resolved
from tests.airflow.support import write_spec
from tests.doctor.airflow_server import recorded

BUNDLE = Path("/srv/skills/.skillsengine/bundle")
ANSWERS = {path.partition("?")[0]: body for path, (_, body) in recorded().items()}
DAGS: Mapping[str, Mapping[str, Any]] = {dag["dag_id"]: dag for dag in ANSWERS["/api/v2/dags"]["dags"]}
STATE = AirflowState("http://x", dags=DAGS, errors=tuple(ANSWERS["/api/v2/importErrors"]["import_errors"]))


def _specs(project: Path, *names: str, more: str = "") -> dict[Path, Loaded]:
    (project / "experiments").mkdir(exist_ok=True)
    paths = [write_spec(project, name, more) for name in names]
    return {path: load_spec(path, experiments=project / "experiments") for path in paths}


def _look(
    state: AirflowState, specs: Mapping[Path, Loaded], project: Path, docs: Mapping[str, str] | None = None
) -> list[Finding]:
    """Without `docs` every DAG was made from the spec as it is."""
    made = {spec.experiment.name: _doc(spec) for spec in specs.values()} | dict(docs or {})
    return list(examine_shown(state, specs, project / "experiments", made.__getitem__))


def _doc(spec: Loaded) -> str:
    return retrain_doc(spec.experiment, "experiments/x.yaml", spec_digest(spec.text, resolved(spec.experiment)))


def _with(name: str, **values: Any) -> AirflowState:
    return replace(STATE, dags=DAGS | {name: {**DAGS[name], **values}})


def test_one_that_is_shown(tmp_path: Path) -> None:
    (finding,) = _look(STATE, _specs(tmp_path, "good"), tmp_path)
    assert (finding.level, finding.subject, finding.text) == ("ok", "DAGs", "good: shown, and not paused")


def test_specs_that_airflow_does_not_show(tmp_path: Path) -> None:
    (finding,) = _look(STATE, _specs(tmp_path, *"abcde"), tmp_path)
    assert finding.level == "problem"
    assert finding.text == "a, b, c and 2 more: the spec compiles, and Airflow has no DAG of it"
    assert "see that a bundle of Airflow reads this project" in (finding.mend or "")


def test_half_of_one_is_none(tmp_path: Path) -> None:
    state = replace(STATE, dags={"good": DAGS["good"]})
    (finding,) = _look(state, _specs(tmp_path, "good"), tmp_path)
    assert finding.text == "good: the spec compiles, and Airflow has no DAG of it"


def test_a_stale_one(tmp_path: Path) -> None:
    (finding,) = _look(STATE, _specs(tmp_path, "gone"), tmp_path)
    assert finding.level == "problem"
    assert finding.text == "gone: the spec compiles, and Airflow holds its DAG for deleted: no run starts"


def test_a_dag_of_somebody_else(tmp_path: Path) -> None:
    (finding,) = _look(_with("good", tags=[]), _specs(tmp_path, "good"), tmp_path)
    assert (finding.level, finding.mend) == ("problem", "rename one of the two")
    assert finding.text == "good: Airflow has a DAG of this name that is not made from a spec"


@pytest.mark.parametrize("folder", ["", "skills/"])
def test_an_import_error_of_a_spec_that_compiles_here(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (error,) = STATE.errors
    state = replace(STATE, errors=({**error, "filename": f"{folder}new.yaml.py"},))
    (spec,) = _specs(tmp_path, "new").values()
    monkeypatch.chdir(tmp_path)
    (finding,) = _look(state, {Path("experiments/new.yaml"): spec}, tmp_path)
    assert (finding.level, finding.subject) == ("problem", "DAG new")
    assert finding.text == (
        "the spec compiles here, and Airflow has an import error of it: spec: experiments/new.yaml:1:1: data: missing"
    )
    assert "SKILLSENGINE_ENV" in (finding.mend or "")


def test_an_import_error_of_its_dag_file_and_that_of_a_neighbour(tmp_path: Path) -> None:
    specs, (error,) = _specs(tmp_path, "good"), STATE.errors
    broken = {**error, "filename": "good.py", "stack_trace": "\nModuleNotFoundError: No module named 'skillsengine'\n"}
    (finding,) = _look(replace(STATE, errors=(broken,)), specs, tmp_path)
    assert finding.text.endswith("an import error of it: ModuleNotFoundError: No module named 'skillsengine'")
    neighbour = {**error, "filename": "notgood.yaml.py"}
    (finding,) = _look(replace(STATE, errors=(neighbour,)), specs, tmp_path)
    assert finding.level == "ok"


def test_one_that_was_made_from_another_text(tmp_path: Path) -> None:
    specs = _specs(tmp_path, "good")
    old = str(ANSWERS["/api/v2/dags/good/details"]["doc_md"])
    found, shown_ = _look(STATE, specs, tmp_path, {"good": old})
    assert (found.level, shown_.level) == ("warning", "ok")
    assert found.text == "good: Airflow's DAG is made from another state of the spec than the one here"
    assert "with the same SKILLSENGINE_ENV" in (found.mend or "")


def test_of_many_only_those_are_asked_for_that_changed_since(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "_MOST_READ", 1)
    specs = _specs(tmp_path, "good", "gone")
    state = _with("gone", is_stale=False)
    state = replace(state, dags={**state.dags, "gone.evaluations": {**DAGS["gone.evaluations"], "is_stale": False}})
    long_ago = 1_600_000_000
    for path in specs:
        os.utime(path, (long_ago, long_ago))
    asked: list[str] = []

    def doc(name: str) -> str:
        asked.append(name)
        return ""

    list(examine_shown(state, specs, tmp_path / "experiments", doc))
    assert asked == []
    os.utime(tmp_path / "experiments" / "gone.yaml", (4_000_000_000, 4_000_000_000))
    list(examine_shown(state, specs, tmp_path / "experiments", doc))
    assert asked == ["gone"]


def test_paused_against_the_spec_and_by_it(tmp_path: Path) -> None:
    state = _with("good", is_paused=True)
    (found,) = _look(state, _specs(tmp_path, "good"), tmp_path)
    assert (found.level, found.mend) == ("warning", "skillsengine unpause good")
    assert found.text == "good: paused in Airflow, and the spec does not say so: nothing starts"
    (found,) = _look(state, _specs(tmp_path, "good", more="paused: true\n"), tmp_path)
    assert (found.level, found.text) == ("ok", "good: shown, and paused as the spec says")


def test_dags_whose_spec_is_gone() -> None:
    (finding,) = examine_orphans(STATE, {"good"}, BUNDLE)
    assert (finding.level, finding.subject) == ("ok", "DAGs without a spec")
    assert finding.text == (
        "gone: nothing starts any more; Airflow keeps their history until `airflow dags delete NAME`"
    )
    living = _with("gone", is_stale=False)
    (finding,) = examine_orphans(living, {"good"}, BUNDLE)
    assert (finding.level, finding.text) == ("warning", "gone: there is no spec, and Airflow still runs the DAG")
    assert list(examine_orphans(STATE, {"good", "gone"}, BUNDLE)) == []


def test_dags_of_another_project_are_not_this_ones() -> None:
    far = {**DAGS["gone"], "is_stale": False, "fileloc": "/srv/other/.skillsengine/bundle/gone.py"}
    foreign = {**DAGS["gone"], "is_stale": False, "tags": [{"name": "skillsengine"}]}
    state = replace(STATE, dags={"good": DAGS["good"], "gone": far, "skillsengine.housekeeping": foreign})
    assert list(examine_orphans(state, {"good"}, Path("/home/me/checkout/.skillsengine/bundle"))) == []
    state = replace(state, dags={"good": DAGS["good"], "gone": {**DAGS["gone"], "is_stale": False}})
    (finding,) = examine_orphans(state, {"good"}, Path("/home/me/checkout/.skillsengine/bundle"))
    assert finding.level == "warning"
