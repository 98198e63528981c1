"""The spec that made a version, as the catalog holds it, and what its artifacts tell of how they were made."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from skillsengine.pipeline import graph
from skillsengine.pipeline.plan import base_fingerprint
from skillsengine.settings import Settings
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment
from skillsengine.spec.source import dotted
from skillsengine.storage.catalog import CatalogError, VersionRow
from skillsengine.storage.store import Store

_STEPS: Mapping[str, graph.StageDef] = {
    "format": graph.FORMAT,
    "profile": graph.PROFILE,
    "finetune": graph.FINETUNE,
    **{f"evaluate[{subject}]": definition for subject, definition in graph.SUBJECTS.items()},
    "register": graph.REGISTER,
}


@dataclass(frozen=True)
class StoredSpec:
    """The spec of a version, read by today's schema."""

    experiment: Experiment
    missing: tuple[str, ...]
    """Fields that there were none of when the version was made; today's defaults stand in for them."""
    unknown: tuple[str, ...]
    """Fields of then that there are none of today; they are left out."""


@dataclass(frozen=True)
class Made:
    """What enters the digest of a step's artifact beside the spec, the data and its inputs."""

    version: int
    """Of the stage."""
    fingerprint: str | None = None
    """Of the local folder that the base is read from; None where there is none, or the step does not read it."""
    rerun: int = 0
    """Above 0 for a training that was forced."""


def stored_spec(version: VersionRow) -> StoredSpec:
    """Read what the catalog holds. Raises CatalogError where a value of then is not allowed today."""
    data: Any = copy.deepcopy(version.spec)
    unknown: list[str] = []
    while True:
        try:
            experiment = Experiment.model_validate(data)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            odd = [found["loc"] for found in errors if found["type"] == "extra_forbidden"]
            if not odd:
                raise CatalogError(_unreadable(version, errors)) from error
            unknown += [dotted(path) for path in odd]
            for path in odd:
                _remove(data, path)
        else:
            return StoredSpec(experiment, tuple(_missing(resolved(experiment), data)), tuple(unknown))


def _unreadable(version: VersionRow, errors: Sequence[Any]) -> str:
    rows = [(dotted(found["loc"]), found["msg"].removeprefix("Value error, ")) for found in errors[:3]]
    told = "; ".join(f"{path}: {text}" if path else text for path, text in rows)
    return (
        f"the spec that made {version.name} is not allowed by this skillsengine: {told}. Compare with its text instead: "
        f"`skillsengine lineage {version.name}` tells the commit."
    )


def _remove(data: Any, path: Sequence[str | int]) -> None:
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]


def _missing(now: Mapping[str, Any], then: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    for key, value in now.items():
        if key not in then:
            yield dotted((*path, key))
        elif isinstance(value, dict) and isinstance(then[key], dict):
            yield from _missing(value, then[key], (*path, key))


def made_then(version: VersionRow, store: Store) -> dict[str, Made]:
    """How the artifacts behind a version were made, of those that the store still holds: step -> facts."""
    lineage = version.lineage
    digests = {
        "format": tuple(lineage.get("format", {}).values()),
        "profile": (lineage.get("profile"),),
        "finetune": (lineage.get("finetune", version.adapter_digest),),
        **{f"evaluate[{subject}]": (digest,) for subject, digest in lineage.get("evaluate", {}).items()},
        "register": (version.artifact_digest,),
    }
    made = {}
    for step, found in digests.items():
        artifacts = [store.get(_STEPS[step].name, digest) for digest in found if digest]
        manifests = [artifact.manifest for artifact in artifacts if artifact]
        if manifests:
            oldest = min(manifests, key=lambda manifest: manifest.version)
            config = oldest.config
            made[step] = Made(oldest.version, config.get("base.fingerprint"), config.get("rerun", 0))
    return made


def made_today(experiment: Experiment, settings: Settings) -> dict[str, Made]:
    """How a run would make them now: step -> facts."""
    fingerprint = base_fingerprint(experiment.base.model, settings)
    return {step: Made(definition.version, fingerprint) for step, definition in _STEPS.items()}


def departures(before: Mapping[str, Made], after: Mapping[str, Made], *, same_base: bool) -> dict[str, str]:
    """The steps that are made in another way, whatever their specs say: step -> words.

    `same_base` says that both name the same base: only then do other files in its folder tell anything new.
    """
    found = {}
    for step in before.keys() & after.keys():
        was, now = before[step], after[step]
        words = []
        if was.version != now.version:
            words.append(f"version {was.version} of the stage -> {now.version}")
        if same_base and was.fingerprint and now.fingerprint and was.fingerprint != now.fingerprint:
            words.append("the files of base.model")
        if was.rerun != now.rerun:
            words.append(f"--force (training number {was.rerun} -> {now.rerun})")
        if words:
            found[step] = ", ".join(words)
    return found
