"""The best of a sweep's trials, as an adapter that others take in."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.graph import SELECT
from skillsengine.stages import register, select
from skillsengine.stages.contract import DIVERGED, StageError
from skillsengine.storage.artifact import Artifact, Manifest
from tests.stages.finetuned import make_finetuned
from tests.stages.registered import config_of, inputs_of
from tests.stages.support import Surroundings, as_artifact, config_for, experiment

NAMES = ("finetune[r=2]", "finetune[r=4]", "finetune[r=8]")
CONFIG = config_for(SELECT, experiment(sweep={"lora.r": [2, 4, 8]}))


def trial(folder: Path, loss: float | None, digest: str) -> Artifact:
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "adapter_model.safetensors").write_text(digest)
    (folder / "base.json").write_text("{}")
    made = as_artifact(folder, "finetune", {"validation_loss": loss, "train_rows": 7})
    manifest = replace(made.manifest, digest=digest, inputs={"format[2026-01]": "aa"}, environment={"torch": "2.13.0"})
    return replace(made, manifest=manifest)


def diverged(digest: str) -> Artifact:
    return Artifact(Path("nowhere"), Manifest(DIVERGED, 1, None, digest, {}, {}, {"reason": "the loss is nan"}))


def test_by_f1_more_is_better(tmp_path: Path) -> None:
    spec = experiment(
        sweep={"lora.r": [2, 4, 8], "metric": "validation_f1"}, train={"best_by": "validation_f1", "eval_rows": 8}
    )
    inputs = {}
    for name, f1 in zip(NAMES, (0.25, 0.5, 0.5), strict=True):
        made = trial(tmp_path / name, 1.0 - f1, name)
        inputs[name] = replace(made, manifest=replace(made.manifest, summary={"validation_f1": f1}))
    out = tmp_path / "out"
    out.mkdir()
    summary = select.run(config_for(SELECT, spec), inputs, out, Surroundings(tmp_path).context)
    assert (summary["trial"], summary["validation_f1"], summary["metric"]) == ("r=4", 0.5, "validation_f1")


def outcomes(folder: Path, *losses: float | None) -> dict[str, Artifact]:
    return {name: trial(folder / name, loss, f"d{i}") for i, (name, loss) in enumerate(zip(NAMES, losses, strict=True))}


def run(folder: Path, inputs: dict[str, Artifact]) -> tuple[dict[str, Any], Artifact, Surroundings]:
    out, around = folder / "out", Surroundings(folder)
    out.mkdir()
    summary = select.run(CONFIG, inputs, out, around.context)
    return summary, as_artifact(out, "select", summary), around


def test_the_best_adapter_goes_on_with_what_is_known_of_all(tmp_path: Path) -> None:
    summary, chosen, around = run(tmp_path, outcomes(tmp_path, 1.5, 1.25, 1.75))
    told = {"trial": "r=4", "trials": 3, "diverged": 0, "metric": "validation_loss"}
    assert summary == {"validation_loss": 1.25, "train_rows": 7} | told
    assert sorted(chosen.manifest.files) == [
        "adapter/adapter_model.safetensors",
        "base.json",
        "selection.json",
        "trials.png",
    ]
    assert chosen.file("adapter/adapter_model.safetensors").read_text() == "d1"
    selection = chosen.json("selection.json")
    assert {key: selection[key] for key in ("metric", "trial", "digest", "inputs", "environment")} == {
        "metric": "validation_loss",
        "trial": "finetune[r=4]",
        "digest": "d1",
        "inputs": {"format[2026-01]": "aa"},
        "environment": {"torch": "2.13.0"},
    }
    assert [(one["trial"], one["score"]) for one in selection["trials"]] == list(
        zip(NAMES, (1.5, 1.25, 1.75), strict=True)
    )
    assert around.tracker.tables["trials"][1:] == [
        ["r=2", 1.5, None, False],
        ["r=4", 1.25, None, True],
        ["r=8", 1.75, None, False],
    ]
    assert chosen.file("trials.png").read_bytes()[:4] == b"\x89PNG"
    assert around.reports[-1].text == "r=4 has the best validation_loss: 1.2500"


def test_of_equal_trials_the_earlier_wins(tmp_path: Path) -> None:
    assert run(tmp_path, outcomes(tmp_path, 1.5, 1.25, 1.25))[0]["trial"] == "r=4"


def test_a_trial_that_diverged_is_told_and_never_chosen(tmp_path: Path) -> None:
    inputs = outcomes(tmp_path, 1.5, 1.25, 1.75)
    summary, chosen, _ = run(tmp_path, inputs | {NAMES[1]: diverged("d1")})
    assert (summary["trial"], summary["trials"], summary["diverged"]) == ("r=2", 3, 1)
    assert chosen.json("selection.json")["trials"][1] == {
        "trial": "finetune[r=4]",
        "digest": "d1",
        "score": None,
        "diverged": "the loss is nan",
    }


def test_all_diverged(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        run(tmp_path, {name: diverged(f"d{i}") for i, name in enumerate(NAMES)})
    assert str(caught.value) == (
        "none of the 3 trials of the sweep came to an end: all have diverged (r=2: the loss is nan). Sweep other values; "
        "`skillsengine run SPEC --force` trains these again."
    )


def test_no_row_was_held_out(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        run(tmp_path, outcomes(tmp_path, None, None, None))
    assert str(caught.value) == (
        "finetune[r=2] has no validation_loss to compare the trials by: no row of the partitions 2026-01 was held out for "
        "validation. Raise data.split.validation, or give the source more rows."
    )


@pytest.mark.parametrize("links", [True, False])
def test_files_are_shared_where_the_file_system_can(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def no_links(*_: Any) -> None:
            raise OSError("no hard links here")

        monkeypatch.setattr(os, "link", no_links)
    inputs = outcomes(tmp_path, 1.25, 1.5, 1.75)
    _, chosen, _ = run(tmp_path, inputs)
    name = "adapter/adapter_model.safetensors"
    assert chosen.file(name).samefile(inputs[NAMES[0]].file(name)) is links
    assert chosen.file(name).read_text() == "d0"


def test_register_takes_it_as_it_takes_a_trained_one(tmp_path: Path) -> None:
    trained = make_finetuned(tmp_path)
    read = {"format[2026-04]": "aa11", "profile": "cc33"}
    manifest = replace(trained.manifest, inputs=read, summary=trained.summary | {"validation_loss": 1.0})
    trained = replace(trained, manifest=manifest)
    _, chosen, around = run(tmp_path, {NAMES[0]: trained, NAMES[1]: diverged("d1")})
    out = tmp_path / "version"
    out.mkdir()
    register.run(config_of(), inputs_of(trained) | {"finetune": chosen}, out, around.context)
    plain = tmp_path / "plain"
    plain.mkdir()
    register.run(config_of(), inputs_of(trained), plain, around.context)
    assert (out / "adapter_model.safetensors").read_bytes() == (plain / "adapter_model.safetensors").read_bytes()
    lineage = as_artifact(out, "register", {}).json("version.json")["lineage"]
    assert (lineage["finetune"], lineage["select"]) == (trained.digest, chosen.digest)
    assert (lineage["format"], lineage["profile"]) == ({"2026-04": "aa11"}, "cc33")
    assert (
        "| chosen by a sweep | r=2: the best validation_loss of 2 trials (1 diverged) |"
        in (out / "README.md").read_text()
    )
