"""The lexicon baseline: every known skill that stands in the ad. What memory alone can do, without a model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from skillsengine.scoring.matching import normalize_skill

# A word with the signs that belong to it (C++, C#; combining accents), or one sign by itself.
_TOKEN = re.compile(r"[\w\u0300-\u036f]+[+#]*|[^\w\s]")

_Token = tuple[bool, str]  # (stands after white space, case-folded text)


@dataclass
class _Node:
    """One step in the tree of labels: what may follow, and whether a label ends here."""

    after: dict[_Token, _Node] = field(default_factory=dict)
    is_label: bool = False


def _tokens(text: str) -> list[tuple[_Token, int, int]]:
    found, end = [], 0
    for match in _TOKEN.finditer(text):
        found.append(((match.start() > end, match[0].casefold()), match.start(), match.end()))
        end = match.end()
    return found


class Lexicon:
    """Finds known labels in texts: whole words, case ignored, runs of white space counted as one blank.

    Where matches overlap the longest wins, of equally long ones the first. Texts are read token by token through a
    tree of the labels, so the time does not depend on how many labels there are.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self._root = _Node()
        for label in labels:
            node = self._root
            tokens = _tokens(label)
            for number, ((spaced, word), _, _) in enumerate(tokens):
                # What stands before a label's first word is not part of the label.
                node = node.after.setdefault((spaced and number > 0, word), _Node())
            if tokens:
                node.is_label = True

    def extract(self, text: str) -> list[str]:
        """The labels in the text, spelled as the text does, in its order, each (by its normalized form) once."""
        tokens = _tokens(text)
        spans = [(start, end) for start in range(len(tokens)) for end in self._ends(tokens, start)]
        spans.sort(key=lambda span: (tokens[span[0]][1] - tokens[span[1] - 1][2], span[0]))
        taken = [False] * len(tokens)
        chosen = []
        for start, end in spans:
            if not any(taken[start:end]):
                taken[start:end] = [True] * (end - start)
                chosen.append((tokens[start][1], tokens[end - 1][2]))
        found: dict[str, str] = {}
        for start, end in sorted(chosen):
            skill = text[start:end]
            found.setdefault(normalize_skill(skill) or skill, skill)
        return list(found.values())

    def _ends(self, tokens: list[tuple[_Token, int, int]], start: int) -> list[int]:
        """Token positions right after each label that begins at token `start`."""
        ends = []
        node = self._root.after.get((False, tokens[start][0][1]))
        position = start + 1
        while node is not None:
            if node.is_label:
                ends.append(position)
            if position == len(tokens):
                break
            node = node.after.get(tokens[position][0])
            position += 1
        return ends
