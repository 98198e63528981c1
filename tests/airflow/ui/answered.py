"""An experiment whose versions have answered ads, for the pages that show them: a `Past`, and Airflow's tables to it."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from skillsengine.storage.catalog import VersionRow
from tests.airflow.ui.filling import AirflowTables
from tests.reporting.past import ADS, Past, metrics

Ads = Mapping[str, tuple[str, list[str], list[str]]]

BETTER: Ads = {
    "nurse": (ADS["nurse"][0], ADS["nurse"][1], ["wound care", "patience"]),
    "clerk": (ADS["clerk"][0], ADS["clerk"][1], ["Excel reports"]),
    "cook": (ADS["cook"][0], ADS["cook"][1], ["knife skills", "wanted"]),
}
"""Another answer to the same ads: all of the nurse is right, one skill of the clerk is missed, and one of the cook invented."""
BETTER_ERRORS: list[dict[str, Any]] = [
    {"id": "clerk", "key": "k-clerk", "missed": ["tact"], "invented": [], "boundary": []},
    {"id": "cook", "key": "k-cook", "missed": [], "invented": ["wanted"], "boundary": []},
]


def begin(airflow: AirflowTables, project: Path, *, team: str = "red") -> Past:
    """`tiny` with its DAGs and the past of `two_versions`."""
    airflow.experiment(project, "tiny", team=team)
    shutil.copytree(_made_once() / ".skillsengine", project / ".skillsengine")
    return Past(project)


@cache
def _made_once() -> Path:
    project = Path(tempfile.mkdtemp(prefix="skillsengine-answered-"))
    atexit.register(shutil.rmtree, project, ignore_errors=True)
    past = Past(project)
    two_versions(past)
    past.catalog.close()
    return project


def two_versions(past: Past) -> tuple[VersionRow, VersionRow]:
    """`tiny@1` was scored on March and April, `tiny@2`, the champion, was trained on March and scored on April; both on May,
    which has no labels."""
    first = past.version(1, 0.5)
    past.spec = json.loads(json.dumps(past.spec)) | {"owner": "bob"}
    past.spec["train"]["epochs"] = 7.0
    second = past.version(2, 0.6, "2026-04", ads=BETTER, errors=BETTER_ERRORS)
    past.cell(first, "2026-04", metrics(0.5, "2026-04"), _data(past, second), _answers(past, first))
    without = {**metrics(0.1, "2026-05"), "labelled": False, "labelled_rows": 0}
    for name in ("f1", "precision", "recall", "slices", "macro_f1", "fuzzy_f1", "overlap_f1", "token_f1"):
        del without[name]
    for row in (first, second):
        past.cell(row, "2026-05", without, _data(past, second), unlabelled(past, row).digest)
    return first, second


def unlabelled(past: Past, row: VersionRow) -> Any:
    """An evaluation of the same ads, without labels."""
    ads = ADS if row.number == 1 else BETTER
    lines = [
        {"id": name, "key": f"k-{name}", "words": 9, "gold": None, "predicted": predicted, "raw": "", "parsed": True}
        for name, (_, _, predicted) in ads.items()
    ]
    files = {"predictions.jsonl": "".join(json.dumps(line) + "\n" for line in lines), "errors.jsonl": ""}
    return past.publish("evaluate", f"unlabelled {row.number}", files, {}, "adapter")


def evaluation(past: Past, row: VersionRow, partition: str) -> Path:
    """The folder of the artifact that a cell names."""
    (cell,) = past.catalog.cells("tiny", row.adapter_digest, partition)
    return past.store.path_of("evaluate", cell.artifact_digest)


def many(count: int) -> tuple[Ads, Sequence[dict[str, Any]]]:
    """So many ads, in each of which the same skill is missed and another one invented."""
    ads = {f"ad-{n}": (f"Number {n} wants patience.", ["patience"], [f"thing {n}"]) for n in range(count)}
    errors = [
        {"id": name, "key": f"k-{name}", "missed": ["patience"], "invented": answer, "boundary": []}
        for name, (_, _, answer) in ads.items()
    ]
    return ads, errors


def _data(past: Past, row: VersionRow) -> str:
    return past.catalog.cells("tiny", row.adapter_digest)[0].data_digest


def _answers(past: Past, row: VersionRow) -> str:
    return past.catalog.cells("tiny", row.adapter_digest)[0].artifact_digest
