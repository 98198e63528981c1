"""Commands about labels of one's own: ads out to people who label them, and their labels back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from skillsengine.cli.console import err, fail, out
from skillsengine.cli.matrix import Name, spec_of
from skillsengine.cli.specs import load
from skillsengine.pipeline.annotating import Export, Import, export_ads, import_labels
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog

annotate = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Label ads of a partition by hand: export a sample with the model's proposals, import the labels.",
)

Key = Annotated[str | None, typer.Option(metavar="KEY", help="Default: the newest complete one that has data.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(annotate, name="annotate")


@annotate.command("export")
def export_command(
    name: Name,
    partition: Key = None,
    version: Annotated[
        str | None,
        typer.Option(metavar="REF", help="Who proposes: a number or an alias. Default: champion, else latest."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many ads.")] = 50,
    labelled: Annotated[
        bool, typer.Option("--labelled", help="Ads that have labels already, with these, to correct them.")
    ] = False,
    proposals: Annotated[bool, typer.Option(help="With what the version extracts, to be corrected.")] = True,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Default: standard output.")
    ] = None,
) -> None:
    """Write a sample of a partition's ads as JSON lines that labelling tools read, one ad a line.

    They are the ads that `evaluate` scores first, cleaned; `label` holds the proposals, each `[start, end, "SKILL"]`.

    Example: `skillsengine annotate export job-skills-demo --partition 2026-04 -o to-label.jsonl`
    """
    if labelled and version is not None:
        raise fail("--version names who proposes, and with --labelled nobody does: the ads come with their labels.")
    loaded, settings = load(spec_of(name), None)
    found = export_ads(
        loaded.experiment,
        settings,
        Catalog.open(settings.catalog_url),
        partition=partition,
        version=version,
        rows=rows,
        labelled=labelled,
        proposals=proposals,
        trusted=loaded.trusted,
        told=lambda line: err.print(line, markup=False),
    )
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in found.lines)
    if output is None:
        sys.stdout.write(text)
    else:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise fail(
                f"{output}: cannot be written ({error.strerror}). Name a file in a folder that is there."
            ) from error
    for line in _describe(found, loaded.experiment, labelled, output):
        err.print(Text(line))


@annotate.command("import")
def import_command(
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What the labelling tool wrote: JSON lines, or a JSON list.")
    ],
    partition: Annotated[
        str | None, typer.Option(metavar="KEY", help="Default: what the lines say, else the newest complete one.")
    ] = None,
    as_proposed: Annotated[
        bool, typer.Option("--as-proposed", help="Take it although every ad has exactly what the model proposed.")
    ] = False,
) -> None:
    """Take labels back: they count instead of the source's, for every run and score from now on.

    Each line of FILE is one labelled ad; an empty `label` says that it asks for no skill. Take out what nobody has looked at.
    A second import adds to the first, and where both have an ad, the later wins.

    Example: `skillsengine annotate import job-skills-demo labelled.jsonl`
    """
    loaded, settings = load(spec_of(name), None)
    catalog = Catalog.open(settings.catalog_url)
    done = import_labels(
        loaded.experiment,
        settings,
        catalog,
        file,
        partition=partition,
        as_proposed=as_proposed,
        trusted=loaded.trusted,
    )
    for line in _describe_import(done, loaded.experiment):
        out.print(Text(line))


def _describe(found: Export, experiment: Experiment, labelled: bool, output: Path | None) -> list[str]:
    count = len(found.lines)
    kind = "with labels" if labelled else "without labels"
    lines = [f"{count} of {found.of} ads {kind} in {found.partition}" + (f", written to {output}" if output else "")]
    if found.version is not None:
        lines.append(f"{found.version} proposes skills for {found.proposed} of them")
    most = experiment.evaluate.max_rows
    if most is not None and count > most:
        lines.append(f"evaluate.max_rows is {most}: no more than that are scored, so label these first or raise it")
    where = f" --partition {found.partition}" if found.partition != "all" else ""
    lines.append(f"labels come back by: skillsengine annotate import {experiment.name} FILE{where}")
    return lines


def _describe_import(done: Import, experiment: Experiment) -> list[str]:
    counts = [f"{done.new} ads newly labelled", f"{done.changed} changed", f"{done.same} as before"]
    counts += [f"{done.left_open} without labels left out"] if done.left_open else []
    lines = [f"{done.partition}: {', '.join(counts)}; people have labelled {done.total} of its ads by now"]
    if not done.new and not done.changed:
        return [*lines, "nothing is new, so nothing is scored again"]
    lines.append(f"kept in {done.path}")
    lines.append(
        f"its scores are to be made again: skillsengine backfill {experiment.name}"
        + (f" --from {done.partition} --to {done.partition}" if experiment.data.dated else "")
    )
    return lines
