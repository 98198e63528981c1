"""From `--data` to the text of a spec: look, guess, decide where the data will lie, write, and load what was written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from skillsengine.draft.bases import draft_base
from skillsengine.draft.bring import Source, source_for
from skillsengine.draft.guess import Options, make_guess
from skillsengine.draft.history import fit_history
from skillsengine.draft.look import look
from skillsengine.draft.place import find_place
from skillsengine.draft.shares import fit_shares
from skillsengine.draft.spec_text import Draft, spec_text
from skillsengine.draft.usable import Usable, usable_rows
from skillsengine.draft.write import check
from skillsengine.settings import Settings
from skillsengine.spec.json_schema import modeline
from skillsengine.spec.load import Loaded


@dataclass(frozen=True)
class Made:
    """A draft that loads, of which nothing is written yet."""

    draft: Draft
    source: Source
    usable: Usable
    text: str
    loaded: Loaded


def make_draft(
    name: str,
    data: str,
    options: Options,
    settings: Settings,
    *,
    folder: Path,
    now: datetime,
    base: str | None = None,
    copy: bool | None = None,
) -> Made:
    """Draft the spec `name` of `data`, as typed in `folder`; reads, and writes nothing.

    Raises DraftError and SourceError for data that is not there or cannot be drafted from, SpecError for a value that a spec
    does not take.
    """
    place = find_place(data, folder)
    sample = look(place)
    guess = make_guess(place, sample, options, now)
    source = source_for(place, name, settings, copy)
    drafted = draft_base(base, settings.experiments, folder)
    usable = usable_rows(sample, guess)
    # The names of files tell all partitions; a column only those of the rows that were looked at.
    all_keys = sample.whole or place.period is not None
    history = fit_history(guess.keys, guess.period, now, whole=all_keys) if guess.period is not None else None
    shares = fit_shares(place, usable.rows, dated=guess.period is not None, whole=sample.whole)
    found = (*guess.doubts, usable.doubt, history.doubt if history else "", shares.doubt, drafted.doubt)
    draft = Draft(
        name=name,
        source=source.text,
        place=place,
        guess=guess,
        base=drafted,
        sample=sample,
        history=history,
        shares=shares,
        doubts=tuple(doubt for doubt in found if doubt),
        today=now.date(),
    )
    text = modeline(settings) + spec_text(draft)
    return Made(draft, source, usable, text, check(text, name, settings))
