"""Every mistake that can be made on the way to a spec with `new`, and what stops it: nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.cli.new.ads import ads, as_csv, tree


def test_a_copy_is_taken_back_where_the_spec_cannot_be_written(
    command: Command, project: Path, elsewhere: Path
) -> None:
    (elsewhere / "ads.csv").write_text(as_csv(ads(60)))
    target = project / "experiments" / "mine.yaml"
    target.mkdir()
    said = command("new", "mine", "--data", str(elsewhere / "ads.csv"), "--base", "base", "--force")
    assert said.code == 1
    assert said.err == f"error: {target} cannot be written: Is a directory. Mend the folder's permissions.\n"
    assert list((project / "data" / "own").iterdir()) == []


def test_an_interruption_leaves_nothing(
    command: Command, project: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "ads.csv").write_text(as_csv(ads(60)))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("skillsengine.cli.new.put", interrupted)
    assert command("new", "mine", "--data", str(elsewhere / "ads.csv"), "--base", "base").code == 130
    assert list((project / "data" / "own").iterdir()) == []
    assert not (project / "experiments" / "mine.yaml").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_of_experiments_that_may_not_be_written() -> None:
    """As a user who is not its owner."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        (folder / "experiments").mkdir()
        (folder / "ads.csv").write_text(as_csv(ads(60)))
        # The rights are given up once all is imported: Python itself may be installed where nobody else can read it.
        code = "import os, sys; from skillsengine.cli import main; os.seteuid(65534); main()"
        command = [sys.executable, "-c", code, "new", "mine", "--data", "ads.csv"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 1
        target = folder.resolve() / "experiments" / "mine.yaml"
        assert done.stderr == f"error: {target} cannot be written: Permission denied. Mend the folder's permissions.\n"
        assert list((folder / "experiments").iterdir()) == []


MISTAKES: list[tuple[str, str]] = [
    ("new mine --data empty.csv", "--data: {folder}/empty.csv: empty (0 bytes). Was it saved, downloaded whole?"),
    ("new mine --data header.csv", "--data: {folder}/header.csv: no rows: there is nothing below the header"),
    ("new mine --data nothing", "--data: no data in {folder}/nothing: a source is a file whose name ends in .jsonl, "),
    ("new mine --data add.csv", "--data add.csv: no such file or folder. Did you mean `ads.csv`?"),
    ("new mine --data ads.csv --text txt", "--text txt: there is no such column."),
    ("new mine --data ads.csv --labels Skills", "Did you mean `skills`? The columns are `id`, `text`, `skills`."),
    ("new mine --data ads.csv --date id", "--date id: no value of it can be read as a day."),
    (
        "new mine --data ads.csv --text text --labels text",
        "two of --text, --labels, --date and --id name the column `text`",
    ),
    ("new My.Spec --data ads.csv", "`My.Spec` is no name for a spec: "),
    ("new taken --data ads.csv", "the name `taken` is taken by experiments/team/taken.yaml: "),
    ("new mine --data s3://bucket/ads.csv", "`new` looks at files of this machine. Download one file of it"),
    (
        "new mine --data {outside} --no-copy",
        "--no-copy: {outside_folder} lies outside of the folders that a spec may read",
    ),
    (
        "new mine --data ads.csv --base ''",
        "--base: empty. Leave it out for the built-in base, or name a folder or a Hub id (org/name).",
    ),
]


@pytest.mark.parametrize(("words", "text"), MISTAKES, ids=[words for words, _ in MISTAKES])
def test_mistakes_are_told_plainly_and_leave_nothing(
    words: str, text: str, command: Command, project: Path, elsewhere: Path
) -> None:
    (elsewhere / "ads.csv").write_text(as_csv(ads(60)))
    (project / "ads.csv").write_text(as_csv(ads(60)))
    (project / "empty.csv").write_text("")
    (project / "header.csv").write_text("id,text,skills\n")
    (project / "nothing").mkdir()
    (project / "experiments" / "team").mkdir()
    (project / "experiments" / "team" / "taken.yaml").write_text("name: taken\nschedule: none\ndata: {source: a.csv}\n")
    before = tree(project)
    places = {"folder": project, "outside": elsewhere / "ads.csv", "outside_folder": elsewhere}
    said = command(*("" if word == "''" else word.format(**places) for word in words.split()))
    assert said.code == 1
    assert text.format(**places) in said.err
    assert said.err.count("error:") <= 1
    assert tree(project) == before


def test_without_data(command: Command) -> None:
    said = command("new", "mine")
    assert said.code == 2
    assert "--data" in said.err
