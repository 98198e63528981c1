"""Commands about registered versions: list them, show one, trace one back to the files it was made of."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from skillsengine.cli.console import fail, out, print_table, print_whole, settings_for
from skillsengine.pipeline.lineage import Lineage, Node, trace
from skillsengine.pipeline.summaries import summary_line
from skillsengine.reporting.figures.difference import versus
from skillsengine.scoring.wording import NONE, with_half
from skillsengine.settings import Settings
from skillsengine.spec.schema import Lora
from skillsengine.storage.catalog import Catalog, VersionRow
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import Store

_MOST_SLICES = 12
SUBJECTS = {"adapter": "adapter", "base": "4-shot base", "lexicon": "lexicon"}

Reference = Annotated[str, typer.Argument(metavar="MODEL@REF", help="REF is a number or an alias: champion, latest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def add_to(app: typer.Typer) -> None:
    for command in (versions, show, lineage):
        app.command()(command)


def find_version(reference: str, settings: Settings) -> tuple[VersionRow, Catalog]:
    """The ready version that `MODEL@REF` names (without `@REF`: its champion). Raises CatalogError that lists what there is."""
    catalog = Catalog.open(settings.catalog_url)
    model, _, ref = reference.partition("@")
    return catalog.resolve(model, ref or "champion"), catalog


def versions(
    model: Annotated[str | None, typer.Argument(help="Only versions of this model.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list, with all scores and the folders.")
    ] = False,
) -> None:
    """List registered adapters: what each was scored on, its F1 beside those of its baselines, its aliases.

    Example: `skillsengine versions job-skills-demo`
    """
    catalog = Catalog.open(settings_for().catalog_url)
    rows = [row for row in catalog.versions(model) if row.state == "ready"]
    aliases = {name: catalog.aliases(name) for name in {row.model for row in rows}}
    held = {
        row.name: sorted(alias for alias, number in aliases[row.model].items() if number == row.number) for row in rows
    }
    if as_json:
        _print_json([_listed(row, held[row.name]) for row in rows])
        return
    if not rows:
        out.print("no versions yet" + (f" of {model}" if model else "") + ": a finished run registers one")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("version", overflow="fold")
    table.add_column("scored on", no_wrap=True)
    for name in SUBJECTS.values():
        table.add_column(f"{name}, F1" if name == "adapter" else name, justify="right", no_wrap=True)
    for row in rows:
        scores = [with_half(row.metrics.get(subject, {})) for subject in SUBJECTS]
        named = Text.assemble((row.name, "bold"), *((f"\n  {alias}", "green") for alias in held[row.name]))
        table.add_row(named, row.partition or "", *scores)
    print_table(table)
    for root in sorted({str(Path(row.path).parents[1]) for row in rows if row.path}):
        out.print(Text(f"folders: {root}/MODEL/NUMBER", style="dim"))


def _listed(row: VersionRow, aliases: Sequence[str]) -> dict[str, Any]:
    return {
        "version": row.name,
        "model": row.model,
        "number": row.number,
        "aliases": aliases,
        "experiment": row.experiment,
        "partition": row.partition,
        "registered": row.published.isoformat() if row.published else None,
        "verdict": row.verdict,
        "folder": row.path,
        "metrics": row.metrics,
    }


def show(
    reference: Reference,
    as_json: AsJson = False,
    card: Annotated[
        bool, typer.Option("--card", help="Print its model card, with what the gate said of it since.")
    ] = False,
) -> None:
    """Show one version: scores beside its baselines, base, training data, aliases, where it is and how to load it.

    Example: `skillsengine show job-skills-demo@champion`
    """
    settings = settings_for()
    row, catalog = find_version(reference, settings)
    if card:
        sys.stdout.write(_card(row))
        return
    facts = _facts(row, catalog)
    if as_json:
        _print_json(facts)
        return
    held = ", ".join(facts["aliases"])
    out.print(Text.assemble((row.name, "bold"), "  ", (held, "green")))
    if row.spec.get("description"):
        out.print(Text(str(row.spec["description"]).strip().splitlines()[0], style="italic"))
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name in ("experiment", "registered", "base", "adapter", "trained on", "gate", "note", "hub", "folder"):
        if facts[name]:
            table.add_row(name, Text(str(facts[name])))
    print_table(table)
    if row.metrics:
        print_table(_scores(row))
        for line in _differences(row, open_store(settings)):
            out.print(Text(line))
    if slices := row.metrics.get("adapter", {}).get("slices"):
        print_table(_slices(slices))
    for move in facts["moves"]:
        out.print(
            Text(f"{move['when']}  {move['alias']}: {move['from']} -> {move['to']}  {move['reason']}", style="dim")
        )
    out.print(f"\nskills of an ad:      skillsengine extract {row.name} ad.txt")
    out.print(f"where it came from:   skillsengine lineage {row.name}")
    out.print("with PEFT alone:      see README.md in its folder")


def _card(row: VersionRow) -> str:
    """The version's own card, which never changes, and behind it what came after it was written."""
    own = (Path(require_path(row)) / "README.md").read_text(encoding="utf-8")
    verdict = row.verdict
    said = f"**{verdict['verdict']}**: {verdict['reason']}." if verdict else "The gate has not judged this version."
    return f"{own.rstrip()}\n\n## Gate\n\n{said}\n"


