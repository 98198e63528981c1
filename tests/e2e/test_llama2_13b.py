"""The notebook's experiment as it ships, through all stages. Only the base is small: Llama-2-13B's architecture at CPU size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skillsengine.pipeline.plan import RunOptions
from skillsengine.pipeline.run import Run
from skillsengine.settings import Settings
from skillsengine.spec.load import load_spec
from tests.pipeline.whole import run_whole
from tests.tiny import make_tiny_base

pytestmark = pytest.mark.nightly

NAME = "job-skills-llama2-13b"
TARGETS = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"}


@pytest.fixture(scope="module")
def run(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run. Of the spec only the base's path and the device are others."""
    home = tmp_path_factory.mktemp("llama2")
    # As Llama-2-13B: an output layer of its own, no pad token, as many key heads as query heads, a context of 4,096.
    base = make_tiny_base(home / "base", tied=False, pad=False, context=4096, num_key_value_heads=4)
    settings = Settings(project, home, f"sqlite:///{home / 'catalog.db'}", ())
    changed = [f"base.model={base}", "resources.device=cpu"]
    experiment = load_spec(project / "experiments" / f"{NAME}.yaml", overrides=changed).experiment
    return run_whole(experiment, settings, "nightly", options=RunOptions(trusted=True))


def test_the_recipe_is_the_notebooks(run: Run) -> None:
    spec = run.experiment
    assert (spec.base.quantization, spec.lora.r, spec.lora.alpha) == ("int8", 32, 64)
    assert set(spec.lora.target_modules) == TARGETS
    assert (spec.train.epochs, spec.train.effective_batch_size) == (3, 4)


def test_every_stage_leaves_what_it_promises(run: Run) -> None:
    formatted = run.store.get("format", run.plan.of("format")[0].digest)
    profile = run.store.get("profile", run.plan.of("profile")[0].digest)
    finetune = run.store.get("finetune", run.plan.of("finetune")[0].digest)
    assert formatted and profile and finetune
    measured = profile.summary
    assert measured["max_length"] == -(-measured["longest"] // 8) * 8, "percentile 100: the longest text"
    assert measured["share_cut"] == 0
    summary = finetune.summary
    assert summary["epochs"] == 3 and summary["train_rows"] > 300
    assert summary["steps"] == -(-summary["train_rows"] // 4) * 3
    assert summary["untrained_matrices"] == 0, "the head's adapter trains too"
    config = json.loads((finetune.path / "adapter" / "adapter_config.json").read_text())
    assert set(config["target_modules"]) == TARGETS
    losses = [json.loads(line) for line in (finetune.path / "metrics.jsonl").read_text().splitlines()]
    curve = [entry["loss"] for entry in losses if "loss" in entry]
    assert curve[-1] < curve[0], "it learns"


def test_a_version_is_registered_beside_its_baselines(run: Run) -> None:
    version = run.catalog.resolve(NAME, "latest")
    assert version.number == 1 and version.path and (Path(version.path) / "adapter_model.safetensors").is_file()
    cells = {cell.kind: cell.metrics for cell in run.catalog.cells(experiment=NAME)}
    assert set(cells) == {"adapter", "base", "lexicon"}
    for metrics in cells.values():
        assert metrics["rows"] > 0 and 0 <= metrics["f1"] <= 1
