"""What `new` shows of a draft: the guesses with their reasons, the doubts, training rows, lengths, and what to type next."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import out, print_table
from skillsengine.cli.rendered import show_rows, show_texts
from skillsengine.draft.lengths import Lengths, lengths_of
from skillsengine.draft.make import Made
from skillsengine.modeling.errors import ModelError
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.preview import ROWS_SHOWN
from skillsengine.settings import Settings
from skillsengine.spec.schema import BUILTIN_BASE
from skillsengine.stages.contract import StageError
from skillsengine.stages.rows import Row
from skillsengine.storage.opening import open_store

_BAR = 40
"""Characters of the longest bar."""


def show_guesses(made: Made, console: Console) -> None:
    """A table of the guesses, then notes and doubts."""
    draft = made.draft
    guess, dates = draft.guess, draft.guess.dates
    table = Table(title=f"{draft.name} · {draft.sample.extent}", title_justify="left", box=None, pad_edge=False)
    for column in ("field", "guess", "why"):
        table.add_column(column, overflow="fold", style="bold" if column == "guess" else None)
    rows = [("text", guess.text.value, guess.text.why)]
    if guess.labels.column is not None:
        rows += [
            ("labels", guess.labels.column.value, guess.labels.column.why),
            ("label_format", guess.labels.label_format.value, guess.labels.label_format.why),
        ]
    else:
        rows.append(("labels", "none", "no column was found that holds skills"))
    no_id = ("id", "none", "no column tells all rows apart: file and line serve")
    rows.append(("id", guess.id.value, guess.id.why) if guess.id else no_id)
    if dates is not None and dates.active:
        rows += [("date_column", dates.column.value, dates.column.why), ("period", dates.period, dates.period_why)]
    elif guess.period is not None:
        span = f"{len(guess.keys)} by the files' names, {guess.keys[0]} to {guess.keys[-1]}"
        rows.append(("period", guess.period, span))
    else:
        named = any(file.split for file in draft.place.files)
        rows.append(
            ("dated", "no", f"one set, divided by {'the names of its files' if named else 'a hash of each ad'}")
        )
    if draft.history is not None:
        rows.append(("window", str(draft.history.window), draft.history.window_why))
    if draft.shares.why:
        rows.append(("split.test", f"{draft.shares.test:g}", draft.shares.why))
    rows.append(("base", draft.base.model, draft.base.why))
    for row in rows:
        table.add_row(*map(Text, row))
    print_table(table, console)
    for note in dict.fromkeys((*draft.sample.notes, *draft.place.notes)):
        console.print(Text(f"note: {note}"))
    for doubt in draft.doubts:
        console.print(Text.assemble(("LOOK AT THIS", "bold black on yellow"), f" {doubt}."))


def show_rows_of(made: Made, settings: Settings, spec: str) -> None:
    """Three training rows and the lengths of all: in tokens, or in words where the base's tokenizer cannot be had."""
    labelled = made.usable.labelled
    if not labelled:
        out.print("no row with labels, so there is no training row to show")
        return
    experiment = made.loaded.experiment
    try:
        measure = import_heavy("skillsengine.draft.measure").measure
        if experiment.base.model == BUILTIN_BASE and not (open_store(settings).bases / BUILTIN_BASE).is_dir():
            out.print("converting the built-in base, once for this project (about a minute) ...")
        measured = measure(experiment, labelled, settings)
    except (ModelError, StageError) as error:
        _without_tokens(labelled, experiment.prompt.template, str(error), spec, hub=isinstance(error, ModelError))
        return
    show_rows(measured.examples)
    show_lengths(measured.lengths)
    out.print(
        f"`max_length: auto` takes {measured.max_length:,} tokens for these rows; {measured.overlong:,} of "
        f"{measured.lengths.count:,} are longer: their ads would be cut (the base was made for {measured.context_length:,})",
        markup=False,
    )


def _without_tokens(rows: list[Row], template: str, reason: str, spec: str, *, hub: bool) -> None:
    show_texts((row.id, row.prompt(template), row.answer or "") for row in rows[:ROWS_SHOWN])
    show_lengths(lengths_of([len(f"{row.prompt(template)}{row.answer}".split()) for row in rows], "words"))
    out.print(Text.assemble(("no tokens to show", "bold black on yellow"), f" {reason}"))
    told = f"The spec is written all the same. `skillsengine doctor {spec}` looks whether the base can be had"
    if hub:
        told += f", `skillsengine pull {spec}` fetches it"
    out.print(f"{told}; then `skillsengine preview {spec}` shows the tokens.", markup=False)


def show_lengths(lengths: Lengths) -> None:
    """Statistics in one line, and a histogram."""
    told = ", ".join(
        f"{percentile:g} % at most {value:,}" for percentile, value in lengths.percentiles.items() if percentile < 100
    )
    out.print(
        f"lengths of {lengths.count:,} training rows, ad and answer: mean {lengths.mean:,.0f} {lengths.unit}; {told}; "
        f"longest {max(lengths.percentiles.values()):,}",
        markup=False,
    )
    most = max(count for _, _, count in lengths.bins)
    for low, high, count in lengths.bins:
        bar = "█" * round(_BAR * count / most) or ("▏" if count else "")
        out.print(f"{f'{low:,}-{high:,}':>15} {bar} {count:,}", markup=False)


def show_next(made: Made, settings: Settings, spec: str) -> None:
    """The commands that come next."""
    draft = made.draft
    steps = [(f"skillsengine validate {spec}", "after each edit: is it right?")]
    if draft.base.large:
        steps += [
            (f"skillsengine doctor {spec}", "can this machine have the base, and run it?"),
            (f"skillsengine pull {spec}", "fetch the base ahead of the first run"),
        ]
    scheduled = draft.history is not None and not draft.history.awaited
    where = "where there is a GPU" if draft.base.large else "minutes at most on a CPU"
    steps += [
        (f"skillsengine run {spec} --limit 50", f"a smoke test of 50 rows, {where}; registers nothing"),
        (f"skillsengine run {spec}", "the whole job, here"),
        (
            "make up" if (settings.project / "Makefile").is_file() else "skillsengine up",
            "start Airflow, where the experiment is a DAG already"
            + ("" if scheduled else ": `Trigger` there starts a run"),
        ),
    ]
    if scheduled:
        steps.append((f"skillsengine unpause {draft.name}", "let its schedule run"))
    width = max(len(command) for command, _ in steps)
    out.print("next:")
    for command, why in steps:
        out.print(Text.assemble("  ", (f"{command:<{width}}", "bold"), f"  {why}"))


def shown_path(path: Path) -> str:
    """As it can be typed here."""
    folder = Path.cwd().resolve()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