def _facts(row: VersionRow, catalog: Catalog) -> dict[str, Any]:
    spec, run = row.spec, None if row.run_id is None else catalog.run_by_id(row.run_id)
    hub = run.data.get("hub") if run else None
    lora, base = Lora.model_validate(spec["lora"]), spec["base"]
    revision = f" at {base['revision']}" if base.get("revision") else ""
    moves = [move for move in catalog.alias_moves(row.model) if row.number in (move.number, move.old_number)]
    return {
        "version": row.name,
        "aliases": sorted(alias for alias, number in catalog.aliases(row.model).items() if number == row.number),
        "experiment": row.experiment + (f", partition {row.partition}" if row.partition else ""),
        "registered": f"{row.published:%Y-%m-%d %H:%M} UTC" if row.published else None,
        "base": f"{base['model']}{revision}, quantization {base['quantization']}",
        "adapter": f"LoRA {lora.in_words}",
        "trained on": f"{spec['data']['source']}: {', '.join(sorted(row.lineage.get('format', {})))}",
        "gate": f"{row.verdict['verdict']}: {row.verdict['reason']}" if row.verdict else None,
        "verdict": row.verdict,
        "note": run.note if run else None,
        "hub": hub["url"] if hub else None,
        "folder": row.path,
        "metrics": row.metrics,
        "moves": [
            {
                "when": f"{move.moved:%Y-%m-%d %H:%M}",
                "alias": move.alias,
                "from": move.old_number,
                "to": move.number,
                "reason": move.reason,
            }
            for move in moves
        ],
    }


def _scores(row: VersionRow) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("scored", "precision", "recall", "F1", "parsed", "verbatim", "ads", "gold skills"):
        table.add_column(column, justify="left" if column == "scored" else "right")
    for subject, name in SUBJECTS.items():
        if found := row.metrics.get(subject):
            precision, recall, *rates = (
                found.get(key) for key in ("precision", "recall", "parse_rate", "verbatim_rate")
            )
            table.add_row(
                f"{name} on {found.get('partition')}",
                *(_share(value) for value in (precision, recall)),
                with_half(found),
                *(_share(value) for value in rates),
                *(str(found.get(key, NONE)) for key in ("rows", "gold_skills")),
            )
    return table


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _differences(row: VersionRow, store: Store) -> Iterator[str]:
    """Whether the version is better than its baselines, as far as their evaluations are in the store."""
    digests = row.lineage.get("evaluate", {})
    cells = {subject: store.get("evaluate", digest) for subject, digest in digests.items()}
    if (ours := cells.get("adapter")) is not None:
        for subject in ("base", "lexicon"):
            theirs = cells.get(subject)
            if theirs is not None and (told := versus(ours, theirs, SUBJECTS["adapter"], SUBJECTS[subject])):
                yield told


def _slices(slices: Mapping[str, Mapping[str, Any]]) -> Table:
    """The largest slices, by what they are cut by and there by size."""
    table = Table(box=None, pad_edge=False)
    for column in ("slice", "F1", "ads", "gold skills"):
        table.add_column(column, justify="left" if column == "slice" else "right")
    largest = sorted(slices.items(), key=lambda item: (-item[1]["ads"], item[0]))[:_MOST_SLICES]
    for name, found in sorted(largest, key=lambda item: item[0].partition("=")[0]):
        table.add_row(Text(name), with_half(found), str(found["ads"]), str(found["gold_skills"]))
    return table


def lineage(reference: Reference, as_json: AsJson = False) -> None:
    """Trace a version back: its artifacts with their digests, the files that they read, the run and the spec's commit.

    Example: `skillsengine lineage job-skills-demo@latest`
    """
    settings = settings_for()
    row, catalog = find_version(reference, settings)
    traced = trace(row, open_store(settings), catalog)
    if as_json:
        _print_json(traced.as_json())
        return
    print_whole(_tree(traced))


def _tree(traced: Lineage) -> Tree:
    row = traced.version
    run = f"run {traced.run_id} ({traced.trigger})" if traced.run_id else "its run is not in the catalog"
    commit = f"spec at commit {traced.spec_commit[:12]}" if traced.spec_commit else "spec not in git"
    changed = f", overridden: {', '.join(traced.overrides)}" if traced.overrides else ""
    tree = Tree(Text.assemble((row.name, "bold"), f"  experiment {row.experiment}, {run}, {commit}{changed}"))
    _grow(tree, traced.root)
    return tree


def _grow(tree: Tree, node: Node) -> None:
    told = summary_line(node.stage, node.summary) if node.present else ""
    state = "" if node.present else "  is no longer in the store"
    branch = tree.add(Text.assemble((node.name, "bold"), f"  {node.digest[:12]}  ", (told, "dim"), (state, "red")))
    for file in node.files:
        split = f" ({file.split})" if file.split else ""
        branch.add(Text.assemble(file.where or file.name, split, (f"  sha256 {file.sha256[:12]}", "dim")))
    for inner in node.inputs:
        _grow(branch, inner)


def _print_json(data: Any) -> None:
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def require_path(row: VersionRow) -> str:
    """The folder of a version, or the error for one that is not published yet."""
    if row.path is None:
        raise fail(f"{row.name} is not published yet: its run is still registering it, or died doing so.")
    return row.path
