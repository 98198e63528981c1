"""Why a step is not cached: compared with what the experiment's earlier runs had in its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skillsengine.pipeline.history import History
from skillsengine.pipeline.plan import Plan, Step
from skillsengine.pipeline.source_rows import SourceRows
from skillsengine.sources.keys import STATIC_KEY
from skillsengine.spec.compare import compare
from skillsengine.storage.artifact import Artifact
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store

_SHOWN = 3
_DERIVED = {
    "train.effective_batch_size": "rows per optimizer step",
    "train.choice": "which adapter is kept (best_by and what goes with it)",
    "data.dated": "whether the source is dated",
}
"""What enters digests and is no field of a spec, in words."""


@dataclass(frozen=True)
class Why:
    """Why a step is not cached, or why nobody can know yet."""

    changes: tuple[str, ...]
    """`base.quantization: nf4 -> int8`, `data changed: 2 rows in 2021-03`; the causes before what follows from them."""

    def __str__(self) -> str:
        more = f" and {len(self.changes) - _SHOWN} more" if len(self.changes) > _SHOWN else ""
        return "; ".join(self.changes[:_SHOWN]) + more


def explain(
    plan: Plan, store: Store, catalog: Catalog, *, history: History | None = None, rows: SourceRows | None = None
) -> Iterator[tuple[Step, Why | None]]:
    """Each step with None if its artifact exists, else with what differs from earlier runs, in words.

    Of a step in `plan.unknown` only a run can tell whether its artifact exists. `history` and `rows` spare reading twice
    what the caller has read. Raises StoreError and CatalogUnavailable.
    """
    history = history or History.of(plan.experiment.name, catalog, store)
    rows = rows or SourceRows()
    names = {step.digest: step.id for step in plan.steps}
    unknown = plan.unknown
    for step in plan.steps:
        if step.id in unknown:
            yield step, Why((_unread(step),))
        elif store.get(step.stage, step.digest) is not None:
            yield step, None
        else:
            before = history.before(step.stage, step.id)
            yield step, Why(tuple(_causes(step, before, store, names, rows)))


def _unread(step: Step) -> str:
    files = [file for file in step.files if file.unread]
    if not files:
        return "depends on data that was never read"
    size = sum(file.size or 0 for file in files)
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"never read: {files[0].uri}{more} ({_size(size)}); a run reads it first"


def _causes(
    step: Step,
    before: tuple[str, Artifact | None] | None,
    store: Store,
    names: Mapping[str, str],
    rows: SourceRows,
) -> Iterable[str]:
    if before is None:
        return ["never run"]
    digest, old = before
    if digest == step.digest:
        return ["started before, not finished"]
    if old is None:
        return ["differs from the last run, whose artifact is gone"]
    manifest, causes = old.manifest, []
    if manifest.version != step.definition.version:
        causes.append(_other_version(manifest.version, step.definition.version))
    causes += _settings(manifest.config, step.config)
    if manifest.config.get("files") != step.config.get("files"):
        causes.append(_data(step, old, rows))
    causes += _inputs(manifest.inputs, step.inputs, store, names)
    # What is left are the keys of a step, which stand in its id.
    return causes or ["differs from the last run"]


def _other_version(was: int, now: int) -> str:
    by = "an older" if was < now else "a newer"
    return f"stage version {was} -> {now}: made by {by} skillsengine"


def _settings(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs of the spec, field by field, and of the run's options."""
    told = []
    for change in compare(_nested(was), _nested(now)):
        if change.path == "base.fingerprint":
            told.append("the files of the base in base.model changed")
        elif change.path == "rerun":
            told.append("the last run was forced (--force)" if change.after is None else "forced (--force)")
        else:
            told.append(f"{_DERIVED.get(change.path, change.path)}: {change.difference}")
    return told


def _nested(config: Mapping[str, Any]) -> dict[str, Any]:
    """`{"train.epochs": 3.0, "lora": {"r": 8}}` -> `{"train": {"epochs": 3.0}, "lora": {"r": 8}}`, without the files."""
    nested: dict[str, Any] = {}
    for path in sorted(config):
        if path == "files":
            continue
        *sections, name = path.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = dict(config[path]) if isinstance(config[path], Mapping) else config[path]
    return nested


def _data(step: Step, old: Artifact, rows: SourceRows) -> str:
    """`data changed: 2 rows in 2021-03`; where rows are not counted, which files changed and how large they are."""
    place = "" if step.key == STATIC_KEY else f" in {step.key}"
    changes = rows.changes(step, old)
    if changes is not None:
        return f"data changed: {changes}{place}"
    was = {_named(file): file["sha256"] for file in old.manifest.config.get("files", ())}
    files = [{"name": file.name, "split": file.split} for file in step.files]
    now = dict(zip(map(_named, files), step.files, strict=True))
    told = [f"{name} is new" for name in now if name not in was]
    told += [f"{name} is gone" for name in was if name not in now]
    for name, file in now.items():
        if name in was and was[name] != file.sha256:
            told.append(name if file.size is None else f"{name} ({_size(file.size)})")
    return f"data changed{place}: {_some(told)}"


def _named(file: Mapping[str, Any]) -> str:
    return f"{file['name']} ({file['split']})" if file["split"] and file["split"] not in file["name"] else file["name"]


def _inputs(was: Mapping[str, str], now: Mapping[str, str], store: Store, names: Mapping[str, str]) -> list[str]:
    told = []
    both = [name for name in now if name in was and was[name] != now[name]]
    if "format" in both:  # the rows that are scored: often those of another partition
        both.remove("format")
        old, tested = store.get("format", was["format"]), names.get(now["format"], "format")
        if old is not None and f"format[{old.key}]" != tested:
            told.append(f"partition: {old.key} -> {tested[len('format[') : -1]}")
        else:
            told.append(f"{tested} changed")
    if both:
        told.append(f"{_some([names.get(now[name], name) for name in both])} changed")
    came, left = [_key(name) for name in now if name not in was], [_key(name) for name in was if name not in now]
    if came or left:
        parts = ([f"{_span(came)} came in"] if came else []) + ([f"{_span(left)} left"] if left else [])
        told.append(f"the window moved: {', '.join(parts)}")
    return told


def _key(name: str) -> str:
    """`format[2026-03]` -> `2026-03`."""
    return name.partition("[")[2].rstrip("]") or name


def _span(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{min(keys)} to {max(keys)}" if len(keys) > 2 else " and ".join(keys)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
