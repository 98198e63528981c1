"""The `skillsengine` command: its parts stand beside this module, one a subject."""

from __future__ import annotations

import logging
import sys

import typer

from skillsengine import __version__
from skillsengine.cli import (
    adapters,
    annotating,
    backing_up,
    catalog,
    collecting,
    diagnosis,
    diff,
    errors,
    matrix,
    merging,
    new,
    pausing,
    plan,
    platform,
    promoting,
    registry,
    report,
    resolve,
    runs,
    schema,
    serving,
    specs,
    sync,
)
from skillsengine.cli.console import USER_ERRORS, fail, out
from skillsengine.cli.ending import end_as_after_ctrl_c
from skillsengine.storage.machine_faults import machine_fault

app = typer.Typer(
    name="skillsengine",
    help="A YAML file dropped into experiments/ becomes a scheduled, cached, resumable fine-tuning pipeline in Airflow.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for part in (
    new,
    specs,
    plan,
    resolve,
    diff,
    schema,
    runs,
    registry,
    promoting,
    matrix,
    errors,
    report,
    annotating,
    adapters,
    serving,
    merging,
    sync,
    collecting,
    backing_up,
    diagnosis,
    catalog,
    platform,
    pausing,
):
    part.add_to(app)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"skillsengine {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show the libraries' own log too."),
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )


def main() -> None:
    """Entry point: a user's mistake ends in one clear text and exit code 1, never in a traceback."""
    end_as_after_ctrl_c()
    try:
        app()  # after Ctrl-C it ends with 130 by itself
    except USER_ERRORS as error:
        sys.exit(fail(str(error)).exit_code)
    except OSError as error:
        told = machine_fault("the command did not come to its end", error, None, "take another place")
        if told is None:
            raise
        sys.exit(fail(told).exit_code)
