"""The page of all settings, from their declaration: `python -m skillsengine.settings_reference > docs/settings.md`."""

from __future__ import annotations

import sys

from skillsengine.settings import VARIABLES, Variables, kind_of

_HEAD = """# Settings

Made from the code by `python -m skillsengine.settings_reference > docs/settings.md`. One installation is told by environment
variables where it reads and writes; a spec never names them. Give the same ones to every part of Airflow and to the shell that
you type commands in. The embedded Airflow needs none: `make up` hands its parts what it was started with.

A variable that is empty counts as not set. A wrong value stops whatever reads it, with the variable, the value and the mend.
`skillsengine doctor` shows what holds where it runs, where each value comes from, and which variable is mistyped.
"""
_FOOT = """Others that are read: `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`, `WANDB_API_KEY` and `AIRFLOW_CONN_<ID>`
([how it works](how-it-works.md#where-things-are-kept)).
"""


def reference() -> str:
    """docs/settings.md as a whole."""
    rows = ["| variable | type | default | meaning |", "| --- | --- | --- | --- |"]
    for variable, name in VARIABLES.items():
        kind, about = kind_of(name), " ".join((Variables.model_fields[name].description or "").split())
        rows.append(f"| `{variable}` | {kind.type} | {kind.default} | {about} |")
    return "\n".join([_HEAD, *rows, "", _FOOT])


if __name__ == "__main__":
    sys.stdout.write(reference())
