"""Ads of a partition out to people who label them, and their labels back (`skillsengine annotate`).

Labels are kept in the store (`storage.label_files`) and join the rows in `format`, whose digest they enter: the cells of this
partition, and of no other, are missing then until they are scored again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillsengine.pipeline.graph import FORMAT, narrow
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.pipeline.plan import Layout, PlanError, RunOptions, Step, find_sources
from skillsengine.pipeline.preview import quiet_context
from skillsengine.scoring.places import occurrences
from skillsengine.settings import Settings
from skillsengine.spec.schema import Experiment
from skillsengine.stages.annotations import Annotation, parse_annotations, render_annotations
from skillsengine.stages.contract import StageConfig
from skillsengine.stages.returned import Problem, Returned, is_readable, join, read_returned
from skillsengine.stages.rows import Row, read_rows
from skillsengine.storage.artifact import Artifact, FileEntry, Manifest
from skillsengine.storage.catalog import Catalog, CatalogError, VersionRow
from skillsengine.storage.files import sha256_of, tree
from skillsengine.storage.label_files import LabelFiles
from skillsengine.storage.opening import open_labels, open_store
from skillsengine.storage.store import Store

LABEL = "SKILL"
_SHOWN = 20
"""Problems of a file that are told one by one."""

Told = Callable[[str], None]


@dataclass(frozen=True)
class Export:
    """Ads to label."""

    partition: str
    lines: tuple[dict[str, Any], ...]
    """{"id", "partition", "text", "label": [[start, end, "SKILL"]], "proposed": [skills]}, one an ad."""
    of: int
    """How many ads they were drawn from."""
    version: str | None
    """Who proposes."""
    proposed: int
    """Ads with a proposal."""


@dataclass(frozen=True)
class Import:
    """What came of the labels that came back."""

    partition: str
    new: int
    changed: int
    same: int
    left_open: int
    """Lines of the file that nobody has labelled yet."""
    total: int
    """Ads of the partition that people have labelled, all imports together."""
    path: Path | str
    """Where the labels are kept: a file, or its address in a bucket."""


def export_ads(
    experiment: Experiment,
    settings: Settings,
    catalog: Catalog,
    *,
    partition: str | None = None,
    version: str | None = None,
    rows: int = 50,
    labelled: bool = False,
    proposals: bool = True,
    trusted: bool = False,
    told: Told = lambda _: None,
) -> Export:
    """Draw ads of a partition, by default of the newest complete one, with what a version proposes for each.

    With `labelled` they are ads that have labels, and these are what is proposed. Raises PlanError where there are no such ads,
    CatalogError for a version that is not there, and what `find_sources`, `format` and the loading of a model raise.
    """
    model = _version(experiment, catalog, version) if proposals and not labelled else None
    with _formatted(experiment, settings, catalog, partition, trusted) as (step, formatted):
        chosen, of = import_heavy("skillsengine.stages.to_label").choose_rows(
            formatted,
            experiment.data.split,
            dated=experiment.data.dated,
            seed=experiment.evaluate.seed,
            size=rows,
            labelled=labelled,
        )
    key = str(step.key)
    if not chosen:
        raise PlanError(_nothing_to_label(key, labelled))
    proposed: dict[str, Sequence[str]] = {row.id: row.skills for row in chosen if row.skills is not None}
    if model is not None:
        proposed = _predicted(model, chosen, key, catalog, open_store(settings))
        proposed |= _answered(model, [row for row in chosen if row.id not in proposed], experiment, settings, told)
    lines = tuple(_line(row, key, proposed.get(row.id)) for row in chosen)
    count = sum(bool(proposed.get(row.id)) for row in chosen)
    return Export(key, lines, of, model.name if model else None, count)


def import_labels(
    experiment: Experiment,
    settings: Settings,
    catalog: Catalog,
    path: Path,
    *,
    partition: str | None = None,
    as_proposed: bool = False,
    trusted: bool = False,
) -> Import:
    """Take labels back: all of the file, or, where one line is wrong, nothing. They join those of earlier imports and win.

    Without `partition` the lines say which it is, or else it is the newest complete one. `as_proposed` takes a file in which
    every ad is as it was exported.

    Raises PlanError that names what is wrong line by line, SourceError for a file that is no JSON lines, and what
    `find_sources` and `format` raise.
    """
    returned = _read(path)
    partition = partition or _partition_of(returned)
    with _formatted(experiment, settings, catalog, partition, trusted) as (step, formatted):
        key = str(step.key)
        annotations, problems = join(returned, read_rows(formatted), key)
    problems = sorted([*returned.problems, *problems])
    if problems:
        raise PlanError(_refused(path, returned, problems))
    if not annotations:
        raise PlanError(
            f"{path}: none of its {returned.left_open} lines has labels: a list in `label`, empty for an ad that asks for no "
            "skill. Is it what the labelling tool has exported?"
        )
    if all(ad.untouched for ad in returned.ads) and not as_proposed:
        raise PlanError(
            f"{path}: nobody has changed a label: each of the {len(annotations)} ads has exactly what was proposed, or none "
            "where nothing was. Scores on them would say that the model agrees with itself. Have somebody look at them; if "
            "somebody has, and all is right, add --as-proposed."
        )
    return _merge(open_labels(settings, experiment.name), key, annotations, returned.left_open)


def _version(experiment: Experiment, catalog: Catalog, reference: str | None) -> VersionRow:
    """The version that proposes: the one asked for, or the champion, or the latest."""
    model = experiment.model_name
    if reference is not None:
        return catalog.resolve(model, reference.rpartition("@")[2])
    aliases = catalog.aliases(model)
    for alias in ("champion", "latest"):
        if alias in aliases:
            return catalog.resolve(model, alias)
    raise CatalogError(
        f"{model} has no version yet that could propose skills. Run the experiment first, or export without proposals: "
        "--no-proposals."
    )


@contextmanager
def _formatted(
    experiment: Experiment, settings: Settings, catalog: Catalog, partition: str | None, trusted: bool
) -> Iterator[tuple[Step, Artifact]]:
    """The rows of a partition as `format` makes them: the artifact of the store, or one that is gone afterwards."""
    sources = find_sources(experiment, partition, settings, trusted=trusted, trains=False, memory=catalog)
    key, files = sources.partition, sources.files[sources.partition]
    step = Layout(experiment, settings, RunOptions(trusted=trusted)).format(key, files)
    store = open_store(settings)
    if (artifact := store.get(step.stage, step.digest)) is not None:
        yield step, artifact
        return
    with tempfile.TemporaryDirectory(prefix="skillsengine-annotate-") as folder:
        out = Path(folder)
        config = StageConfig(narrow(experiment, FORMAT), key, files)
        context = quiet_context(out, store, settings.allowed_roots)
        summary = import_heavy(step.definition.module).run(config, {}, out, context)
        made = {name: FileEntry(*sha256_of(path)) for name, path in tree(out)}
        manifest = Manifest(step.stage, FORMAT.version, key, step.digest, step.config, {}, summary, made)
        yield step, Artifact(out, manifest)


def _nothing_to_label(key: str, labelled: bool) -> str:
    if labelled:
        return f"no ad of {key} that may be scored has labels. Leave --labelled out to export those without."
    return (
        f"all ads of {key} that may be scored have labels. Add --labelled to export them with their labels, to be corrected, "
        "or take another partition."
    )


def _predicted(
    version: VersionRow, rows: Sequence[Row], key: str, catalog: Catalog, store: Store
) -> dict[str, Sequence[str]]:
    """Id -> what the version has extracted in an evaluation of these very ads, whatever labels they had then."""
    wanted = {(row.id, row.key) for row in rows}
    found: dict[str, Sequence[str]] = {}
    for cell in catalog.cells(adapter_digest=version.adapter_digest, partition=key):
        artifact = store.get("evaluate", cell.artifact_digest) if cell.kind == "adapter" else None
        if artifact is None:
            continue
        with artifact.file("predictions.jsonl").open(encoding="utf-8") as file:
            for line in map(json.loads, file):
                if (line["id"], line["key"]) in wanted:
                    found[line["id"]] = line["predicted"]
    return found


def _answered(
    version: VersionRow, rows: Sequence[Row], experiment: Experiment, settings: Settings, told: Told
) -> dict[str, Sequence[str]]:
    """Id -> what the version extracts now."""
    if not rows:
        return {}
    told(f"{version.name} reads {len(rows)} ads that it was not scored on")
    extractor = import_heavy("skillsengine.serving.extract").Extractor.load(
        open_store(settings).version_folder(str(version.path), version.artifact_digest),
        bases=open_store(settings).bases,
        allowed_roots=settings.allowed_roots,
        batch_size=experiment.evaluate.batch_size,
    )
    answers = extractor.extract(
        [row.text for row in rows], lambda batch: told(f"  {batch.done} of {batch.total} answers")
    )
    return {row.id: answer.skills for row, answer in zip(rows, answers, strict=True)}


def _line(row: Row, key: str, proposed: Sequence[str] | None) -> dict[str, Any]:
    spans = occurrences(row.text, proposed or ()) if row.spans is None else row.spans
    line = {"id": row.id, "partition": key, "text": row.text, "label": [[*span, LABEL] for span in spans]}
    # Labels that are corrected are nobody's proposal.
    return line if proposed is None or row.skills is not None else {**line, "proposed": list(proposed)}


def _read(path: Path) -> Returned:
    if not is_readable(path):
        raise PlanError(f"{path}: labels come back as JSON lines (.jsonl) or as a JSON list (.json). Name such a file.")
    try:
        return read_returned(path)
    except OSError as error:
        raise PlanError(
            f"{path}: cannot be read ({error.strerror}). Name the file that the labelling tool wrote."
        ) from error


def _partition_of(returned: Returned) -> str | None:
    found = sorted({ad.partition for ad in returned.ads if ad.partition is not None})
    if len(found) > 1:
        raise PlanError(
            f"{returned.file} holds ads of {', '.join(found)}. Import one partition at a time: divide the file by the field "
            "`partition`."
        )
    return found[0] if found else None


def _refused(path: Path, returned: Returned, problems: Sequence[Problem]) -> str:
    lines = len(returned.ads) + returned.left_open + len(returned.problems)
    verb = "is" if len(problems) == 1 else "are"
    more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    told = "\n".join(f"  {path.name}:{place}: {wrong}" for place, wrong in problems[:_SHOWN])
    return f"{path}: {len(problems)} of {lines} lines {verb} wrong, and nothing was imported.\n{told}{more}"


def _merge(files: LabelFiles, key: str, annotations: Sequence[Annotation], left_open: int) -> Import:
    with files.changing(key) as before:
        old = parse_annotations(files.read(before)) if before else {}
        merged = old | {each.id: each for each in annotations}
        text = render_annotations(merged.values())
        kept = files.put(key, text) if before is None or merged != old else before
    new = sum(each.id not in old for each in annotations)
    changed = sum(each.id in old and old[each.id] != each for each in annotations)
    return Import(key, new, changed, len(annotations) - new - changed, left_open, len(merged), kept.place)
