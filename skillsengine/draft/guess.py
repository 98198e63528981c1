"""All guesses about one source together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from skillsengine.draft.choice import Choice
from skillsengine.draft.columns import Column, columns_of, shown
from skillsengine.draft.errors import DraftError
from skillsengine.draft.guess_dates import Dates, guess_dates, refused_dates
from skillsengine.draft.guess_id import guess_id
from skillsengine.draft.guess_labels import Labels, guess_labels
from skillsengine.draft.guess_text import guess_text
from skillsengine.draft.look import Sample
from skillsengine.draft.place import Place
from skillsengine.spec.schema import Period


@dataclass(frozen=True)
class Options:
    """What the command line says instead of a guess: names of columns."""

    text: str | None = None
    labels: str | None = None
    date: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Guess:
    """What the data seems to be."""

    text: Choice
    labels: Labels
    id: Choice | None
    dates: Dates | None
    """By a column; None without one, and where the files' names say the dates."""
    period: Period | None
    """Length of a partition; None for a source that is not dated."""
    keys: tuple[str, ...]
    """Partitions that were seen, sorted; empty for a source that is not dated."""
    doubts: tuple[str, ...]
    """What somebody should look at: ambiguous columns, labels that are not in the text, dates that are not read."""


def make_guess(place: Place, sample: Sample, options: Options, now: datetime | None = None) -> Guess:
    """Look at the columns of what was seen of `place`.

    Raises DraftError: an option names no column, two name the same one, or no column holds ads.
    """
    named = [name for name in (options.text, options.labels, options.date, options.id) if name is not None]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise DraftError(
            f"two of --text, --labels, --date and --id name the column `{twice}`: each takes one of its own."
        )
    columns, unseen = columns_of(sample.values, sample.columns, named)

    def free(used: set[str], own: str | None) -> list[Column]:
        """The columns that are neither in use nor kept for another option."""
        kept = used | {name for name in named if name != own}
        return [column for column in columns if column.name not in kept]

    text, text_choice = guess_text(_all_or(free(set(), options.text), columns, options.text), options.text)
    used = {text.name}
    labels = guess_labels(_all_or(free(used, options.labels), columns, options.labels), text, options.labels)
    used |= {labels.column.value} if labels.column else set()
    dates = None
    if place.period is None:
        dates = guess_dates(_all_or(free(used, options.date), columns, options.date), options.date, now)
    used |= {dates.column.value} if dates else set()
    row_id = guess_id(_all_or(free(used, options.id), columns, options.id), options.id)

    doubts = [text_choice.doubt, labels.column.doubt if labels.column else "", dates.column.doubt if dates else ""]
    if labels.column is None:
        doubts.append(labels.refused or _no_labels(free(used, None)))
    if dates is None and place.period is None:
        doubts.append(refused_dates(free(used, None), now) or "")
    if unseen:
        doubts.append(
            f"the rows have {unseen + len(columns):,} different columns; {unseen:,} that are rarely filled were not looked at"
        )
    active = dates if dates is not None and dates.active else None
    return Guess(
        text=text_choice,
        labels=labels,
        id=row_id,
        dates=dates,
        period=place.period or (active.period if active else None),
        keys=place.keys or (active.keys if active else ()),
        doubts=tuple(doubt for doubt in doubts if doubt),
    )


def _all_or(free: list[Column], columns: list[Column], option: str | None) -> list[Column]:
    """All columns where an option names one: then the error for a name that is not there lists them all."""
    return columns if option is not None else free


def _no_labels(left: list[Column]) -> str:
    there = f" (left over: {shown([column.name for column in left])})" if left else ""
    return (
        f"no column looks like the skills of an ad{there}: without labels nothing can be trained. If one of them holds "
        "skills, name it with --labels; if the labels stand elsewhere, join them to the ads first"
    )
