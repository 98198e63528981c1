"""One run of the stage `format` and what it left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from skillsengine.pipeline.graph import FORMAT
from skillsengine.stages import format as stage
from skillsengine.stages.contract import Limit, SourceFile, Summary
from skillsengine.stages.rows import Row, read_rows
from tests.stages.support import Surroundings, config_for, experiment


class Formatted:
    """Format `files` into `folder`/out. However many rows are rejected, it goes on unless the spec says otherwise."""

    def __init__(self, folder: Path, *files: SourceFile, limit: Limit | None = None, **sections: Any) -> None:
        self.out = folder / "out"
        self.out.mkdir()
        self.around = Surroundings(folder)
        sections["data"] = {"source": "ads", "max_rejected": 1.0, **sections.get("data", {})}
        config = config_for(FORMAT, experiment(**sections), files=files, limit=limit, key="all")
        self.summary: Summary = stage.run(config, {}, self.out, self.around.context)

    @property
    def rows(self) -> list[Row]:
        return list(read_rows(self.out))

    @property
    def rejected(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "rejected.jsonl").read_text().splitlines()]


def ad(text: str, skills: Any = (), **more: Any) -> dict[str, Any]:
    """A row with the default columns; a tuple of skills is a list, anything else stands as it is."""
    return {"job_description": text, "skills": skills if not isinstance(skills, tuple) else list(skills), **more}
