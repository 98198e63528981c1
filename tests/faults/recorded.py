"""What the faults came to: benchmarks/results/faults.json, a row for each test, where FAULTS_RECORD is set.

As a program it prints the rows of the table in docs/faults.md: `python -m tests.faults.recorded`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import asdict, dataclass

from benchmarks._record import read_rows, record

NAME = "faults"
WHEN = "FAULTS_RECORD"


@dataclass(frozen=True)
class Row:
    """One fault and its outcome."""

    fault: str
    outcome: str
    """In words; what the test has checked."""
    steps_repeated: int | None = None
    """Optimizer steps that were done twice; None where no training is part of it."""


def keep(row: Row) -> None:
    """Print a row, and let it take the place of the one that the same test has left."""
    test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" (")[0]
    print(test, row)
    if not os.environ.get(WHEN):
        return
    rows = {told["test"]: told for told in read_rows(NAME)} | {test: asdict(row) | {"test": test}}
    ordered = sorted(rows.values(), key=lambda told: str(told["test"]))
    repeated = [int(told["steps_repeated"]) for told in ordered if told["steps_repeated"] is not None]
    record(NAME, ordered, {"faults": len(ordered), "most_steps_repeated": max(repeated, default=0)})


def table_rows() -> list[tuple[str, str, str, str]]:
    """(fault, outcome, what was seen, test) of each fault; several moments of one are recorded as a row each."""
    found: dict[tuple[str, str, str], list[int | None]] = defaultdict(list)
    for row in read_rows(NAME):
        found[row["test"].partition("[")[0], row["fault"], row["outcome"]].append(row["steps_repeated"])
    lines = []
    for (test, fault, outcome), repeated in sorted(found.items()):
        seen = f"{len(repeated)} of {len(repeated)}"
        if steps := [count for count in repeated if count is not None]:
            seen += f"; at most {max(steps)} steps twice" if max(steps) else "; no step twice"
        lines.append((fault, outcome, seen, test))
    return lines


if __name__ == "__main__":
    for line in table_rows():
        print("| {} | {} | {} | `{}` |".format(*line))
