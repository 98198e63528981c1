"""When two spellings are the same skill, and when a skill is verbatim. Standard library only: the gate uses it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

# Soft hyphen, zero-width space, word joiner and byte order mark: they are seen by nobody and split words for machines.
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
# Symbols that play the part of quotation marks; Unicode does not count them as punctuation.
_QUOTE_LIKE = "`´"


@lru_cache(maxsize=1 << 15)  # the same skills stand in many ads, and each is asked for several times
def normalize_skill(skill: str) -> str:
    """The form under which two spellings count as one skill; empty where nothing is left.

    In this order: invisible characters are dropped; Unicode compatibility forms (NFKC) and case are folded; runs of
    white space become one blank; white space and punctuation around the skill are dropped (Unicode category P, and
    backquotes). Punctuation inside stays (`R&D`, `node.js`, `CI/CD`), and so do two outer marks that are part of
    names: a `#` right after a letter or digit (`C#`) and a single `.` right before one (`.NET`). A `+` is a symbol,
    not punctuation: `C++` stays.

    Singular and plural, word order and synonyms are different skills. Normalizing twice changes nothing more.
    """
    folded = skill.translate(_INVISIBLE)
    # Twice, as Unicode's own "compatibility caseless match": folding the case can undo the normal form and the reverse.
    for _ in range(2):
        folded = unicodedata.normalize("NFKC", folded).casefold()
    return _strip(" ".join(unicodedata.normalize("NFKC", folded).split()))


def _strip(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_outer(text[start]):
        start += 1
    while end > start and _is_outer(text[end - 1]):
        end -= 1
    if start == end:
        return ""
    dots = start - len(text[:start].rstrip("."))
    if dots == 1 and text[start].isalnum():
        start -= 1
    if text[end : end + 1] == "#" and text[end - 1].isalnum():
        end += 1
    return text[start:end]


def _is_outer(character: str) -> bool:
    return character.isspace() or character in _QUOTE_LIKE or unicodedata.category(character).startswith("P")


def skill_set(skills: Iterable[str]) -> frozenset[str]:
    """The distinct normalized skills; those of which nothing is left are dropped."""
    return frozenset(filter(None, map(normalize_skill, skills)))


def is_verbatim(skill: str, text: str) -> bool:
    """Whether the skill stands in the text character by character, as every label of the training data does."""
    return bool(skill) and skill in text
