"""What becomes of a source, from the plan to the artifact, told as people read it; and the table of what it should be."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from skillsengine.pipeline.plan import PlanError, RunOptions, find_sources
from skillsengine.pipeline.run import Run, open_run, run_stage
from skillsengine.settings import Settings, load_settings
from skillsengine.sources.errors import SourceError, SourceUnavailable
from skillsengine.stages.contract import StageError, Summary
from skillsengine.stages.rows import REJECTED, read_rows
from skillsengine.storage.artifact import Artifact
from tests.pipeline.project import make_project, tiny_experiment

TOLD = (SourceError, PlanError, StageError)
"""What people may meet where a retry does not help; anything else is a traceback of somebody's library."""
HIDDEN = (
    (r"sha256 [0-9a-f]{12}, planned [0-9a-f]{12}", "sha256 NEW, planned OLD"),
    (r"after \d+ bytes", "after N bytes"),
    (r"\d+ bytes would grow", "N bytes would grow"),
)
"""What differs between versions of the libraries that pack the files."""
_RUNS = count(1)


class Door:
    """A project that sources are run through, as Airflow and the command line do it: the run is opened, which finds and
    hashes the files, then `format` is run for each partition."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.project = settings, settings.project
        self.hidden = list(HIDDEN)
        """What differs from run to run, and what is told in its place."""

    @classmethod
    def made(cls, folder: Path) -> Door:
        """A new project in `folder`."""
        return cls(make_project(folder / "project", (), base=False))

    @classmethod
    def of(cls, project: Path) -> Door:
        """A project that is there."""
        return cls(load_settings(project))

    def tell(
        self,
        data: Mapping[str, Any],
        *,
        partition: str | None = None,
        between: Callable[[], object] | None = None,
        trusted: bool = False,
    ) -> str:
        """What becomes of the source `data`; `between` happens after the plan was made."""
        experiment = tiny_experiment("bad", data=dict(data), base={"model": "smollm2-135m-instruct"})
        run_id = f"run-{next(_RUNS)}"
        shutil.rmtree(self.settings.store_root / "artifacts", ignore_errors=True)  # or what is cached is not read
        before = self._artifacts()
        try:
            run = open_run(
                experiment,
                dag_id="bad",
                run_id=run_id,
                settings=self.settings,
                partition=partition,
                options=RunOptions(trusted=trusted),
            )
        except (*TOLD, SourceUnavailable) as error:
            assert self._artifacts() == before
            return f"the plan fails ({type(error).__name__})\n{self._plain(error)}"
        if between:
            between()
        try:
            run_stage(run, "format")
        except (*TOLD, SourceUnavailable) as error:
            self._check_nothing_new(run, before)
            return f"format fails ({type(error).__name__})\n{self._plain(error)}"
        return self._told(run)

    def plan(self, data: Mapping[str, Any]) -> str:
        """What the plan says of the source `data`; nothing is written, so a user without rights may ask."""
        experiment = tiny_experiment("bad", data=dict(data))
        try:
            sources = find_sources(experiment, None, self.settings)
        except (*TOLD, SourceUnavailable) as error:
            return f"the plan fails ({type(error).__name__})\n{self._plain(error)}"
        return f"{sum(map(len, sources.files.values()))} files are found"

    def _told(self, run: Run) -> str:
        lines = list(dict.fromkeys(f"note of the plan: {note}" for note in run.sources.notes))
        for step in run.plan.of("format"):
            artifact = run.store.get("format", step.digest)
            assert artifact is not None and run.store.verify(artifact) == []
            partition = "" if step.key == "all" else f"{step.key}: "
            lines.append(f"{partition}{_counted(artifact)}")
            lines += [f"  {entry['id']} = {_place(entry)}" for entry in _rejected(artifact)]
            lines += [f"  note: {note}" for note in artifact.summary["notes"]]
        return self._plain("\n".join(lines))

    def _artifacts(self) -> set[Path]:
        return set(self.settings.store_root.glob("artifacts/*/*/*"))

    def _check_nothing_new(self, run: Run, before: set[Path]) -> None:
        """A stage that failed has published nothing of its own, and leaves nothing half made."""
        failed = [step for step in run.plan.of("format") if run.store.get("format", step.digest) is None]
        assert failed, "format failed, and all its artifacts are there"
        whole = {run.store.path_of("format", step.digest) for step in run.plan.of("format")}
        assert self._artifacts() - before <= whole
        building = self.settings.store_root / "building"
        assert [path for path in building.iterdir() if path.name != ".trash"] == []

    def _plain(self, told: object) -> str:
        """The text without what differs from machine to machine."""
        text = str(told).replace(str(self.project), "PROJECT")
        for pattern, instead in self.hidden:
            text = re.sub(pattern, instead, text)
        assert "Traceback" not in text and 'File "' not in text, text
        return text


def _counted(artifact: Artifact) -> str:
    """The counts that are not 0; they agree with what lies in the artifact's files."""
    summary: Summary = dict(artifact.summary)
    rows, rejected = list(read_rows(artifact)), _rejected(artifact)
    assert (summary["rows"], summary["rejected"]) == (len(rows), len(rejected))
    assert sum(summary["reasons"].values()) == len(rejected)
    assert summary["unlabelled"] == sum(row.skills is None for row in rows)
    assert len({row.id for row in rows}) + summary["copied_rows"] == len(rows)
    shown = ("rejected", "unlabelled", "empty_labels", "labels_not_in_text", "duplicate_ids", "copied_rows")
    return ", ".join([f"{len(rows)} rows are read", *(f"{name} {summary[name]}" for name in shown if summary[name])])


def _rejected(artifact: Artifact) -> list[dict[str, Any]]:
    return [json.loads(line) for line in artifact.file(REJECTED).read_text("utf-8").splitlines()]


def _place(entry: Mapping[str, Any]) -> str:
    excerpt = entry["text"] if len(entry["text"]) <= 60 else f"{entry['text'][:57]}..."
    return f"{entry['file']}:{entry['place']}: {entry['reason']} | {excerpt!r}"


def read_table(path: Path) -> dict[str, str]:
    """Title -> the text below it; `=== title` begins a case, and what stands before the first is for people."""
    cases: dict[str, str] = {}
    for block in ("\n" + path.read_text("utf-8")).split("\n=== ")[1:]:
        title, _, text = block.partition("\n")
        assert title not in cases, f"{title} stands twice in {path.name}"
        cases[title] = text.strip("\n")
    return cases


def write_table(path: Path, about: str, cases: Mapping[str, str]) -> None:
    blocks = [about.strip() + "\n", *(f"=== {title}\n{text}\n" for title, text in cases.items())]
    path.write_text("\n".join(blocks), "utf-8")
