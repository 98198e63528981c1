"""Fills a catalog with a matrix: versions that were trained on windows of months, scored on what came after, with drift."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillsengine.airflow.dag import build
from skillsengine.sources.keys import previous, spans
from skillsengine.storage.catalog import CellRow, VersionRow
from tests.airflow.ui.filling import NOW, AirflowTables, Filled, spec_of
from tests.reporting.past import metrics

BASELINES = "start_date: 2020-01-01\nevaluations: {baselines: [lexicon]}\n"


def months(last: str, count: int) -> list[str]:
    return [*previous(last, count - 1), last]


def digest(*names: object) -> str:
    return hashlib.sha256(repr(names).encode()).hexdigest()


def looked(filled: Filled, project: Path, name: str, there: Sequence[str], run_id: str = "looked") -> None:
    """A run that has found data for these months."""
    rows = [list(row) for row in spans(there)]
    filled.catalog.pin_run(
        name,
        run_id,
        experiment=name,
        kind="retrain",
        partition=there[-1],
        spec=spec_of(project, name),
        options={"files": {}, "there": rows},
        trigger="manual",
        spec_commit=None,
    )


def version(filled: Filled, name: str, trained: Sequence[str], model: str | None = None) -> VersionRow:
    model = model or name
    adapter = digest(model, len(filled.catalog.versions(model)))
    row = filled.catalog.allocate_version(
        model, adapter, experiment=name, partition=trained[-1], run_id=None, spec={"name": name}
    )
    lineage = {"format": {key: digest("format", key) for key in trained}}
    return filled.catalog.publish_version(model, row.number, adapter, Path("/v"), {}, lineage)


def cell(
    filled: Filled,
    name: str,
    key: str,
    told: Mapping[str, Any],
    *,
    of: VersionRow | None = None,
    kind: str = "adapter",
    marked: str | None = None,
) -> None:
    """A score, or a mark."""
    cells(filled, [cell_row(name, key, told, of=of, kind=kind, marked=marked)])


def cell_row(
    name: str,
    key: str,
    told: Mapping[str, Any],
    *,
    of: VersionRow | None = None,
    kind: str = "adapter",
    marked: str | None = None,
) -> CellRow:
    adapter = of.adapter_digest if of is not None else None
    return CellRow(
        subject=adapter or f"{kind}:{digest(kind)[:8]}",
        kind=kind,
        experiment=name,
        partition=key,
        data_digest=digest("format", key),
        artifact_digest=digest(name, kind, adapter, key),
        stage_version=1,
        metrics=dict(told),
        adapter_digest=adapter,
        marked=marked,
        created=NOW,
    )


def cells(filled: Filled, rows: Sequence[CellRow]) -> None:
    """All at once: the catalog's own way writes them one by one."""
    with filled.catalog._db.writing() as session:
        session.add_all(rows)


def drift(value: float, chance: float = 0.05) -> dict[str, Any]:
    """As `scoring.drift.measure` tells it."""
    return {
        "skills_of": "gold",
        "length": {"psi": value, "chance": chance},
        "tokens_per_word": {"psi": value / 2, "chance": chance},
        "skills_per_ad": {"psi": value / 3, "chance": chance},
        "unseen_skills": {"share": value, "chance": chance},
        "top_skills": {"js": value, "chance": chance},
    }


def whole(filled: Filled, project: Path, name: str, versions: int, keys: Sequence[str], *, holes: int = 0) -> None:
    """`versions`, each trained on six months, the later the newer; all scored, but for some cells of the older half."""
    chance, found = random.Random(7), []
    looked(filled, project, name, keys)
    for number in range(1, versions + 1):
        end = 6 + (len(keys) - 7) * number // versions
        row = version(filled, name, keys[end - 6 : end])
        for place, key in enumerate(keys):
            if end - 6 <= place < end or chance.random() < holes / 100:
                continue
            away = place - end if place >= end else end - place
            f1 = max(0.05, 0.72 - 0.006 * away + chance.gauss(0, 0.015))
            told = metrics(round(f1, 3), key, drift=drift(round(0.02 + 0.006 * away, 3)), seconds=3.0)
            if place == 3:
                told = {"rows": 3, "labelled_rows": 0, "seconds": 2.0} | {
                    name: told[name] for name in ("drift", "parse_rate", "verbatim_rate", "skills_per_ad")
                }
            found.append(cell_row(name, key, told, of=row))
    for key in keys:
        found.append(cell_row(name, key, metrics(0.24, key, "lexicon", seconds=0.2), kind="lexicon"))
        found.append(cell_row(name, key, metrics(0.31, key, "base", seconds=9.0), kind="base"))
    cells(filled, found)
    filled.catalog.set_alias(name, "champion", max(1, versions - 1), "better")


def serialize(airflow: AirflowTables, project: Path, name: str, team: str = "red") -> None:
    """The evaluations DAG, as the DAG processor leaves it for the API server."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    text = json.dumps(spec_of(project, name))
    dag = next(dag for dag in build(text, source="s", digest="d", project=str(project)) if "evaluations" in dag.dag_id)
    SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name=team, session=airflow.session)
    airflow.session.commit()
