"""Which column holds the skills, and how a row holds them.

The best evidence is the ad itself: labels are verbatim, so the pieces of the right column, split the right way, stand in the
text of their own row. Every column is read in every way and judged by the share of its pieces that do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skillsengine.draft.choice import Choice
from skillsengine.draft.columns import Column, chosen, shown
from skillsengine.draft.errors import DraftError
from skillsengine.draft.label_readings import OTHER_SEPARATORS, ROWS, Reading, ads_of, best_of, readings
from skillsengine.draft.names import LABELS, MAYBE_LABELS, NO_LABELS, SKILLS

_SURE = 0.5
"""Share of pieces in the text from which on a column without a telling name may be the labels."""
_POOR = 0.8
"""Below this share the spec says that many labels are lost."""
_MOST_WORDS, _MOST_WORDS_NAMED = 5, 12
"""Mean words of a label: longer pieces are prose between commas. The second where a telling name and the text agree."""
_FEWEST_A_ROW = 1.5
_NEAR = 0.7
_SHAPES = "a row holds its skills as a list of strings, as a list written as JSON, or with `;` or `,` between them"
_SEPARATE = "write them with `;` between, or as a JSON list"


@dataclass(frozen=True)
class Labels:
    """What is said about labels."""

    column: Choice | None
    """None: there are none."""
    label_format: Choice
    readable: bool = True
    """False where the labels are separated by something that no format reads."""
    longest: int = 0
    """Characters of a long answer (the 99th percentile), as JSON."""
    share: float = 0.0
    """Of the labels, those that stand in their row's text."""
    refused: str = ""
    """Where `column` is None: which column is called like labels, and why it is none."""


def guess_labels(columns: Sequence[Column], text: Column, option: str | None) -> Labels:
    """The column with the skills and its format. `option` is what --labels says.

    Raises DraftError for a column that is not there, or of which no row can be read.
    """
    ads = ads_of(text)
    if option is not None:
        return _asked(chosen(columns, option, "--labels"), ads)
    candidates, refused = [], ""
    for column in columns:
        if column is text or not column.filled or not _possible(column, text):
            continue
        found = readings(column, ads)
        read = [reading for reading in found if reading.labels]
        if not read:
            refused = refused or _refused(column, found)
        elif _plausible(column, best_of(read)):
            candidates.append((_score(column, best_of(read)), column, best_of(read)))
    if not candidates:
        return Labels(None, Choice("list", ""), refused=refused)
    candidates.sort(key=lambda candidate: (-candidate[0], -candidate[2].found))
    score, column, best = candidates[0]
    others = [other.name for near, other, _ in candidates[1:] if near > _NEAR * score]
    doubt = f"{shown(others, 3)} could hold skills too: `--labels {others[0]}` takes that" if others else ""
    return _told(column, best, _described(best, ads), doubt)


def _asked(column: Column, ads: Sequence[str]) -> Labels:
    if not column.filled:
        return Labels(Choice(column.name, "as --labels says; no row has any yet"), Choice("list", ""))
    found = readings(column, ads)
    if read := [reading for reading in found if reading.labels]:
        best = best_of(read)
        return _told(column, best, f"as --labels says; {_described(best, ads)}", "")
    why = next((reading.why for reading in found if reading.why), "")
    if found and not why:
        return Labels(Choice(column.name, "as --labels says; no row that was looked at has any"), Choice("list", ""))
    why = why or f"it holds {column.kinds}"
    raise DraftError(
        f"--labels {column.name}: no row of it can be read as a list of skills ({why}): {_SHAPES}. Write them so."
    )


def _told(column: Column, best: Reading, why: str, doubt: str) -> Labels:
    doubts = [doubt] if doubt else []
    if best.share < _POOR and not best.separator:
        doubts.insert(
            0,
            f"{best.checked - best.found:,} of {best.checked:,} labels in `{column.name}` do not stand in their texts letter "
            "by letter; they are left out of the answers, and counted, and a row that is left without any is rejected",
        )
    if best.unreadable:
        rows = f"{best.unreadable:,} row{'s' if best.unreadable != 1 else ''}"
        doubts.insert(
            0, f"the labels of {rows} in `{column.name}` cannot be read, and such rows are rejected: {best.why}"
        )
    if best.separator:
        mark = OTHER_SEPARATORS[best.separator]
        doubts.insert(0, f"a row's skills seem to be separated by {mark}, which no label_format reads: {_SEPARATE}")
    told = {
        "list": "each row holds a list",
        "json": "a list written as text, as JSON or as Python prints it",
        "comma": "separated by commas",
        "semicolon": "separated by semicolons"
        if any(";" in text for text in column.texts)
        else "no row holds two; semicolons would stand between them",
    }[best.label_format]
    return Labels(
        Choice(column.name, why, "; ".join(doubts)),
        Choice(best.label_format, f"not readable yet: {_SEPARATE}" if best.separator else told),
        readable=not best.separator,
        longest=best.longest,
        share=best.share,
    )


def _telling(column: Column) -> bool:
    """Whether its name alone makes it the labels; `skill_level` and `label_type` do not."""
    return column.says((*SKILLS, *LABELS)) and not column.says(NO_LABELS)


def _possible(column: Column, text: Column) -> bool:
    """Before it is read: names that say no, longer texts than the ads', one value in all rows."""
    if _telling(column):
        return True
    if column.says(NO_LABELS) and not column.says(SKILLS):
        return False
    return column.characters <= text.characters and (column.distinct > 1 or len(column.filled) == 1)


def _plausible(column: Column, best: Reading) -> bool:
    if best.unreadable > best.rows:
        return False
    if _telling(column):
        return best.words <= (_MOST_WORDS_NAMED if best.share >= _SURE else _MOST_WORDS)
    return best.share >= _SURE and best.per_row >= _FEWEST_A_ROW and best.words <= _MOST_WORDS


def _score(column: Column, best: Reading) -> float:
    filled = best.rows / max(1, min(len(column.values), ROWS))
    named = 1.0 if column.says(SKILLS) else 0.5 if column.says(LABELS) else 0.25 if column.says(MAYBE_LABELS) else 0.0
    return best.share + (0.0 if column.says(NO_LABELS) else named) + 0.2 * filled


def _described(best: Reading, ads: Sequence[str]) -> str:
    labelled = f"{best.rows:,} of {len(ads):,} rows have some" if best.rows < len(ads) else "every row has some"
    return f"{best.per_row:.1f} skills a row, {best.share:.0%} of them in the row's text; {labelled}"


def _refused(column: Column, found: Sequence[Reading]) -> str:
    """Why a column that is called like labels is none."""
    if not _telling(column):
        return ""
    why = next((reading.why for reading in found if reading.why), "")
    if not why and found:
        return ""  # nothing but empty lists: told as any column that is left over
    why = why or f"it holds {column.kinds}"
    return f"`{column.name}` is called like labels, but no row of it can be read: {why}; {_SHAPES}"
