"""A cell of the matrix: one version scored on one partition. Which steps make it, and how the catalog keeps it."""

from __future__ import annotations

from collections.abc import Sequence

from skillsengine.pipeline.execute import StepResult
from skillsengine.pipeline.plan import Layout, RunOptions, Step
from skillsengine.settings import Settings
from skillsengine.sources.files import SourceFile
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow


class CellLayout:
    """Lays out the cells of one version of a model, as `experiment` scores it: with its source, labels and sample, and with the
    version's own prompt and cleaning."""

    def __init__(self, experiment: Experiment, settings: Settings, options: RunOptions, version: VersionRow) -> None:
        own = {"cleaning": tuple(version.spec["data"]["cleaning"])}
        prompt = type(experiment.prompt).model_validate(version.spec["prompt"])
        data = experiment.data.model_copy(update=own)
        scored = experiment.model_copy(update={"prompt": prompt, "data": data})
        # A forced training (`rerun`) has nothing to do with what is scored.
        self._layout = Layout(scored, settings, RunOptions(options.limit, 0, options.trusted))
        self._version = version

    def steps(self, key: str, files: Sequence[SourceFile]) -> tuple[Step, Step]:
        """`format` of the partition, and `evaluate` of the version on it."""
        formatted = self._layout.format(key, files)
        name = f"evaluate[{self._version.name}]"
        return formatted, self._layout.cell("adapter", formatted.digest, self._version.adapter_digest, step_id=name)


def record_cell(catalog: Catalog, experiment: str, partition: str, result: StepResult) -> CellRow:
    """Tell the catalog of a finished `evaluate`; said again, nothing changes."""
    step = result.step
    adapter = step.inputs.get("finetune") if step.key == "adapter" else None
    return catalog.put_cell(
        subject=adapter or f"{step.key}:{step.digest[:8]}",
        kind=str(step.key),
        experiment=experiment,
        partition=partition,
        data_digest=step.inputs["format"],
        artifact_digest=step.digest,
        stage_version=step.definition.version,
        metrics=dict(result.artifact.summary),
        adapter_digest=adapter,
    )


def trained_on(version: VersionRow, experiment: Experiment, key: str, formatted: str) -> bool:
    """Whether the version was trained on the partition `key`, whose `format` artifact has the digest `formatted`.

    A partition whose bytes have changed since is still the one it was trained on. Versions of another experiment under the same
    model may have their months from elsewhere: of them only the very same rows count.
    """
    trained = version.lineage.get("format", {})
    same_source = version.spec["data"]["source"] == experiment.data.source
    return formatted in trained.values() or (same_source and experiment.data.dated and key in trained)


def trained_partitions(version: VersionRow) -> list[str]:
    """Keys of the partitions that the version was trained on, as its lineage tells; sorted."""
    return sorted(map(str, version.lineage.get("format", {})))
