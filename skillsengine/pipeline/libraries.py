"""Cached artifacts that other versions of the libraries made: these stand in manifests, not in digests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from skillsengine.pipeline.execute import environment
from skillsengine.pipeline.plan import Step
from skillsengine.storage.store import Store

_COMPUTE = ("torch", "transformers", "peft", "bitsandbytes")
_ABSENT = "not installed"


def other_versions(steps: Iterable[Step], store: Store, here: Mapping[str, str] | None = None) -> Iterator[str]:
    """A warning for each library of which `steps`, all cached, were made with another version than is installed `here`.

    Silent where the library is not installed, as on a control plane. Raises StoreError.
    """
    here = here or _installed()
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for step in steps:
        artifact = store.get(step.stage, step.digest)
        for name in _used(step) if artifact else ():
            was = artifact.manifest.environment.get(name, _ABSENT) if artifact else _ABSENT
            if was != here[name] and _ABSENT not in (was, here[name]):
                found[name, was].append(step.id)
    for (name, was), ids in found.items():
        yield (
            f"made with {name} {was}, and {here[name]} is installed here: {', '.join(ids)}. They stay cached, for no digest "
            "holds versions of libraries; `skillsengine run SPEC --force` trains again"
        )


@lru_cache(maxsize=1)
def _installed() -> Mapping[str, str]:
    """Read once: it takes some milliseconds, and `plan --all` asks for each spec."""
    return environment()


def _used(step: Step) -> tuple[str, ...]:
    """The libraries that what a step computes may depend on, beside its own code, which has a version in the digest."""
    if step.stage == "profile":
        return ("transformers",)
    if step.stage == "finetune" or (step.stage == "evaluate" and step.key != "lexicon"):
        return _COMPUTE if step.spec.base.quantization != "none" else _COMPUTE[:-1]
    return ()
