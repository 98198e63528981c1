"""What `benchmarks.format_memory` measures with a million ads, held by a few thousand: no stage holds the rows that it reads.

Counted is what Python and numpy allocate (tracemalloc), not the process' memory: it is the same on every machine.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.graph import FORMAT, PROFILE
from skillsengine.stages import format as format_stage
from skillsengine.stages import profile as profile_stage
from skillsengine.stages.contract import StageConfig
from skillsengine.storage.artifact import Artifact
from tests.stages.formatted import ad_text
from tests.stages.support import Surroundings, as_artifact, config_for, experiment, write_lines
from tests.tiny import make_tiny_base

SMALL, LARGE = 1_500, 3_000
"""Rows. The small source fills the reader's buffers already (1 MB)."""
SKILLS = ("SQL", "wound care", "TIG welding", "Spanish", "first aid", "Docker", "budgets")
PROMISED = 200
"""Bytes a row: the index of texts, signatures and ids."""


def ads(count: int) -> Iterator[dict[str, Any]]:
    """Ads of about 800 characters, each fiftieth of four times as many; no two of them alike but in their skills."""
    for number in range(count):
        skills = [SKILLS[number % 7], SKILLS[number % 5]]
        sentences = [*skills, *(ad_text(number * 9 + part, length=60) for part in range(1 if number % 50 else 4))]
        text = ". ".join(sentences)
        yield {"id": f"ad-{number}", "job_description": text, "skills": skills}


def peak(work: Callable[[], object]) -> int:
    """Bytes that were allocated at once while `work` ran, at most."""
    tracemalloc.start()
    work()
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


class Prepared:
    """A source of so many ads, formatted once, and the stages on it."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.mkdir()
        self.count = count
        make_tiny_base(folder / "base", context=2048)
        self._folder = folder
        self._spec = experiment(base={"model": "base"}, tokens={"max_length": 1600, "overlong": "split"})
        self._file = write_lines(folder / "ads.jsonl", ads(count))
        self._formatted: Artifact | None = None

    def format(self) -> None:
        out = self._out("format")
        summary = format_stage.run(
            config_for(FORMAT, self._spec, files=[self._file], key="all"), {}, out, Surroundings(self._folder).context
        )
        assert summary["rows"] == self.count
        self._formatted = as_artifact(out, "format", {"splits": []})

    def profile(self) -> None:
        if self._formatted is None:
            self.format()
        assert self._formatted is not None
        config: StageConfig = config_for(PROFILE, self._spec)
        out = self._out("profile")
        summary = profile_stage.run(config, {"format[all]": self._formatted}, out, Surroundings(self._folder).context)
        assert summary["rows"] > self.count // 2 and summary["rows_split"]

    def _out(self, stage: str) -> Path:
        out = self._folder / stage / str(sum(1 for _ in self._folder.glob(f"{stage}/*")))
        out.mkdir(parents=True)
        return out


@pytest.mark.parametrize("stage", ["format", pytest.param("profile", marks=pytest.mark.nightly)])
def test_a_further_row_costs_its_place_in_the_index(tmp_path: Path, stage: str) -> None:
    small, large = (Prepared(tmp_path / str(count), count) for count in (SMALL, LARGE))
    getattr(small, stage)()  # what is made once: compiled patterns, caches, imports
    if stage == "profile":
        large.format()
    more = peak(getattr(large, stage)) - peak(getattr(small, stage))
    each = more / (LARGE - SMALL)
    print(f"{each:.0f} bytes a row")
    assert each < PROMISED, f"{more:,} bytes more for {LARGE - SMALL:,} more rows"
