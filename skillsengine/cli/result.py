"""What came out of a run, for people: scores side by side, extracted examples, where to look next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from skillsengine.airflow.ui.links import PREFIX, Links
from skillsengine.pipeline.plan import Plan
from skillsengine.reporting.figures.difference import versus
from skillsengine.scoring.matching import normalize_skill
from skillsengine.scoring.wording import NONE, with_half
from skillsengine.stages.rows import read_rows
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store

_NAMES = {"adapter": "the adapter", "base": "untuned base, 4-shot", "lexicon": "lexicon of labels"}
_EXAMPLES = 3


@dataclass(frozen=True)
class Commands:
    """What to type where the demo ran."""

    again: str
    stop: str
    try_it: str | None = None
    """Before the version; None: in the browser, for who is in this shell reaches another store."""


EMBEDDED = Commands("make demo", "make down", ".venv/bin/skillsengine extract")


def show_result(
    plan: Plan, store: Store, catalog: Catalog, url: str | None, console: Console, commands: Commands = EMBEDDED
) -> None:
    """Print scores, examples and next steps of a finished plan."""
    cells = {
        subject: artifact
        for subject in _NAMES
        if (artifact := store.get("evaluate", plan.step(f"evaluate[{subject}]").digest))
    }
    console.print(_scores(plan, cells))
    console.print(
        "[dim]micro precision, recall and F1 over the sets of skills; parsed: answers that are a JSON list;[/]"
    )
    console.print("[dim]verbatim: extracted skills that stand in the ad word for word; ±: half of the 95% interval[/]")
    for subject in ("base", "lexicon"):
        if {"adapter", subject} <= set(cells):
            told = versus(cells["adapter"], cells[subject], _NAMES["adapter"], f"the {_NAMES[subject]}")
            console.print(told or "no ad of the test has labels", markup=False)
    console.print()
    formatted = store.get("format", plan.step(f"format[{plan.partition}]").digest)
    if formatted and "adapter" in cells:
        _examples(formatted, cells["adapter"], console)
    _next(plan, store, catalog, url, console, commands)


def _scores(plan: Plan, cells: dict[str, Artifact]) -> Table:
    rows = next((cell.summary["rows"] for cell in cells.values()), 0)
    table = Table(title=f"{plan.experiment.name} on {plan.partition} ({rows} ads)", title_justify="left")
    table.add_column("")
    for column in ("precision", "recall", "F1", "parsed", "verbatim"):
        table.add_column(column, justify="right")
    for subject, cell in cells.items():
        rates = [cell.summary.get(name) for name in ("parse_rate", "verbatim_rate")]
        table.add_row(
            _NAMES[subject],
            *(NONE if share is None else f"{share:.3f}" for share in map(cell.summary.get, ("precision", "recall"))),
            with_half(cell.summary),
            *(NONE if rate is None else f"{rate:.0%}" for rate in rates),
            style="bold" if subject == "adapter" else "",
        )
    return table


def _examples(formatted: Artifact, cell: Artifact, console: Console) -> None:
    """Three ads with what was extracted: found in green, missed in yellow, wrong in red."""
    texts = {row.id: row.text for row in read_rows(formatted)}
    with cell.file("predictions.jsonl").open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["gold"]]
    console.print("[bold]Three ads of the test[/] ([green]found[/], [yellow]missed[/], [red]extracted wrongly[/]):")
    for row in rows[:: max(1, len(rows) // _EXAMPLES)][:_EXAMPLES]:
        console.print(_example(texts[row["id"]], row))


def _example(text: str, row: dict[str, Any]) -> Text:
    gold = {normalize_skill(skill): skill for skill in row["gold"]}
    predicted = {normalize_skill(skill): skill for skill in row["predicted"]}
    shown = Text(f"\n{text}\n", style="dim")
    for name, skill in gold.items():
        shown.highlight_words([skill], "not dim bold green" if name in predicted else "not dim bold yellow")
    shown.append("  → ", style="not dim")
    for name, skill in predicted.items():
        shown.append(f"{skill}  ", style="not dim green" if name in gold else "not dim red")
    missed = [skill for name, skill in gold.items() if name not in predicted]
    if missed:
        shown.append(f"(missed: {', '.join(missed)})", style="not dim yellow")
    return shown


def _next(plan: Plan, store: Store, catalog: Catalog, url: str | None, console: Console, commands: Commands) -> None:
    model = plan.experiment.model_name
    version = catalog.find_version(model, plan.adapter.digest)
    console.print("\n[bold]Where to look next[/]")
    if url:
        console.print(f"  Airflow:    {url}/dags/{plan.experiment.name}")
    if version and version.path:
        aliases = [alias for alias, number in catalog.aliases(model).items() if number == version.number]
        console.print(
            f"  registered: {model}@{version.number} ({', '.join(sorted(aliases)) or 'no alias'})  {version.path}"
        )
    finetuned = store.get(plan.adapter.stage, plan.adapter.digest)
    if finetuned:
        facts = finetuned.summary
        console.print(
            f"  training:   {facts['steps']} steps, {facts['seconds']:.0f} s, {facts['tokens_per_second']:.0f} tokens/s, "
            f"peak memory {facts['peak_memory_gb']:.1f} GB  {finetuned.file('loss.png')}"
        )
    if commands.try_it:
        console.print(f"  try it:     echo 'We need a welder with TIG welding.' | {commands.try_it} {model}@latest -")
    elif url:
        console.print(f"  try it:     {Links(f'{url}{PREFIX}', url).try_it(plan.experiment.name)}")
    console.print(
        f"  again:      change an ad in data/demo/2026-01.jsonl and run `{commands.again}`: only what depends on it runs"
    )
    console.print(f"  stop:       {commands.stop}")
