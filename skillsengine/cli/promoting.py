"""Commands that move an alias by hand, as the gate does by rule: `promote` and `rollback`."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from skillsengine.cli.console import fail, out, settings_for
from skillsengine.cli.registry import Reference, find_version
from skillsengine.pipeline.shown import show_alias
from skillsengine.storage.catalog import Catalog

CHAMPION = "champion"
Why = Annotated[str | None, typer.Option("--reason", help="Why; it stands in the history.")]
Alias = Annotated[str, typer.Option(help="The alias to move.")]


def add_to(app: typer.Typer) -> None:
    for command in (promote, rollback):
        app.command()(command)


def promote(reference: Reference, reason: Why = None, alias: Alias = CHAMPION) -> None:
    """Make a version the champion by hand. The gate is not asked; the history says who did it, and why.

    Example: `skillsengine promote job-skills-demo@3 --reason "scores confirmed by the team"`
    """
    settings = settings_for()
    version, catalog = find_version(reference, settings)
    before = catalog.alias(version.model, alias)
    if not catalog.set_alias(version.model, alias, version.number, _by_hand(reason), expect=before):
        out.print(f"{version.model}@{alias} is version {version.number} already")
        return
    came = f", it was {before}" if before is not None else ""
    out.print(f"{version.model}@{alias} is now version {version.number}{came}")
    show_alias(version, alias, settings, "by hand", _by_hand(reason))


def rollback(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a registered model.")],
    reason: Why = None,
    alias: Alias = CHAMPION,
) -> None:
    """Take the last promotion back: the champion before it is champion again. Repeated, it goes one further back.

    Example: `skillsengine rollback job-skills-demo --reason "misses French ads"`
    """
    if "@" in model:
        raise fail(f"rollback takes a model and no version: write `skillsengine rollback {model.partition('@')[0]}`.")
    settings = settings_for()
    catalog = Catalog.open(settings.catalog_url)
    came, now = catalog.roll_back(model, alias, _by_hand(reason))
    out.print(f"{model}@{alias} is version {now} again, it was {came}")
    show_alias(catalog.resolve(model, str(now)), alias, settings, "by hand", _by_hand(reason))


def _by_hand(reason: str | None) -> str:
    try:
        who = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        who = "somebody"
    return f"by hand, {who}" + (f": {reason.strip()}" if reason and reason.strip() else "")
