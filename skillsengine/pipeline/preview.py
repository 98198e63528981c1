"""What a training row looks like to the model: rendered, tokenized, the supervised tokens marked. Leaves nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from skillsengine.pipeline.graph import FORMAT, narrow
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.plan import PlanError, Sources, base_roots
from skillsengine.settings import Settings
from skillsengine.sources.connection import Connect, environment_connect
from skillsengine.spec.schema import Experiment
from skillsengine.stages.contract import Limit, Progress, StageConfig, StageContext
from skillsengine.stages.rows import REJECTED, ROWS, Row, parse_row
from skillsengine.storage.opening import open_store
from skillsengine.storage.store import Store

ROWS_SHOWN = 3


@dataclass(frozen=True)
class PreviewedRow:
    """One row: its pieces joined are what the model is trained on."""

    id: str
    tokens: int
    supervised: int
    pieces: tuple[tuple[str, bool], ...]
    """(text, whether the loss is computed on it), in order."""


class _Silent:
    """A preview tells no tracker."""

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None: ...

    def table(self, name: str, columns: list[str], rows: list[list[Any]], step: int | None = None) -> None: ...

    def image(self, name: str, path: Path) -> None: ...

    def summary(self, values: Mapping[str, Any]) -> None: ...


def _nothing(progress: Progress | None = None) -> None:
    """Neither progress nor a lease matters for three rows."""


def quiet_context(
    folder: Path, store: Store, roots: tuple[Path, ...], connect: Connect = environment_connect
) -> StageContext:
    """The surroundings of a stage that works for this process alone: nobody follows it, and nothing of it stays."""
    return StageContext(_nothing, _nothing, _Silent(), folder, store.bases, roots, connect=connect)


def preview(
    experiment: Experiment,
    sources: Sources,
    settings: Settings,
    *,
    trusted: bool = False,
    connect: Connect = environment_connect,
) -> list[PreviewedRow]:
    """The first rows of the newest training partition, exactly as `finetune` would see them uncut.

    Raises StageError and ModelError as `format` and the tokenizer do, PlanError if no row has labels.
    """
    formatter, base = (import_heavy(f"skillsengine.{name}") for name in ("stages.format", "modeling.base"))
    store, key = open_store(settings), sources.window[-1]
    roots = base_roots(experiment, settings, trusted=trusted)
    tokenizer = base.load_tokenizer(experiment.base, bases=store.bases, allowed_roots=roots)
    with tempfile.TemporaryDirectory(prefix="skillsengine-preview-") as folder:
        out = Path(folder)
        context = quiet_context(out, store, roots, connect)
        config = StageConfig(narrow(experiment, FORMAT), key, sources.files[key], Limit(rows=20 * ROWS_SHOWN))
        formatter.run(config, {}, out, context)
        rows = [parse_row(line) for line in (out / ROWS).read_text(encoding="utf-8").splitlines()]
    labelled = [row for row in rows if row.answer is not None][:ROWS_SHOWN]
    if not labelled:
        raise PlanError(
            f"partition {key}: none of the first {len(rows)} rows has labels in the column `{experiment.data.labels}` "
            f"(rows that could not be read stand in {REJECTED} of a run). Set data.labels to the column with the skills."
        )
    return [previewed(row, experiment.prompt.template, tokenizer) for row in labelled]


def previewed(row: Row, template: str, tokenizer: Any) -> PreviewedRow:
    """A labelled row as the model sees it, uncut. Raises StageError where the worker extra is missing."""
    encode = import_heavy("skillsengine.modeling.encoding").encode
    encoded = encode(row.prompt(template), row.answer or "", tokenizer, max_length=None)
    learned: Sequence[bool] = [label != -100 for label in encoded.labels]
    pieces, start = [], 0
    for marked, group in groupby(learned):
        end = start + len(list(group))
        pieces.append((tokenizer.decode(encoded.input_ids[start:end], skip_special_tokens=False), marked))
        start = end
    return PreviewedRow(row.id, len(learned), sum(learned), tuple(pieces))
