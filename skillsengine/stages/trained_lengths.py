"""What an adapter has to know of its training texts when it is asked: how long they were."""

from __future__ import annotations

from typing import TypedDict

from skillsengine.storage.artifact import Artifact

LENGTHS = "lengths.json"
"""The distributions that `profile` leaves."""


class TrainedLengths(TypedDict):
    """In tokens, prompt and answer together; None where nothing is known, as of an adapter from elsewhere."""

    max_length: int | None
    """What longer texts were brought to."""
    typical_length: int | None
    """Median of the training texts as they were before that."""


def trained_lengths(profile: Artifact | None) -> TrainedLengths:
    if profile is None:
        return {"max_length": None, "typical_length": None}
    median = profile.json(LENGTHS)["train"]["percentiles"]["50"]
    return {"max_length": int(profile.summary["max_length"]), "typical_length": int(median)}
