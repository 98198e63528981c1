"""`skillsengine errors`: what a version gets wrong on a partition, the most frequent first, with the ads where it did."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from skillsengine.cli.console import out, print_table, settings_for
from skillsengine.cli.registry import AsJson, Reference, find_version
from skillsengine.reporting.figures.errors import error_lines, labelled_cell
from skillsengine.scoring.frequent import frequent
from skillsengine.scoring.places import occurrences
from skillsengine.scoring.wording import with_interval
from skillsengine.spec.text import printable
from skillsengine.stages.rows import read_rows
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import CellRow, VersionRow
from skillsengine.storage.opening import open_store

_ADS = 2
"""Ads that are shown of each error."""
_AROUND = 24
"""Characters on each side of a skill: beside the other columns they fit into a terminal."""
_HEADS = {
    "missed": "missed: labelled, not extracted",
    "invented": "invented: extracted, not labelled",
    "boundary": "boundary: both, one skill with other borders (labelled → extracted)",
}

Kind = Annotated[
    Literal["missed", "invented", "boundary"] | None, typer.Option(help="Only errors of this kind. Default: all.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(errors)


def errors(
    reference: Reference,
    partition: Annotated[
        str | None, typer.Option(metavar="KEY", help="Default: the newest one that it was scored on with labels.")
    ] = None,
    kind: Kind = None,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="The N most frequent of each kind.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the skills that a version misses and invents most often, and the ads where it did.

    A missed and an invented skill that overlap in the ad are one skill with other borders: a boundary error, counted in both.

    Example: `skillsengine errors job-skills-demo@champion --kind missed`
    """
    settings = settings_for()
    version, catalog = find_version(reference, settings)
    store = open_store(settings)
    cell = labelled_cell(version, catalog, partition)
    lines = error_lines(version, cell, store)
    kinds = [kind] if kind else list(_HEADS)
    found = {name: frequent(lines, name) for name in kinds}
    if as_json:
        _print_json(version, cell, {name: found[name][:rows] for name in kinds})
        return
    _head(version, cell)
    texts = _texts(
        store.get("format", cell.data_digest), {ad for each in found.values() for one in each for ad in one.ads}
    )
    for name in kinds:
        shown = found[name][:rows]
        if shown:
            more = f" ({len(shown)} of {len(found[name])})" if len(found[name]) > len(shown) else ""
            out.print(Text(f"\n{_HEADS[name]}{more}", style="bold"))
            print_table(_table(shown, texts))
    if not texts:
        out.print(Text("the ads themselves are no longer in the store", style="dim"))


def _head(version: VersionRow, cell: CellRow) -> None:
    told = cell.metrics
    out.print(
        Text.assemble(
            (version.name, "bold"),
            f" on {cell.partition}: F1 {with_interval(told)}, {told['labelled_rows']} labelled ads\n"
            f"missed {told['missed']} of {told['gold_skills']} labelled skills, invented {told['invented']} of "
            f"{told['predicted_skills']} extracted; {told['boundary']} of both are boundary errors",
        )
    )


def _texts(formatted: Artifact | None, ids: set[str]) -> dict[str, str]:
    """Id -> text of the ads; none where the partition's rows are gone."""
    return {} if formatted is None else {row.id: row.text for row in read_rows(formatted) if row.id in ids}


def _table(shown: Sequence[Any], texts: Mapping[str, str]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="cyan")
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for error in shown:
        ads = list(dict.fromkeys(error.ads))[:_ADS]
        for number, ad in enumerate(ads):
            first = number == 0
            table.add_row(
                str(len(error.ads)) if first else "",
                Text(" → ".join(map(_line, error.skills))) if first else "",
                Text.assemble((f"{ad}  ", "dim"), _excerpt(texts[ad], error.skills))
                if ad in texts
                else Text(ad, style="dim"),
            )
    return table


def _excerpt(text: str, skills: Sequence[str]) -> Text:
    """What stands around the skill, with the skill marked; of a boundary error the labelled one, else the extracted one."""
    found = next((places[0] for skill in skills if (places := occurrences(text, [skill]))), None)
    if found is None:
        return Text("does not stand there word for word", style="dim italic")
    start, end = found
    before, after = _line(text[:start]), _line(text[end:])
    # White space next to the skill is part of neither.
    left = " " if text[start - 1 : start].isspace() else ""
    right = " " if text[end : end + 1].isspace() else ""
    return Text.assemble(
        f"…{before[-_AROUND:]}" if len(before) > _AROUND else before,
        left,
        (f"«{_line(text[start:end])}»", "bold yellow"),
        right,
        f"{after[:_AROUND]}…" if len(after) > _AROUND else after,
    )


def _line(text: str) -> str:
    """On one line, and nothing in it that a terminal obeys: models write anything."""
    return printable(" ".join(text.split()))


def _print_json(version: VersionRow, cell: CellRow, found: Mapping[str, Sequence[Any]]) -> None:
    kept = (
        "labelled_rows",
        "gold_skills",
        "predicted_skills",
        "f1",
        "f1_low",
        "f1_high",
        "missed",
        "invented",
        "boundary",
    )
    told = {
        "version": version.name,
        "experiment": cell.experiment,
        "partition": cell.partition,
        "metrics": {name: cell.metrics[name] for name in kept},
        "errors": {
            kind: [{"skills": list(error.skills), "count": len(error.ads), "ads": error.ads} for error in each]
            for kind, each in found.items()
        },
    }
    sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
