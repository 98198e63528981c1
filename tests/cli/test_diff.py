"""`diff`: two specs, a spec and git's HEAD, a spec and the one that made a version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.graph import FINETUNE
from skillsengine.settings import load_settings
from skillsengine.spec.load import load_spec, resolved
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.cli.conftest import Command
from tests.git import commit

JOB = "experiments/job.yaml"
TEXT = """# what it is for
extends: _base/small.yaml
name: job
schedule: none
data: {source: ads.jsonl}
train:
  epochs: 2
  seed: 7
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in git, with one spec and what it extends."""
    _write(tmp_path, TEXT)
    _write(tmp_path, "lora: {r: 8}\ntrain: {epochs: 4}\n", "_base/small.yaml")
    commit(tmp_path)
    return tmp_path


def _write(project: Path, text: str, name: str = "job.yaml") -> None:
    path = project / "experiments" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _registered(project: Path, spec: dict[str, Any] | None = None, *, adapter: str = "a", **config: Any) -> str:
    """Register a version as a run would: with the spec as it is, or as given."""
    settings = load_settings(project)
    catalog = Catalog.open(settings.catalog_url)
    spec = spec or resolved(load_spec(project / JOB).experiment)
    row = catalog.allocate_version("job", adapter * 64, experiment="job", partition=None, run_id=None, spec=spec)
    made = Manifest("finetune", 1, None, adapter * 64, config, {}, {})
    path = Store(settings.store_root).path_of("finetune", adapter * 64)
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(made.to_json())
    catalog.publish_version("job", row.number, "f" * 64, "folder", {}, {})
    return row.name


def test_against_head(command: Command, project: Path) -> None:
    assert command("diff", JOB).out == f"HEAD:{JOB} -> {JOB}\nno difference\n"
    _write(project, TEXT.replace("epochs: 2", "epochs: 3").replace("  seed: 7\n", "tags: [new]\n"))
    _write(project, "lora: {r: 8, target_modules: [q_proj, lm_head]}\n", "_base/small.yaml")
    said = command("diff", JOB)
    assert (said.code, said.err) == (0, "")
    rows = [line.rstrip() for line in said.out.splitlines()]
    assert rows == [
        f"HEAD:{JOB} -> {JOB}",
        "tags: +new                experiments/job.yaml:8:7",
        "lora.target_modules: +lm_head -k_proj -v_proj -o_proj -gate_proj -up_proj -down_proj",
        "    experiments/_base/small.yaml:1:30",
        "train.epochs: 2.0 -> 3.0  experiments/job.yaml:7:11",
        "train.seed: 7 -> 42       by default; was HEAD:experiments/job.yaml:8:9",
        "",
        "a run, if the data stays as it is:",
        "  format             kept",
        "  profile            kept",
        "  finetune           runs again  lora.target_modules, train.epochs, train.seed",
        "  evaluate[base]     kept",
        "  evaluate[lexicon]  runs again  finetune runs again",
        "  evaluate[adapter]  runs again  finetune runs again",
        "  register           runs again  finetune runs again",
        "",
        "no stage runs again for:",
        "  tags  how Airflow shows it",
    ]


def test_comments_order_and_defaults_are_no_change(command: Command, project: Path) -> None:
    _write(
        project,
        "name: job\nextends: _base/small.yaml\ntrain: {seed: 7, epochs: 2.0}\nschedule: none\n"
        "data:\n  source: ads.jsonl   # here\n  window: 6\n",
    )
    said = command("diff", JOB, "--exit-code")
    assert said.out.splitlines()[1:] == ["the same in meaning; only the text differs"]
    assert said.code == 0


def test_a_long_text_is_compared_line_by_line(command: Command, project: Path) -> None:
    prompt = "prompt:\n  template: |\n    Find the skills.\n    \\x1b[31m{text}\n    Skills:"
    _write(project, TEXT + prompt + "\n")
    commit(project)
    _write(project, TEXT + prompt + " \n    as JSON\n")
    rows = command("diff", JOB).out.splitlines()
    assert rows[1:6] == [
        "prompt.template:  experiments/job.yaml:10:13",
        "   \\x1b[31m{text}",
        "  -Skills:",
        "  +Skills: ",
        "  +as JSON",
    ]


def test_control_characters_are_shown_as_escapes(command: Command, project: Path) -> None:
    _write(project, TEXT + 'description: "a\\e[31m\\nb"\nowner: "x\\e[31m"\n')
    out = command("diff", JOB).out
    assert "\x1b" not in out
    assert "+a\\x1b[31m" in out
    assert 'owner: skillsengine -> "x\\u001b[31m"' in out


def test_exit_code_as_git_has_it(command: Command, project: Path) -> None:
    assert command("diff", JOB, JOB, "--set", "train.epochs=9").code == 0
    assert command("diff", JOB, JOB, "--set", "train.epochs=9", "--exit-code").code == 1
    assert command("diff", JOB, JOB, "--exit-code").code == 0


def test_as_json(command: Command, project: Path) -> None:
    said = command("diff", JOB, "--set", "train.epochs=9", "--set", "resources.queue=big", "--json")
    told = json.loads(said.out)
    assert (told["before"], told["same"], told["notes"]) == (f"HEAD:{JOB}", False, [])
    assert told["changes"][0] == {
        "field": "train.epochs",
        "before": 2.0,
        "after": 9.0,
        "written_before": "HEAD:experiments/job.yaml:7:11",
        "written_after": "--set train.epochs=9",
    }
    steps = {step["step"]: step for step in told["steps"]}
    assert steps["finetune"] == {
        "step": "finetune",
        "runs_again": True,
        "changes": ["train.epochs"],
        "reasons": [],
        "inputs": [],
    }
    assert steps["register"]["inputs"] == ["finetune"]
    assert not steps["format"]["runs_again"]
    assert told["no_step"] == {"resources.queue": "how Airflow runs it"}


def test_two_specs(command: Command, project: Path) -> None:
    _write(project, TEXT.replace("name: job", "name: two").replace("ads.jsonl", "other.jsonl"), "two.yaml")
    out = command("diff", JOB, "experiments/two.yaml").out
    assert out.startswith(f"{JOB} -> experiments/two.yaml\nname: job -> two")
    assert "a run, if the new files hold other rows:" in out
    assert "register           runs again  name" in out


def test_the_overlay_of_then_and_of_now(command: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(project, "train: {seed: 1}\n", "_env/prod.yaml")
    monkeypatch.setenv("SKILLSENGINE_ENV", "prod")
    said = command("diff", JOB).out
    assert "note: experiments/_env/prod.yaml is new since HEAD: not laid over there" in said
    assert "train.seed: 7 -> 1" in said
    commit(project)
    _write(project, "train: {seed: 2}\n", "_env/prod.yaml")
    assert "train.seed: 1 -> 2  experiments/_env/prod.yaml:1:15" in command("diff", JOB).out


def test_what_head_cannot_say(command: Command, project: Path, tmp_path: Path) -> None:
    _write(project, TEXT.replace("job", "new"), "new.yaml")
    said = command("diff", "experiments/new.yaml")
    assert said.code == 1
    assert said.err == (
        "error: experiments/new.yaml is new since HEAD: git's last commit does not have it. Compare it with another spec, or "
        "with a version: skillsengine diff MODEL@champion experiments/new.yaml\n"
    )
    _write(project, TEXT.replace("epochs: 2", "epocs: 2"))
    commit(project)
    _write(project, TEXT)
    said = command("diff", JOB)
    assert said.code == 1
    assert said.err.startswith("error: HEAD:experiments/job.yaml:7:3: train.epocs: unknown key\n   7 |   epocs: 2\n")
    _write(project, TEXT.replace("seed: 7", "sed: 7"))
    assert command("diff", JOB, JOB).err.startswith("error: experiments/job.yaml:8:3: train.sed: unknown key")


def test_a_mistyped_path_is_no_new_spec(command: Command) -> None:
    assert command("diff", "experiments/jib.yaml").err == "error: experiments/jib.yaml:1:1: no such file\n"
    assert "rename it to job.yaml" in command("diff", "experiments/job.yml").err


def test_a_spec_outside_of_the_project(command: Command, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("elsewhere") / "job.yaml"
    path.write_text(TEXT.replace("extends: _base/small.yaml\n", ""))
    said = command("diff", str(path))
    assert said.code == 1
    assert "job.yaml stands outside of " in said.err and "name a second spec" in said.err


def test_no_repository(command: Command, project: Path) -> None:
    (project / ".git").rename(project / "no-git")
    said = command("diff", JOB)
    assert said.code == 1
    assert "error: there is no git repository around" in said.err


def test_a_version_against_a_spec(command: Command, project: Path) -> None:
    assert _registered(project) == "job@1"
    said = command("diff", "job@latest", JOB)
    rows = [line.rstrip() for line in said.out.splitlines()]
    assert rows[:2] == [f"job@1 -> {JOB}", "the same in meaning"]
    # Its training was made by an older version of the stage.
    assert f"  finetune           runs again  version 1 of the stage -> {FINETUNE.version}" in rows
    assert "  profile            kept" in rows
    assert said.out == command("diff", "job@1").out
    out = command("diff", "job@1", "--set", "train.epochs=3").out
    assert "train.epochs: 2.0 -> 3.0  --set train.epochs=3" in out
    assert f"  finetune           runs again  train.epochs, version 1 of the stage -> {FINETUNE.version}" in out
    out = command("diff", JOB, "job@1", "--json").out
    assert json.loads(out)["changes"] == []


def test_two_versions(command: Command, project: Path) -> None:
    _registered(project)
    _write(project, TEXT.replace("epochs: 2", "epochs: 5"))
    _registered(project, adapter="b", rerun=2)
    rows = [line.rstrip() for line in command("diff", "job@1", "job@2").out.splitlines()]
    assert rows[:2] == ["job@1 -> job@2", "train.epochs: 2.0 -> 5.0"]
    assert "  finetune           runs again  train.epochs, --force (training number 0 -> 2)" in rows


def test_a_version_of_an_older_installation(command: Command, project: Path) -> None:
    spec = resolved(load_spec(project / JOB).experiment)
    del spec["notify"]
    spec["lora"]["magic"] = 1
    _registered(project, spec)
    said = command("diff", "job@1", JOB)
    assert said.code == 0
    assert said.out.splitlines()[1:4] == [
        "note: job@1: made before there was notify: today's defaults stand in for them",
        "note: job@1: its spec has what is no longer known: lora.magic",
        "the same in meaning",
    ]


def test_versions_that_cannot_be_compared(command: Command, project: Path) -> None:
    _registered(project)
    said = command("diff", "job@9", JOB)
    assert (said.code, "error: job@9 does not exist: job has the versions 1" in said.err) == (1, True)
    said = command("diff", JOB, "job@1", "--set", "train.epochs=1")
    assert (said.code, "error: --set: job@1 is a version" in said.err) == (1, True)
    (project / JOB).unlink()
    said = command("diff", "job@1")
    assert said.code == 1
    assert "error: job@1: its experiment `job` has no spec in " in said.err
