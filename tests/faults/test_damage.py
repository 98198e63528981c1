"""Bits that flip on a disk, and files that end too early: nothing is made of them, and the error, or the progress, says so."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.installation import Installation, Whole, check
from tests.faults.moments import Moment, kill
from tests.faults.recorded import Row, keep

pytestmark = pytest.mark.nightly

TELLS = "the error names the file and the mend; after the mend the same command makes it again"
ADAPTER = ("finetune", "adapter/adapter_model.safetensors")
SECOND = Moment("skillsengine.stages.training_log:TrainingLog.add", 12)
"""A few steps after the second checkpoint."""


def flip(path: Path) -> None:
    """One bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """The last third is missing."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])


@pytest.mark.parametrize(("damage", "count"), [(flip, 1), (flip, 2), (cut, 1)])
def test_of_checkpoints(installation: Installation, whole: Whole, damage: Callable[[Path], None], count: int) -> None:
    """Of the newest, and of both that are kept: then the training begins anew."""
    killed = installation.run(partial(kill, SECOND))
    assert killed.code == -signal.SIGKILL, killed.said
    found = sorted(installation.store.root.glob("checkpoints/*/checkpoint-*"), key=lambda path: -int(path.name[11:]))
    assert [path.name for path in found] == ["checkpoint-8", "checkpoint-4"]
    for checkpoint in found[:count]:
        damage(max(checkpoint.iterdir(), key=lambda path: path.stat().st_size))
    before = installation.steps
    again = installation.run()
    assert again.code == 0, again.said
    for checkpoint in found[:count]:
        assert f"{checkpoint.name} is passed over: " in again.said and "is not what complete.json says" in again.said
    assert installation.steps[len(before)] == [8, 4, 0][count] + 1
    repeated = check(installation, whole, at_most=before[-1] - [8, 4, 0][count])
    what = {flip: "a flipped bit in", cut: "a file that ends too early in"}[damage]
    which = ["", "the newest checkpoint", "both checkpoints"][count]
    goes_on = ["", "the training goes on from the one before, and says so", "the training begins anew, and says so"][
        count
    ]
    keep(Row(f"{what} {which}", goes_on, repeated))


@pytest.mark.parametrize(
    ("damage", "stage", "name"), [(flip, "format", "rows.jsonl"), (flip, *ADAPTER), (cut, *ADAPTER)]
)
def test_of_an_artifact(
    installation: Installation, whole: Whole, damage: Callable[[Path], None], stage: str, name: str
) -> None:
    until = "profile" if stage == "format" else "finetune"
    assert installation.start("run", str(installation.spec), "--until", until).ended().code == 0
    store = installation.store
    digest = next(digest for found, digest in whole.artifacts if found == stage and store.get(found, digest))
    folder = store.path_of(stage, digest)
    damage(folder / name)
    refused = installation.run()
    assert refused.code == 1 and "Traceback" not in refused.said
    problem = "its bytes were changed (sha256 " if damage is flip else "bytes, the manifest says "
    assert f"the {stage} artifact {digest[:12]} is damaged: {name}: " in refused.said and problem in refused.said
    assert f"Delete the folder {folder}: the next run makes it again." in refused.said
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    again = installation.run()
    assert again.code == 0, again.said
    repeated = check(installation, whole, at_most=0 if stage == "format" else whole.steps)
    what = {flip: "a flipped bit in", cut: "a file that ends too early in"}[damage]
    keep(Row(f"{what} an artifact that is to be used", TELLS, repeated if stage == "finetune" else None))


def test_of_the_base(installation: Installation, whole: Whole) -> None:
    weights = installation.project / "base" / "model.safetensors"
    before = weights.read_bytes()
    cut(weights)
    refused = installation.run()
    assert refused.code == 1 and "Traceback" not in refused.said, refused.said
    assert f"{weights} is no whole safetensors file: " in refused.said and "Get it again." in refused.said
    weights.write_bytes(before)
    again = installation.run()
    assert again.code == 0, again.said
    # The profile of the base as it was stays beside the other one: other bytes are another digest.
    assert installation.adapter() == whole.adapter and installation.repeated == 0
    keep(
        Row(
            "a safetensors file of the base that ends too early", "the error names it; with the file whole, the same", 0
        )
    )


def test_of_an_adapter_that_is_registered(installation: Installation, whole: Whole) -> None:
    run = installation.run()
    assert run.code == 0, run.said
    (version,) = installation.versions
    weights = Path(str(version.path)) / "adapter_model.safetensors"
    cut(weights)
    ad = installation.project / "ad.txt"
    ad.write_text("We want welding.")
    refused = installation.start("extract", "tiny@1", str(ad)).ended()
    assert refused.code == 1 and "Traceback" not in refused.said, refused.said
    assert (
        "adapter_model.safetensors is no whole safetensors file: " in refused.said and "Copy it again." in refused.said
    )
    keep(Row("a safetensors file of a version that ends too early", "`extract` names it, and answers nothing"))
