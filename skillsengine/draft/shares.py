"""Shares of validation and test that leave something on every side of a small static source."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.draft.place import Place
from skillsengine.spec.schema import Split
from skillsengine.stages.rows import Row

_DEFAULT = Split()
_SHARES = (_DEFAULT.test, 0.2, 0.3, 0.4, 0.5)
_SMOKE = 50
"""Rows of the smoke test that a user is told to try first."""


@dataclass(frozen=True)
class Shares:
    """What `data.split` says."""

    test: float = _DEFAULT.test
    why: str = ""
    """Empty where the default serves, and nothing has to be written."""
    doubt: str = ""


def fit_shares(place: Place, rows: Sequence[Row], *, dated: bool, whole: bool) -> Shares:
    """`rows`: those that a run can use, in their order; `whole`: there are no others.

    A dated source is tested on the run's own partition, and needs none. Files that are named as splits are taken as such; a
    test that no file is is cut out of `train`.
    """
    named = {file.split for file in place.files if file.split}
    if dated or {"train", "test"} <= named:
        return Shares()
    if named and "train" not in named:
        told = " and ".join(sorted(named))
        return Shares(doubt=f"the files are named {told}, and none `train`: there is nothing to learn from")
    if named:
        rows = [row for row in rows if row.split == "train"]
    if not whole and len(rows) >= _SMOKE:
        return Shares()
    # The smoke test takes as many rows of each file.
    smoke = _SMOKE // max(1, len(named))
    for share in _SHARES:
        parts = [rows[:smoke], rows]
        if all(_tests(part, share) and _trains(part, share) for part in parts):
            why = f"of {len(rows)} ads, a smaller share would leave none for the test"
            return Shares(share, why if share != _DEFAULT.test else "")
    return Shares(doubt=f"{len(rows)} ads that can be used are too few to learn from some and be tested on others")


def _tests(rows: Sequence[Row], share: float) -> bool:
    return any(_share(row, "test") < share for row in rows)


def _trains(rows: Sequence[Row], share: float) -> bool:
    """Whether a row that can be learned from is left; where there are no labels at all, shares are not the trouble."""
    labelled = [row for row in rows if row.skills is not None]
    return not labelled or any(
        _share(row, "test") >= share and _share(row, "validation") >= _DEFAULT.validation for row in labelled
    )


def _share(row: Row, salt: str) -> float:
    """As `skillsengine.stages.splits` decides for a text without copies; a test holds the two together."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{row.key}".encode()).digest()[:8], "big") / 2**64
