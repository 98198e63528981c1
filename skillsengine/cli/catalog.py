"""The catalog's layout: which one it has, and the way back before an older skillsengine is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from sqlalchemy import Engine

from skillsengine.cli.console import out, settings_for
from skillsengine.storage import migrate
from skillsengine.storage.database import connect, shown

_group = typer.Typer(
    no_args_is_help=True, help="The catalog's layout: which one it has, and the way back to an older one."
)


def add_to(app: typer.Typer) -> None:
    for command in (status, downgrade):
        _group.command()(command)
    app.add_typer(_group, name="catalog")


@contextmanager
def _opened(*, reads_only: bool) -> Iterator[Engine]:
    engine = connect(settings_for().catalog_url, reads_only=reads_only)
    try:
        yield engine
    finally:
        engine.dispose()


def status() -> None:
    """Which layout the catalog has, and which ones this version of skillsengine knows. Changes nothing.

    Example: `skillsengine catalog status`
    """
    with _opened(reads_only=True) as engine:
        now = migrate.layout(engine)
        out.print(f"catalog {shown(engine.url)}", markup=False)
    if now is None:
        out.print("no tables yet: the first run makes them")
    elif now == migrate.HEAD:
        out.print(f"layout {now}, this version's own")
    elif now < migrate.HEAD:
        out.print(f"layout {now}: the next command or task takes it to {migrate.HEAD}")
    else:
        out.print(f"layout {now}, of a newer skillsengine: this one knows layouts up to {migrate.HEAD} and refuses it")
    for revision, news in migrate.layouts().items():
        out.print(f"  {revision}{' *' if revision == now else '  '} {news}", markup=False)


def downgrade(
    layout: Annotated[str, typer.Argument(metavar="LAYOUT", help="As `catalog status` lists them: `0002`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before something is lost.")] = False,
) -> None:
    """Take the catalog to an older layout, before an older skillsengine is installed. Stop Airflow's tasks first.

    What the older layout cannot hold is told, and lost only after a yes.

    Example: `skillsengine catalog downgrade 0003`
    """
    with _opened(reads_only=False) as engine:
        lost = migrate.losses(engine, layout)
        for line in lost:
            out.print(f"lost: {line}", markup=False)
        if lost and not yes:
            typer.confirm(f"take {shown(engine.url)} to the layout {layout} without that?", abort=True)
        migrate.downgrade(engine, layout)
        out.print(f"catalog {shown(engine.url)} has the layout {layout}", markup=False)
    if layout != migrate.HEAD:
        out.print(
            "Install the older skillsengine now: any other command of this one, or a task, takes it forward again."
        )
