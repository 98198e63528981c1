"""`doctor` and `pull` as a user types them, against a project on disk and a Hub on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from skillsengine.settings import VARIABLES
from skillsengine.spec.load import resolved
from tests.modeling.hub_server import COMMIT, serve
from tests.pipeline.project import make_project, tiny_experiment


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A project with a tiny base, and the address of a Hub that serves that base as org/tiny."""
    folder = tmp_path_factory.mktemp("doctor") / "project"
    make_project(folder)
    with serve(folder / "base") as (endpoint, _):
        yield folder, endpoint


def _spec(project: Path, name: str, **sections: Any) -> Path:
    path = project / "experiments" / f"{name}.yaml"
    spec = resolved(tiny_experiment(name, **sections))
    path.write_text(yaml.safe_dump(spec))
    return path


def _run(hub: tuple[Path, str], home: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    project, endpoint = hub
    around = {key: value for key, value in os.environ.items() if key not in ("HF_TOKEN", "WANDB_API_KEY")}
    around |= {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home), "COLUMNS": "200", **env}
    command = [sys.executable, "-m", "skillsengine", *words]
    return subprocess.run(command, env=around, cwd=project, capture_output=True, text=True, timeout=120)


def test_all_is_well(hub: tuple[Path, str], tmp_path: Path) -> None:
    done = _run(hub, tmp_path, "doctor", str(_spec(hub[0], "well")))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "settings",
        "machine",
        "Airflow",
        "specs",
        lines[-1],
    ]
    assert [line.split()[0] for line in lines if line.startswith("  ")].count("ok") == len(lines) - 7
    assert "  unknown  Airflow  none is known here, so pools, queues and DAGs were not looked at" in lines
    assert f"  ok       store  {hub[0] / '.skillsengine' / 'store'}: writable" in done.stdout
    assert "data of well  data/ads/{partition}.jsonl: partition 2026-03, 3 files" in done.stdout
    assert f"base base  local folder {hub[0] / 'base'}: llama, " in done.stdout
    assert lines[-1] == f"{9 + len(VARIABLES)} looked at: 0 problems, 0 warnings, 1 could not be looked at"


@pytest.mark.nightly
def test_a_hub_model_that_is_not_here_yet(hub: tuple[Path, str], tmp_path: Path) -> None:
    done = _run(hub, tmp_path, "doctor", str(_spec(hub[0], "far", base={"model": "org/tiny"})))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"base org/tiny  commit {COMMIT[:12]}, 5 files, " in done.stdout
    assert f"to fetch into {tmp_path / 'hub'}" in done.stdout
    assert "-> fetch it ahead of the first run with `skillsengine pull SPEC`" in done.stdout
    assert f"-> pin it: revision: {COMMIT}" in done.stdout


@pytest.mark.nightly
def test_bases_that_cannot_be_had(hub: tuple[Path, str], tmp_path: Path) -> None:
    """In one look: each look starts a process that loads what asks the Hub."""
    expected = {
        "org/gated": "accept its licence at https://huggingface.co/org/gated and give the worker a token",
        "org/unknown": "the Hub has no model `org/unknown`, or it is private",
        "org/tiny": "base.revision: the Hub has `org/tiny`, but no revision `v9`",
        "./nowhere": "does not exist",
        "/etc": "lies outside the folders a spec may read",
    }
    specs = [
        str(_spec(hub[0], f"bad-{number}", base={"model": model} | ({"revision": "v9"} if model == "org/tiny" else {})))
        for number, model in enumerate(expected)
    ]
    done = _run(hub, tmp_path, "doctor", *specs, "--json")
    assert done.returncode == 1
    problems = {f["subject"]: f["text"] for f in json.loads(done.stdout) if f["level"] == "problem"}
    assert problems.keys() == {f"base {model}" for model in expected}
    for model, text in expected.items():
        assert text in problems[f"base {model}"]


@pytest.mark.nightly
def test_a_hub_that_is_not_there(hub: tuple[Path, str], tmp_path: Path) -> None:
    spec = str(_spec(hub[0], "far", base={"model": "org/tiny"}))
    done = _run(hub, tmp_path, "doctor", spec, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 1, done.stderr
    assert "  problem  base org/tiny  base.model: the Hub could not be asked for `org/tiny`: " in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("first: base org/tiny: base.model: the Hub could not be asked for `org/tiny`")


@pytest.mark.nightly
def test_offline_and_not_in_the_cache(hub: tuple[Path, str], tmp_path: Path) -> None:
    spec = str(_spec(hub[0], "far", base={"model": "org/tiny"}))
    done = _run(hub, tmp_path, "doctor", spec, HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert "fill the cache with `skillsengine pull SPEC` where there is a network" in done.stdout


def test_what_a_spec_asks_for_and_the_machine_does_not_have(hub: tuple[Path, str], tmp_path: Path) -> None:
    spec = _spec(
        hub[0],
        "lacks",
        data={"source": "data/none/{partition}.jsonl"},
        register={"hub": "talent/job-skills"},
        resources={"device": "cuda"},
    )
    done = _run(hub, tmp_path, "doctor", str(spec))
    assert done.returncode == 1
    assert "  problem  data of lacks  no data for any complete partition" in done.stdout
    assert "  problem  Hub token  none, and lacks pushes its versions to the Hub" in done.stdout
    assert "-> set HF_TOKEN to a token with the right to write" in done.stdout
    assert "sees no GPU here, and lacks wants one" in done.stdout


def test_a_broken_spec_is_one_finding_among_the_others(hub: tuple[Path, str], tmp_path: Path) -> None:
    path = hub[0] / "experiments" / "broken.yaml"
    path.write_text("name: broken\nschedule: none\ndata: {source: x}\ntrain: {lerning_rate: 1}\n")
    try:
        done = _run(hub, tmp_path, "doctor")
    finally:
        path.unlink()
    assert done.returncode == 1
    assert "experiments/broken.yaml:4:9: train.lerning_rate: unknown key" in done.stdout
    assert "  ok       spec well.yaml  compiles" in done.stdout


@pytest.mark.nightly
def test_pull_fetches_once_and_then_runs_without_network(hub: tuple[Path, str], tmp_path: Path) -> None:
    spec = str(_spec(hub[0], "far", base={"model": "org/tiny"}))
    first = _run(hub, tmp_path, "pull", spec)
    assert first.returncode == 0, first.stderr
    assert f"org/tiny at commit {COMMIT[:12]}" in first.stdout
    assert f"revision: {COMMIT}" in first.stdout
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / COMMIT
    assert (snapshot / "model.safetensors").is_file()
    again = _run(hub, tmp_path, "pull", spec)
    assert "all there already" in again.stdout
    offline = _run(hub, tmp_path, "pull", spec, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert offline.returncode == 0, offline.stderr
    assert f"org/tiny is in {snapshot}" in offline.stdout
    doctor = _run(hub, tmp_path, "doctor", spec, HF_HUB_OFFLINE="1")
    assert "all in the cache" in doctor.stdout


@pytest.mark.nightly
def test_pull_of_a_local_folder_and_of_a_gated_model(hub: tuple[Path, str], tmp_path: Path) -> None:
    local = _run(hub, tmp_path, "pull", str(_spec(hub[0], "well")))
    assert local.returncode == 0
    assert "base is a local folder: nothing to fetch" in local.stdout
    gated = _run(hub, tmp_path, "pull", str(_spec(hub[0], "bad", base={"model": "org/gated"})))
    assert gated.returncode == 1
    assert "error: base.model: `org/gated` is gated" in gated.stderr
    assert "Traceback" not in gated.stderr
