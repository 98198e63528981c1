"""What W&B's own reader (`wandb leet inspect`) finds in the log of a run, which is what `wandb sync` sends."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.util import get_core_path


@dataclass
class Told:
    """One ended run."""

    run: dict[str, Any] = field(default_factory=dict)
    """`display_name`, `job_type`, `run_group`, `project`, `run_id`, `tags`, `host`."""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    """Its moments; of media and tables the fields, such as `predictions.nrows`."""
    summary: dict[str, Any] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    """Artifacts that it logged: `type`, `name`, `aliases`, `manifest`, `metadata`."""
    used: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None

    def artifacts(self) -> set[tuple[str, str, str]]:
        """(made or used, type, name) of each artifact but those that W&B makes for its own tables."""
        of = {"made": self.made, "used": self.used}
        return {(how, each["type"], each["name"]) for how in of for each in of[how] if each["type"] != "run_table"}


def told(folder: Path) -> Told:
    """Read the run in `folder`. W&B's helper process writes the last of it just after the run's end: that is waited for."""
    (path,) = folder.glob("run-*.wandb")
    # Without Python's start around it, which takes longer than the reading.
    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json", "--follow", "--idle-timeout", "20s"]
    done = subprocess.run([*command, "--run-file", path, folder.parent], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = Told()
    for line in done.stdout.splitlines():
        record = json.loads(line)
        value = record.get(record["type"], {})
        match record["type"]:
            case "run":
                found.run |= {key: part for key, part in value.items() if key != "config"}
                found.config |= value.get("config", {}).get("update", {})
            case "config":
                found.config |= value.get("update", {})
            case "history":
                found.history.append(value["item"])
            case "summary":
                found.summary |= value.get("update", {})
            case "artifact":
                (found.used if value.get("use_after_commit") else found.made).append(value)
            case "exit":
                found.exit_code = value.get("exit_code", 0)
    assert found.exit_code is not None, f"{folder}: the run does not end; {done.stdout[-300:]}"
    return found
