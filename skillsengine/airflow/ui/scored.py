"""What the pages that show ads let one choose: the versions that the experiment has scored, and on which partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from skillsengine.airflow.ui.readable import Readable
from skillsengine.pipeline.cells import trained_partitions
from skillsengine.reporting.figures.versions import VersionScore
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow

# A form sends an empty text for what nobody chose.
Number = Annotated[Annotated[int, Field(ge=1, le=10**9)] | None, BeforeValidator(lambda value: value or None)]
Key = Annotated[str, Field(max_length=200)]
Page = Annotated[Annotated[int, Field(ge=1, le=100_000)], BeforeValidator(lambda value: value or 1)]


@dataclass(frozen=True)
class ScoredOn:
    """Where the versions of an experiment were scored, by this experiment: cells of others may be of ads that the user may not
    read."""

    experiment: str
    versions: Sequence[VersionScore]
    """Those with a score on some partition, the newest first."""
    _cells: Mapping[str, dict[str, int]]

    def partitions(self, version: VersionRow) -> Mapping[str, int]:
        """Partition -> labelled ads, the newest partition first."""
        return dict(reversed(self._cells.get(version.adapter_digest, {}).items()))

    def cell(self, version: VersionRow, partition: str, catalog: Catalog) -> CellRow:
        """The newest of a partition that `partitions` has."""
        found = catalog.cells(self.experiment, version.adapter_digest, partition)
        return [cell for cell in found if cell.kind == "adapter"][-1]


def scored_on(found: Readable, catalog: Catalog) -> ScoredOn:
    """Two columns and a number of all its cells, in one query."""
    cells = catalog.scored_on(found.name)
    there = [each for each in reversed(found.versions.versions) if found.rows[each.number].adapter_digest in cells]
    return ScoredOn(found.name, there, cells)


def trained_on(version: VersionRow, partition: str, experiment: str) -> bool:
    """Whether it was trained on the partition, as its lineage tells. Of a static source single ads are left out, and of other
    experiments' versions the months may be another source's."""
    return partition != STATIC_KEY and version.experiment == experiment and partition in trained_partitions(version)
