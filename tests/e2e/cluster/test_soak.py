"""In the end of a soak every run has ended, every version is whole, and the counts add up; memory stays flat."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import pytest

from benchmarks._record import read_rows, record
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.opening import open_store
from tests.e2e.cluster.recorded import WHEN
from tests.e2e.cluster.running import Running
from tests.e2e.cluster.soak import SETTINGS, Form, Soak
from tests.e2e.cluster.training import strays
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.nightly
SHORT = Form("short", experiments=3, twice=1, seconds=120, pause=(10, 20))
FULL = Form("full", experiments=200, twice=20, seconds=1800, pause=(15, 45))
ASKED = "CLUSTER_SOAK"
"""Set for the full form, which takes more than half an hour."""
GROWTH, ROOM = 1.2, 30.0
"""The last third's mean memory may be the first third's times this, and so many MB more: nobody is warm at first."""


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(SHORT, id="short"),
        pytest.param(FULL, id="full", marks=pytest.mark.skipif(ASKED not in os.environ, reason=f"{ASKED} is not set")),
    ],
)
def test_a_soak(running: Running, form: Form) -> None:
    soak = Soak(running, form)
    soak.drop()
    running.cluster.stop("scheduler")
    running.cluster.start("scheduler", SETTINGS)
    try:
        soak.run()
    finally:
        running.cluster.stop("scheduler")
        running.cluster.start("scheduler")
    ended = Counter(soak.state(name, run_id) for name, run_id in soak.runs)
    assert ended == {"success": form.experiments + form.twice}, "each task may be tried often enough"
    whole = versions_are_whole(soak)
    assert whole == form.experiments, "a run that finds all of it made registers nothing"
    wait_for("the end of processes that nobody minds", lambda: strays(running.cluster) == [], 120)
    memory = soak.thirds()
    keep(soak, whole, memory)
    assert sum(soak.kills.values()) >= form.seconds / form.pause[1] / 2
    for part, (first, last) in memory.items():
        assert last <= first * GROWTH + ROOM, f"{part} has grown: {memory}"


def versions_are_whole(soak: Soak) -> int:
    """How many versions there are, each with all its bytes; the catalog has closed every run."""
    catalog, store = Catalog.open(soak.running.settings.catalog_url), open_store(soak.running.settings)
    for name, run_id in soak.runs:
        run = catalog.get_run(name, run_id)
        assert run is not None and run.state == "success" and run.finished is not None, (name, run_id)
    count = 0
    for name in soak.names:
        for version in catalog.versions(name):
            assert version.state == "ready"
            for stage, digest in (("register", version.artifact_digest), ("finetune", version.adapter_digest)):
                artifact = store.get(stage, digest) if digest else None
                assert artifact is not None and store.verify(artifact) == [], (name, stage)
            count += 1
    left, made = list(store.leftovers()), {digest for _, digest in store.artifacts()}
    # What a killed task was building, and another one's run has made since: nobody sees it, housekeeping removes it.
    assert [each.name for each in left if not each.name.startswith("building/") or each.digest not in made] == []
    for each in left:
        each.remove()
    return count


def keep(soak: Soak, versions: int, memory: dict[str, tuple[float, float]]) -> None:
    """Print the figures, and write them to benchmarks/results/soak.json where they are asked for."""
    attempts = soak.attempts()
    again: Counter[str] = Counter()
    for (task, tries), count in attempts.items():
        if tries > 1:
            again[task] += count
    row: dict[str, Any] = {
        "form": soak.form.name,
        "experiments": soak.form.experiments,
        "runs": len(soak.runs),
        "seconds_of_kills": soak.form.seconds,
        "seconds": round(soak.took),
        "seed": soak.form.seed,
        "kills": dict(sorted(soak.kills.items())),
        "tasks": sum(attempts.values()),
        "tasks_tried_again": again.total(),
        "tried_again": dict(sorted(again.items())),
        "most_attempts": max(tries for _, tries in attempts),
        "versions": versions,
        "memory_mb": {part: {"first_third": round(a, 1), "last_third": round(b, 1)} for part, (a, b) in memory.items()},
    }
    print(row)
    if os.environ.get(WHEN):
        rows = {told["form"]: told for told in read_rows("soak")} | {row["form"]: row}
        record("soak", [rows[form] for form in sorted(rows)], {"runs_ended": 1.0, "versions_whole": 1.0})
