"""Commands that stop experiments from starting anything, and let them go on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from skillsengine.cli.console import fail, out, settings_for
from skillsengine.settings import Settings

_TAG = "skillsengine"
_SECOND = ".evaluations"
"""Ends the id of an experiment's second DAG."""

Names = Annotated[
    list[str] | None, typer.Argument(metavar="NAME...", help="Experiments: both DAGs of each. Or single DAGs.")
]
All = Annotated[bool, typer.Option("--all", help="Every DAG with the tag `skillsengine`, housekeeping too.")]


def add_to(app: typer.Typer) -> None:
    for command in (pause, unpause):
        app.command()(command)


def pause(names: Names = None, all_: All = False) -> None:
    """Let experiments start nothing more in Airflow, one by one or all of them.

    Tasks that run now run to their end. What comes after them, and new runs, wait until you unpause.

    Example: `skillsengine pause --all`
    """
    changed = _set_paused(names, all_, True)
    if changed:
        out.print("Tasks that run now run to their end; what comes after them waits. To let them go on:")
        out.print(Text(f"  skillsengine unpause {' '.join(changed)}"))


def unpause(names: Names = None, all_: All = False) -> None:
    """Let paused experiments go on in Airflow. A schedule that came due meanwhile starts one run, for the newest partition.

    Example: `skillsengine unpause job-skills-demo`
    """
    changed = _set_paused(names, all_, False)
    if changed:
        out.print("To pause them again:")
        out.print(Text(f"  skillsengine pause {' '.join(changed)}"))


def _set_paused(names: Sequence[str] | None, all_: bool, paused: bool) -> list[str]:
    """Bring it about and tell so. Returns the names that undo it: only of what was changed."""
    from skillsengine.airflow.client import AirflowClient, AirflowError

    if bool(names) == all_:
        raise fail("say which experiments, or --all for every DAG of skillsengine.")
    try:
        with AirflowClient(airflow_url(settings_for())) as client:
            ours = {dag["dag_id"]: dag for dag in client.dags() if _TAG in {tag["name"] for tag in dag["tags"]}}
            chosen = list(ours) if all_ else [dag_id for name in names or () for dag_id in _dags_of(name, ours)]
            changed = []
            for dag_id in dict.fromkeys(chosen):
                if ours[dag_id]["is_paused"] == paused:
                    out.print(f"[dim]{dag_id} {'was paused' if paused else 'was not paused'} already[/]")
                    continue
                client.set_paused(dag_id, paused)
                changed.append(dag_id)
                out.print(f"[yellow]paused[/] {dag_id}" if paused else f"[green]unpaused[/] {dag_id}")
    except AirflowError as error:
        raise fail(str(error)) from error
    if not chosen:
        out.print("Airflow has no DAG of skillsengine yet")
    return _short(changed)


def airflow_url(settings: Settings) -> str:
    """Of the Airflow that the environment names, else of the embedded one. Raises typer.Exit where there is none."""
    from skillsengine.airflow.embedded_state import read_state

    if settings.airflow_url:
        return settings.airflow_url
    state = read_state(settings)
    if state is None or not state.alive():
        raise fail(
            "no Airflow is known here: the embedded one does not run (`make up`), and SKILLSENGINE_AIRFLOW_URL names no other."
        )
    return state.url


def _dags_of(name: str, ours: Mapping[str, Any]) -> list[str]:
    found = [dag_id for dag_id in (name, f"{name}{_SECOND}") if dag_id in ours]
    if not found:
        near = difflib.get_close_matches(name, ours, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(sorted(ours)) or 'none yet'}."
        raise fail(f"Airflow has no experiment `{name}`: {hint}")
    return found


def _short(changed: Sequence[str]) -> list[str]:
    """The names that stand for the changed DAGs: an experiment's for both of its own."""
    return [dag_id for dag_id in changed if not (dag_id.endswith(_SECOND) and dag_id.removesuffix(_SECOND) in changed)]
