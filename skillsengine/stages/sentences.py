"""Where the sentences of an ad end: a small rule for texts that are half prose and half list.

A sentence ends

1. after a line break, with the blank lines and the indentation that follow it;
2. after `.`, `!`, `?` or `…` (repeated, and with closing quotation marks or brackets) before white space, unless the next
   letter is a small one (`approx. five`), or the mark is a single full stop after a known abbreviation (`Dr. Smith`), after
   single letters (`J. Smith`, `U.S. Army`, `z. B. SQL`) or after a number that begins a sentence (`2. Wound care`);
3. after `。`, `！` or `？`, which no white space follows.

White space belongs to the sentence before it, so the sentences joined are the text. Known limitations: an abbreviation that is
not in the list ends a sentence when a capital follows; a sentence that ends in a single letter (`Plan B.`) goes on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_CLOSING = "\"'”’»)\\]}"
# Possessive, and a run of marks is tried from its beginning only: a line of ten thousand dots takes no longer than its length.
_BORDER = re.compile(
    rf"(?P<line>\n\s*+)"
    rf"|(?<![.!?…])(?P<mark>[.!?…]++)[{_CLOSING}]*+(?P<space>[^\S\n]++(?=\S)|[^\S\n]*+\n\s*+)"
    rf"|[。！？]++[{_CLOSING}」』]*+\s*+"
)
_SIGN = re.compile(r"\S")
_WORD_BEFORE = re.compile(r"[^\W_]+(?:\.[^\W_]+)*$")
_ABBREVIATION = re.compile(
    "approx|bzw|ca|co|corp|dept|dipl|dr|eg|evtl|fig|ggf|ie|inc|incl|ing|inkl|jr|ltd|max|min|mr|mrs|ms|no|nr|prof|sr|st|str|"
    "tel|vs"
)
_LONGEST_WORD = 32
"""Characters looked at before a full stop."""


def sentence_ends(text: str) -> list[int]:
    """Where each sentence ends, ascending, the text's end last: `text[ends[i - 1]:ends[i]]` is sentence i.

    Every sentence holds something that is not white space; a text of white space alone has none.
    """
    ends: list[int] = []
    first = _begin(text, 0)
    for border in _BORDER.finditer(text):
        # White space before the first word belongs to the first sentence.
        if first < border.end() and not _goes_on(text, first, border):
            ends.append(border.end())
            first = _begin(text, border.end())
    if first < len(text):
        ends.append(len(text))
    elif ends:
        ends[-1] = len(text)
    return ends


def stretches(ends: Sequence[int], fits: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    """(begin, end) of stretches of whole sentences, each as long as `fits(begin, end)` allows; joined they are the text.

    `ends` are places where the text may be parted, as `sentence_ends` gives them. What does not fit although it has no such
    place inside is a stretch by itself.
    """
    starts = [0, *ends]
    found, first = [], 0
    while first < len(ends):
        last = _furthest(first, len(ends) - 1, lambda one, other: fits(starts[one], ends[other]))
        found.append((starts[first], ends[last]))
        first = last + 1
    return found


def _furthest(first: int, end: int, fits: Callable[[int, int], bool]) -> int:
    """The last sentence, at most `end`, up to which the text from `first` on fits; `first` itself in any case.

    By doubling and halving: a text of many sentences is encoded a few times a part, not once a sentence.
    """
    good, step = first, 1
    while good + step <= end and fits(first, good + step):
        good += step
        step *= 2
    bad = min(good + step, end + 1)
    while bad - good > 1:
        middle = (good + bad) // 2
        if fits(first, middle):
            good = middle
        else:
            bad = middle
    return good


def _begin(text: str, start: int) -> int:
    """Where the next word or sign after `start` stands."""
    found = _SIGN.search(text, start)
    return found.start() if found else len(text)


def _goes_on(text: str, first: int, border: re.Match[str]) -> bool:
    """Whether what looks like a border is inside the sentence that begins at `first`."""
    mark = border["mark"]
    if mark is None or "\n" in border["space"]:
        return False
    if text[border.end()].islower():
        return True
    if mark != "." or border.end("mark") != border.start("space"):
        return False
    at = border.start("mark")
    word = _WORD_BEFORE.search(text, max(first, at - _LONGEST_WORD), at)
    if word is None:
        return False
    before = word[0].casefold()
    numbering = before.isdecimal() and word.start() == first
    initials = all(len(part) == 1 and part.isalpha() for part in before.split("."))
    return initials or numbering or _ABBREVIATION.fullmatch(before.replace(".", "")) is not None
