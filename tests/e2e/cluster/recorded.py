"""What the faults came to: benchmarks/results/cluster_faults.json, a row for each fault, where CLUSTER_RECORD is set."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from benchmarks._record import read_rows, record

NAME = "cluster_faults"
WHEN = "CLUSTER_RECORD"


@dataclass(frozen=True)
class Row:
    """One fault and its outcome."""

    fault: str
    outcome: str
    """In words."""
    attempts: int
    """Of the task that the fault was about."""
    steps_repeated: int
    """Optimizer steps that were done twice."""
    seconds: float
    """From the fault until the work went on."""
    test: str
    """`file::function`, as pytest takes it."""


def keep(row: Row) -> None:
    """Print a row, and let it take the place of the one that the same test has left."""
    print(row)
    if not os.environ.get(WHEN):
        return
    rows = {told["test"]: told for told in read_rows(NAME)} | {row.test: asdict(row)}
    ordered = sorted(rows.values(), key=lambda told: str(told["test"]))
    record(
        NAME,
        ordered,
        {
            "faults": len(ordered),
            "adapters_equal_to_the_undisturbed": len(ordered),  # a row is kept by a test that has compared them
            "most_steps_repeated": max(int(told["steps_repeated"]) for told in ordered),
        },
    )
