"""A cell of the matrix: one version scored on one partition, or a baseline beside it. Which steps make it, and how the catalog
keeps it."""

from __future__ import annotations

from collections.abc import Sequence

from skillsengine.pipeline.execute import StepResult
from skillsengine.pipeline.plan import Layout, RunOptions, Step
from skillsengine.settings import Settings
from skillsengine.sources.files import SourceFile
from skillsengine.spec.schema import Experiment
from skillsengine.storage.catalog import Catalog, CellRow, VersionRow


class CellLayout:
    """Lays out the cells of one version of a model, as `experiment` scores it: with its source, labels, sample and worked
    examples, and with the version's own base, prompt and cleaning."""

    def __init__(self, experiment: Experiment, settings: Settings, options: RunOptions, version: VersionRow) -> None:
        own = {"cleaning": tuple(version.spec["data"]["cleaning"])}
        scored = experiment.model_copy(
            update={
                "prompt": type(experiment.prompt).model_validate(version.spec["prompt"]),
                "base": type(experiment.base).model_validate(version.spec["base"]),
                "data": experiment.data.model_copy(update=own),
            }
        )
        # A forced training (`rerun`) has nothing to do with what is scored.
        self._layout = Layout(scored, settings, RunOptions(options.limit, 0, options.trusted))
        self._version = version

    def steps(self, key: str, files: Sequence[SourceFile]) -> tuple[Step, Step]:
        """`format` of the partition, and `evaluate` of the version on it."""
        formatted = self._layout.format(key, files)
        name = f"evaluate[{self._version.name} on {key}]"
        adapter, profile = self._version.adapter_digest, self._version.lineage.get("profile")
        return formatted, self._layout.cell("adapter", formatted.digest, adapter, step_id=name, profile=profile)

    def baseline(self, name: str, formatted: Step) -> Step:
        """`evaluate` of the version's untuned base (`base`) or of its training labels (`lexicon`) on a partition; the step that
        the retrain run of the version has had for its own. Versions that share a base share its cells."""
        of = self._version.adapter_digest if name == "lexicon" else None
        step_id = f"evaluate[{self.called(name)} on {formatted.key}]"
        return self._layout.cell(name, formatted.digest, of, step_id=step_id)

    def called(self, name: str) -> str:
        """A baseline's name for people."""
        return f"lexicon of {self._version.name}" if name == "lexicon" else name


def record_cell(catalog: Catalog, experiment: str, partition: str, result: StepResult) -> CellRow:
    """Tell the catalog of a finished `evaluate`; said again, nothing changes."""
    return _put(catalog, experiment, partition, result.step, result)


def mark_cell(catalog: Catalog, experiment: str, partition: str, step: Step, why: str) -> CellRow:
    """Remember that `evaluate` has found no ad to score the subject on: the same digest is never tried again."""
    return _put(catalog, experiment, partition, step, None, why)


def _put(
    catalog: Catalog, experiment: str, partition: str, step: Step, result: StepResult | None, why: str | None = None
) -> CellRow:
    adapter = step.inputs.get("finetune") if step.key == "adapter" else None
    return catalog.put_cell(
        subject=adapter or f"{step.key}:{step.digest[:8]}",
        kind=str(step.key),
        experiment=experiment,
        partition=partition,
        data_digest=step.inputs["format"],
        artifact_digest=step.digest,
        stage_version=step.definition.version,
        metrics=dict(result.artifact.summary) if result else {},
        adapter_digest=adapter,
        marked=why,
    )


def trained_on(version: VersionRow, experiment: Experiment, key: str, formatted: str) -> bool:
    """Whether the version was trained on the partition `key`, whose `format` artifact has the digest `formatted`.

    A partition whose bytes have changed since is still the one it was trained on. Versions of another experiment under the same
    model may have their months from elsewhere: of them only the very same rows count. Of a source that is not dated, `evaluate`
    alone knows which rows were trained on.
    """
    if not experiment.data.dated:
        return False
    trained = version.lineage.get("format", {})
    same_source = version.spec["data"]["source"] == experiment.data.source
    return formatted in trained.values() or (same_source and key in trained)


def trained_partitions(version: VersionRow) -> list[str]:
    """Keys of the partitions that the version was trained on, as its lineage tells; sorted."""
    return sorted(map(str, version.lineage.get("format", {})))
