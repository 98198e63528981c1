"""Training texts in 4 bytes a token; as lists of Python numbers they would take ten times that."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import overload

from skillsengine.modeling.encoding import IGNORED, Encoded


class PackedTexts(Sequence[Encoded]):
    """A growing sequence of `Encoded`, each made anew when it is asked for."""

    def __init__(self) -> None:
        self._tokens, self._ends = array("i"), array("q")
        self._supervised_from, self._cut = array("i"), array("b")

    def append(self, text: Encoded) -> None:
        self._tokens.extend(text.input_ids)
        self._ends.append(len(self._tokens))
        self._supervised_from.append(sum(label == IGNORED for label in text.labels))
        self._cut.append(text.cut)

    def length(self, place: int) -> int:
        """Tokens of one text."""
        return self._ends[place] - self._start(place)

    def _start(self, place: int) -> int:
        return self._ends[place - 1] if place else 0

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> Encoded: ...

    @overload
    def __getitem__(self, place: slice) -> list[Encoded]: ...

    def __getitem__(self, place: int | slice) -> Encoded | list[Encoded]:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        place = range(len(self))[place]
        ids = self._tokens[self._start(place) : self._ends[place]].tolist()
        prompt = self._supervised_from[place]
        return Encoded(ids, [IGNORED] * prompt + ids[prompt:], bool(self._cut[place]))
