"""The stages declared, the five of every run and `select` of a sweep: what each reads of the spec. What each takes in stands
in `plan.py`, where the steps are laid out.

A stage sees the spec through a guarded view of exactly these paths, so nothing can influence an artifact without entering
its digest. `uses` are paths that a stage needs at work and that do not change what it makes; each says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from skillsengine.spec.schema import Experiment, Section


@dataclass(frozen=True)
class StageDef:
    """One stage, or one subject of `evaluate`, as the plan sees it."""

    name: str
    version: int
    """Raised when the stage's output for the same input changes; it enters the digest and must equal the module's VERSION."""
    reads: tuple[str, ...]
    """Dotted paths of the spec that enter the digest; a section's path stands for all of it."""
    uses: tuple[str, ...] = ()
    """Dotted paths that the stage may read and that do not enter the digest."""

    @property
    def module(self) -> str:
        return f"skillsengine.stages.{self.name}"


_SAMPLE = ("evaluate.max_rows", "evaluate.seed")
# The shares held out decide which rows a static source is scored on; `dated` says that they do not matter. In both cases no
# near copy of a trained text is scored.
_SPLIT = ("data.split", "data.dated")

FORMAT = StageDef(
    "format",
    version=5,
    reads=(
        "data.text",
        "data.labels",
        "data.label_format",
        "data.id",
        "data.cleaning",
        "data.spans",
        "data.fields",
    ),
    uses=(
        "data.max_rejected",  # whether there is an artifact, not what it holds
        # Which rows these two choose stands in the digest: the key, and the hash of the partition's rows in each file.
        "data.date_column",
        "data.period",
    ),
)
PROFILE = StageDef("profile", version=2, reads=("tokens", "prompt.template", "base.model", "base.revision", *_SPLIT))
FINETUNE = StageDef(
    "finetune",
    version=4,
    reads=(
        "prompt.template",
        "tokens.overlong",  # the length itself comes from `profile`
        "base",
        "lora",
        "train.epochs",
        "train.effective_batch_size",
        "train.learning_rate",
        "train.lr_scheduler",
        "train.warmup_steps",
        "train.weight_decay",
        "train.max_grad_norm",
        "train.seed",
        "train.choice",
        "resources.device",
        *_SPLIT,
    ),
    uses=(
        # How the rows of an optimizer step are divided, padded or joined: its loss is over all their supervised tokens, and
        # each row sees itself alone, so sums are made in another order, and that is all.
        "train.per_device_batch_size",
        "train.batching",
        # They choose which adapter is kept, and only then matter: `train.choice` holds them then.
        "train.best_by",
        "train.early_stopping_patience",
        "train.eval_steps",
        "train.eval_rows",
        "train.sample_predictions",  # what people are shown
        "train.logging_steps",  # how often people are told
        "train.checkpoint_steps",  # how much a killed attempt repeats
        "train.gradient_checkpointing",  # memory and speed
        "train.compile",  # the same
        "resources.gpus",  # who computes which rows of a step
        "evaluate.batch_size",
    ),
)
SELECT = StageDef("select", version=1, reads=("sweep.metric",))
EVALUATE_ADAPTER = StageDef(
    "evaluate",
    version=5,
    reads=(*_SAMPLE, "evaluate.max_new_tokens", "resources.device", *_SPLIT),
    uses=("evaluate.batch_size",),
)
EVALUATE_BASE = StageDef(
    "evaluate",
    version=5,
    reads=(*EVALUATE_ADAPTER.reads, "base", "prompt.template", "evaluate.shots"),
    uses=("evaluate.batch_size",),
)
EVALUATE_LEXICON = StageDef("evaluate", version=5, reads=(*_SAMPLE, *_SPLIT))
REGISTER = StageDef(
    "register",
    version=4,
    reads=("register.model", "name"),
    uses=(
        # The card tells them; the adapter's own digest already stands for whatever of them matters.
        "model_name",
        "description",
        "owner",
        "data",
        "prompt",
        "base",
        "lora",
        "train",
        "tokens",
        "evaluate",
        "resources",
    ),
)

SUBJECTS = {"base": EVALUATE_BASE, "lexicon": EVALUATE_LEXICON, "adapter": EVALUATE_ADAPTER}


def read_path(section: Any, path: str) -> Any:
    """The value at a dotted path, as plain JSON data."""
    for part in path.split("."):
        section = getattr(section, part)
    return section.model_dump(mode="json") if isinstance(section, Section) else _plain(section)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


class _View:
    """A section of which only the declared paths can be read."""

    __slots__ = ("_allowed", "_prefix", "_section", "_stage")

    def __init__(self, section: Section, allowed: frozenset[str], stage: str, prefix: str = "") -> None:
        self._section, self._allowed, self._stage, self._prefix = section, allowed, stage, prefix

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled whole: several GPUs are several processes."""
        return _View, (self._section, self._allowed, self._stage, self._prefix)

    def __getattr__(self, name: str) -> Any:
        path = f"{self._prefix}{name}"
        if path in self._allowed:
            return getattr(self._section, name)
        if any(allowed.startswith(path + ".") for allowed in self._allowed):
            return _View(getattr(self._section, name), self._allowed, self._stage, path + ".")
        raise AttributeError(
            f"stage `{self._stage}` reads `{path}` of the spec without declaring it in skillsengine/pipeline/graph.py: "
            "what is not declared does not enter the digest, and must not change the artifact"
        )


def narrow(experiment: Experiment, stage: StageDef) -> Experiment:
    """The guarded view of `experiment` that `stage` is handed; it quacks like an Experiment."""
    return cast(Experiment, _View(experiment, frozenset((*stage.reads, *stage.uses)), stage.name))
