"""Commands about the platform: the embedded Airflow and the demo."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from skillsengine.cli.console import out, settings_for

Port = Annotated[
    int | None, typer.Option(min=1, max=65535, help="Port of Airflow. Default: 8080 or the next free one.")
]


def add_to(app: typer.Typer) -> None:
    for command in (up, down, status, demo):
        app.command()(command)


def up(port: Port = None) -> None:
    """Start the embedded Airflow on this machine and leave it running.

    SQLite, LocalExecutor, no password, loopback only. Everything it keeps is in `.skillsengine/airflow`.

    Example: `skillsengine up --port 8090`
    """
    from skillsengine.airflow import embedded

    address = embedded.up(settings_for(), port, progress=lambda text: out.print(f"[dim]{text}[/]"))
    out.print(
        f"Airflow {'is up' if address.started else 'was up already'}: [bold]{address.url}[/] (stop it with `make down`)"
    )
    out.print(f"[dim]logs: {address.logs}[/]")


def down() -> None:
    """Stop the embedded Airflow and all its parts.

    Tasks under way end; they are tried again at the next start, training from its last checkpoint.

    Example: `skillsengine down`
    """
    from skillsengine.airflow import embedded

    out.print("Airflow is stopped" if embedded.down(settings_for()) else "Airflow was not running")


def status() -> None:
    """Tell whether the embedded Airflow runs, where, and how its parts are. Exit code 1 if it does not run.

    Example: `skillsengine status`
    """
    from skillsengine.airflow import embedded

    found = embedded.status(settings_for())
    if not found.running:
        out.print("Airflow is not running (start it with `make up`)")
        raise typer.Exit(1)
    out.print(f"[bold]{found.url}[/] {'is well' if found.healthy else '[yellow]is not well[/]'}")
    for part, state in found.parts:
        out.print(Text(f"  {part}: {state}"))


def demo(port: Port = None) -> None:
    """Run the whole job once on the demo corpus, under the embedded Airflow, and show the result.

    It trains a small Llama on five months of ads and scores it on the sixth. A second call finds everything done.

    Example: `skillsengine demo`
    """
    from skillsengine.cli.demo import run_demo

    run_demo(settings_for(), port)
