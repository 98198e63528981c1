"""docs/wandb.md quotes what was recorded of a server that goes away."""

from __future__ import annotations

from benchmarks._record import read_rows
from tests.docs.pages import PROJECT

NUMBERS = (
    "steps_a_second_before",
    "steps_a_second_after",
    "median_step_after_to_before",
    "seconds_from_last_step_to_end",
)


def test_the_table_of_a_server_that_goes_away_has_the_recorded_rows() -> None:
    lines = (PROJECT / "docs" / "wandb.md").read_text("utf-8").splitlines()
    recorded = [
        " | ".join(["| " + row["fault"], *(f"{row[name]:g}" for name in NUMBERS)]) + " |"
        for row in read_rows("tracking_faults")
    ]
    begin = next(at for at, line in enumerate(lines) if line.startswith("| from the middle of a training on |"))
    assert len(recorded) == 5 and lines[begin + 2 : begin + 7] == recorded
