"""Specs against what Airflow shows of them: missing, stale, broken, old or paused DAGs, and DAGs whose spec is gone."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from skillsengine.airflow.dagfile import spec_digest
from skillsengine.doctor.airflow_side import AirflowState
from skillsengine.doctor.finding import Finding, listed, ok, problem, warning
from skillsengine.spec.load import Loaded, resolved

_TAG = "skillsengine"
_SECOND = ".evaluations"
_MOST_READ = 100
"""DAGs whose documentation is asked for, one call each."""

Specs = Mapping[Path, Loaded]


def examine_shown(state: AirflowState, specs: Specs, experiments: Path, doc: Callable[[str], str]) -> Iterator[Finding]:
    """Findings about specs that compile. `doc` gives the Markdown of a DAG, which ends with the digest of its spec."""
    well: dict[str, Loaded] = {}
    missing, stale, foreign = [], [], []
    for path, spec in specs.items():
        name = spec.experiment.name
        dags = [state.dags.get(name), state.dags.get(f"{name}{_SECOND}")]
        error = _import_error(state, path, name, experiments)
        if error is not None:
            yield problem(
                f"DAG {name}",
                f"the spec compiles here, and Airflow has an import error of it: {error}",
                "it goes away seconds after the spec is right; if not, the DAG processor reads another folder or overlay "
                "(SKILLSENGINE_PROJECT, SKILLSENGINE_ENV), or has another version of skillsengine",
            )
        elif any(dag is not None and not _ours(dag) for dag in dags):
            foreign.append(name)
        elif any(dag is None for dag in dags):
            missing.append(name)
        elif any(dag["is_stale"] for dag in dags if dag is not None):
            stale.append(name)
        else:
            well[name] = spec
    if missing:
        yield problem(
            "DAGs",
            f"{listed(missing)}: the spec compiles, and Airflow has no DAG of it",
            "a new one shows up seconds after the next refresh; if not, see that a bundle of Airflow reads this project "
            "(docs/add-to-your-airflow.md), or run `skillsengine compile` again",
        )
    if stale:
        yield problem(
            "DAGs",
            f"{listed(stale)}: the spec compiles, and Airflow holds its DAG for deleted: no run starts",
            "see that the DAG processor runs and that its bundle reads this project; its log says more",
        )
    if foreign:
        yield problem(
            "DAGs",
            f"{listed(foreign)}: Airflow has a DAG of this name that is not made from a spec",
            "rename one of the two",
        )
    yield from _of_another_text(state, well, doc)
    yield from _paused(state, well)


def examine_orphans(state: AirflowState, names: Collection[str], bundle: Path) -> Iterator[Finding]:
    """DAGs without a spec. `names`: of all specs, those too that do not compile; `bundle`: where DAG files are by default.

    Only DAGs whose files stand beside those of known specs count: another project may live in the same Airflow.
    """
    ours = {dag_id: dag for dag_id, dag in state.dags.items() if _ours(dag)}
    known = [dag for dag_id, dag in ours.items() if _experiment(dag_id) in names]
    folders = {_folder(dag) for dag in known} | {str(bundle)}
    without = {
        dag_id: dag for dag_id, dag in ours.items() if _experiment(dag_id) not in names and _folder(dag) in folders
    }
    living = sorted({_experiment(dag_id) for dag_id, dag in without.items() if not dag["is_stale"]})
    gone = sorted({_experiment(dag_id) for dag_id, dag in without.items() if dag["is_stale"]} - set(living))
    if living:
        yield warning(
            "DAGs without a spec",
            f"{listed(living)}: there is no spec, and Airflow still runs the DAG",
            "it goes away seconds after the next refresh; if not, see that the DAG processor runs, or run `skillsengine "
            "compile` again; `skillsengine pause NAME` stops it now",
        )
    if gone:
        yield ok(
            "DAGs without a spec",
            f"{listed(gone)}: nothing starts any more; Airflow keeps their history until `airflow dags delete NAME`",
        )


def _of_another_text(state: AirflowState, specs: Mapping[str, Loaded], doc: Callable[[str], str]) -> Iterator[Finding]:
    """Specs whose DAG was made from another state. Raises AirflowError."""
    # With many of them only those are asked for whose files changed since Airflow read them.
    asked = [name for name in specs if len(specs) <= _MOST_READ or _newer(specs[name], state.dags[name])][:_MOST_READ]
    other = []
    for name in asked:
        digest = spec_digest(specs[name].text, resolved(specs[name].experiment))[:16]
        found = re.search(r"digest `([0-9a-f]{16})`\s*$", doc(name))
        if found is not None and found[1] != digest:
            other.append(name)
    if other:
        yield warning(
            "DAGs",
            f"{listed(other)}: Airflow's DAG is made from another state of the spec than the one here",
            "an edit shows up seconds after the next refresh; if not, see that the DAG processor runs and reads this project "
            "with the same SKILLSENGINE_ENV, or run `skillsengine compile` again",
        )


def _paused(state: AirflowState, specs: Mapping[str, Loaded]) -> Iterator[Finding]:
    paused = [name for name in specs if state.dags[name]["is_paused"]]
    against = [name for name in paused if not specs[name].experiment.paused]
    if against:
        yield warning(
            "DAGs",
            f"{listed(against)}: paused in Airflow, and the spec does not say so: nothing starts",
            f"skillsengine unpause {' '.join(sorted(against)[:3])}",
        )
    wanted = [name for name in paused if specs[name].experiment.paused]
    shown = [name for name in specs if name not in paused]
    parts = [f"{listed(shown)}: shown, and not paused"] if shown else []
    parts += [f"{listed(wanted)}: shown, and paused as the spec says"] if wanted else []
    if parts:
        yield ok("DAGs", "; ".join(parts))


def _import_error(state: AirflowState, path: Path, name: str, experiments: Path) -> str | None:
    """First line of what Airflow says of the spec's DAG file or of its error file."""
    path = path.resolve()
    error_file = f"{path.relative_to(experiments).as_posix()}.py" if path.is_relative_to(experiments) else None
    for error in state.errors:
        file = PurePosixPath(error["filename"])
        dag = state.dags.get(name)
        of_dag = dag is not None and _ours(dag) and dag["relative_fileloc"] == str(file)
        if of_dag or (error_file is not None and f"/{file}".endswith(f"/{error_file}")):
            return str(error["stack_trace"]).strip().partition("\n")[0]
    return None


def _newer(spec: Loaded, dag: Mapping[str, Any]) -> bool:
    from datetime import datetime

    parsed = dag["last_parsed_time"]
    changed = max((path.stat().st_mtime for path in spec.files if path.exists()), default=0.0)
    return parsed is None or changed > datetime.fromisoformat(parsed).timestamp()


def _ours(dag: Mapping[str, Any]) -> bool:
    tags = {tag["name"] for tag in dag["tags"]}
    return _TAG in tags and bool(tags & {"retrain", "evaluations"})


def _experiment(dag_id: str) -> str:
    return dag_id.removesuffix(_SECOND)


def _folder(dag: Mapping[str, Any]) -> str:
    return str(PurePosixPath(dag["fileloc"]).parent)
