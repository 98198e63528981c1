"""The platform settings as they hold here: each value, where it comes from, and which variable is mistyped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from skillsengine.doctor.finding import Finding, ok, warning
from skillsengine.settings import SUPERVISOR, VARIABLES, Settings, kind_of, without_password
from skillsengine.spec.suggest import closest

_PREFIX = "SKILLSENGINE_"


def examine_settings(settings: Settings, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Every variable, without passwords; `settings` are those that were read from `environ`."""
    for variable, name in VARIABLES.items():
        held = _shown(getattr(settings, name))
        if not environ.get(variable):
            yield ok(variable, f"not set: {held or kind_of(name).default}")
        elif variable == "SKILLSENGINE_PROJECT" and settings.project != Path(environ[variable]).expanduser().resolve():
            yield ok(variable, f"not taken, since the specs stand in another project: {held}")
        else:
            yield ok(variable, f"{held} (from the environment)")
    for root in settings.data_roots:
        if not root.is_dir():
            yield warning("data root", f"{root} is no folder", "make or mount it, or mend SKILLSENGINE_DATA_ROOTS")
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and variable not in VARIABLES and variable != SUPERVISOR:
            # Without the beginning that all share: it would make any two of them alike.
            meant = closest(variable.removeprefix(_PREFIX), (known.removeprefix(_PREFIX) for known in VARIABLES))
            mend = (
                f"did you mean {_PREFIX}{meant}? Rename it, or unset it"
                if meant
                else "unset it; docs/settings.md lists all"
            )
            yield warning(variable, "is no setting: it changes nothing", mend)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else without_password(str(value))
