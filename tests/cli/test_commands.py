"""The commands as a user types them: what they print, their exit codes, and no traceback for a user's mistake."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from skillsengine.spec.load import resolved
from tests.cli.conftest import Command
from tests.pipeline.project import make_project, tiny_experiment

HEAVY = ("torch", "transformers", "datasets", "pandas", "wandb", "peft")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a spec `tiny` that trains in a second."""
    folder = tmp_path_factory.mktemp("cli") / "project"
    make_project(folder)
    spec = resolved(tiny_experiment())
    (folder / "experiments" / "tiny.yaml").write_text(yaml.safe_dump(spec))
    return folder


def test_validate_says_ok(command: Command) -> None:
    said = command("validate", "experiments/tiny.yaml")
    assert (said.code, said.out) == (0, "ok tiny.yaml: tiny, schedule none\n")


def test_validate_shows_every_problem_of_a_broken_spec(command: Command, project: Path) -> None:
    bad = project / "experiments" / "bad.yaml"
    bad.write_text("name: bad\nschedule: none\ndata: {source: x}\ntrain:\n  lerning_rate: 2e-4\n  epochs: 0\n")
    said = command("validate")
    bad.unlink()
    assert said.code == 1
    assert "experiments/bad.yaml:5:3: train.lerning_rate: unknown key" in said.err
    assert "did you mean `learning_rate`?" in said.err
    assert "experiments/bad.yaml:6:11: train.epochs" in said.err
    assert "1 of 2 specs do not compile" in said.err
    assert "ok tiny.yaml" in said.out


def test_a_spec_that_is_not_there(command: Command) -> None:
    said = command("plan", "experiments/nobody.yaml")
    assert said.code == 1
    assert "experiments/nobody.yaml" in said.err
    assert "no such file" in said.err.lower()


def test_a_job_from_plan_to_extract(command: Command) -> None:
    assert "9 of 9 steps to run" in command("plan", "experiments/tiny.yaml").out

    ran = command("run", "experiments/tiny.yaml")
    assert ran.code == 0, ran.err
    assert "tiny@1 · 2026-03 · F1: adapter" in ran.out
    assert "gate keep" in ran.out

    assert "nothing to do: every step is cached" in command("plan", "experiments/tiny.yaml").out
    changed = command("plan", "experiments/tiny.yaml", "--set", "train.learning_rate=0.02").out
    assert "train.learning_rate: 0.01 -> 0.02" in changed
    assert "4 of 9 steps to run" in changed
    assert "unchanged since tiny@1" in command("run", "experiments/tiny.yaml").out

    assert "tiny@1" in command("versions").out
    listed = command("runs", "tiny", "--last", "1").out
    assert "unchanged since tiny@1" in listed and "tiny · 2026-03 · cli" in listed
    [told] = json.loads(command("runs", "tiny", "--last", "1", "--json").out)
    assert (told["state"], told["partition"], told["trigger"]) == ("success", "2026-03", "cli")
    assert "unchanged since tiny@1" in told["note"]

    said = command("extract", "tiny@latest", "-", "--json", stdin="We need a welder.")
    assert said.code == 0, said.err
    assert json.loads(said.out)["version"] == "tiny@1"


def test_extract_names_what_there_is(command: Command) -> None:
    said = command("extract", "nobody@latest", "-", stdin="x")
    assert said.code == 1
    assert "nobody" in said.err
    assert command("extract", "tiny@latest", "no-such-file.txt").err.startswith(
        "error: no-such-file.txt: no such file."
    )


def test_preview_marks_the_supervised_tokens(command: Command) -> None:
    said = command("preview", "experiments/tiny.yaml")
    assert said.code == 0, said.err
    assert said.out.count("### Job Description:") == 3
    assert "supervised" in said.out


def test_compile_writes_one_file_a_spec(command: Command, tmp_path: Path) -> None:
    said = command("compile", "--out", str(tmp_path / "dags"))
    assert said.code == 0, said.err
    assert "1 written" in said.out
    assert (tmp_path / "dags" / "tiny.py").is_file()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run", "experiments/tiny.yaml", "--until", "trian"), "no stage `trian`; the stages are format, profile"),
        (("run", "experiments/tiny.yaml", "--set", "train.epoch=1"), "--set train.epoch=1: "),
        (("plan", "experiments/tiny.yaml", "--partition", "2025-01"), "no data for 2025-01 at data/ads/2025-01.jsonl"),
        (("plan", "experiments/tiny.yaml", "--set", "data.source=nowhere/ads"), "nowhere/ads"),
    ],
)
def test_mistakes_are_told_plainly(command: Command, words: tuple[str, ...], text: str) -> None:
    said = command(*words)
    assert said.code == 1
    assert text in said.err


@pytest.mark.parametrize(
    "name", ["validate", "plan", "run", "preview", "compile", "runs", "versions", "extract", "up", "demo"]
)
def test_every_command_teaches_by_an_example(command: Command, name: str) -> None:
    said = command(name, "--help")
    assert said.code == 0
    assert f"skillsengine {name}" in said.out.replace("│", "")


def test_the_light_commands_load_nothing_heavy(project: Path) -> None:
    code = (
        "import sys\n"
        "from skillsengine.cli import main\n"
        "for words in (['validate'], ['plan', 'experiments/tiny.yaml'], ['runs'], ['versions']):\n"
        "    sys.argv = ['skillsengine', *words]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code, words\n"
        f"print('HEAVY', sorted(set(sys.modules) & {set(HEAVY)}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []")


def test_outside_a_project(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("runs")
    assert said.code == 1
    assert "no folder `experiments/` in" in said.err


def test_a_version_becomes_one_model(command: Command, project: Path, tmp_path: Path) -> None:
    assert command("run", "experiments/tiny.yaml").code == 0
    said = command("merge", "tiny@1", str(tmp_path / "merged"))
    assert said.code == 0, said.err
    assert "Checked on 4 prompts against base and adapter apart: the same answers" in said.out
    assert said.out.endswith(f"written {tmp_path / 'merged'}\n")
    card = (tmp_path / "merged" / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["library_name"] == "transformers"
    assert "# tiny@1, merged" in card and "Checked on 4 prompts" in card
    lineage = json.loads(card.split("```json\n")[1].split("```")[0])
    assert set(lineage["format"]) == {"2026-01", "2026-02"}
    assert str(project) not in card

    again = command("merge", "tiny@1", str(tmp_path / "merged"))
    assert again.code == 1
    assert "merged is not empty, and nothing is overwritten. Name a new folder, or remove it first." in again.err
    missing = command("merge", "tiny@7", str(tmp_path / "other"))
    assert missing.code == 1
    assert "error: tiny@7 does not exist: tiny has the versions 1" in missing.err
    neither = command("merge", str(tmp_path), str(tmp_path / "other"))
    assert neither.code == 1
    assert "is neither a version's folder (it holds no version.json) nor a finetune artifact" in neither.err


def test_merging_by_folders_and_for_programs(command: Command, project: Path, tmp_path: Path) -> None:
    assert command("run", "experiments/tiny.yaml").code == 0
    (listed,) = json.loads(command("versions", "--json").out)
    version = listed["folder"]
    (artifact,) = (path.parent for path in (project / ".skillsengine").rglob("base.json"))
    for folder, name in ((version, "tiny@1"), (str(artifact), artifact.name)):
        said = command("merge", folder, str(tmp_path / name), "--json")
        assert said.code == 0, said.err
        facts = json.loads(said.out)
        assert (facts["version"], facts["dtype"]) == (name, "float32")
        assert facts["agreement"]["same_answers"] == facts["agreement"]["prompts"] == 4
