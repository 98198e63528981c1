"""The name of a draft, and its file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skillsengine.draft.errors import DraftError
from skillsengine.draft.write import check, put, suggested, target_for
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.errors import SpecError
from skillsengine.spec.schema import NAME_PATTERN

SPEC = "name: mine\nschedule: none\ndata: {source: a.csv}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "experiments" / "_base").mkdir(parents=True)
    return load_settings(tmp_path)


def refused(name: str, settings: Settings, *, force: bool = False) -> str:
    with pytest.raises(DraftError) as raised:
        target_for(name, settings, force=force)
    return str(raised.value)


def test_the_file_is_named_as_the_experiment(settings: Settings) -> None:
    assert target_for("mine", settings, force=False) == settings.experiments / "mine.yaml"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("My Skills", " For example: my-skills"),
        ("my-skills.yaml", " For example: my-skills"),
        ("Lebensläufe!", " For example: lebenslaufe"),
        ("_mine", " For example: mine"),
        ("../mine", " For example: mine"),
        ("x" * 101, f" For example: {'x' * 100}"),
        ("mine\n", " For example: mine"),
        ("職務", ""),
        ("", ""),
    ],
)
def test_no_name_for_a_spec(name: str, hint: str, settings: Settings) -> None:
    assert refused(name, settings) == (
        f"`{name}` is no name for a spec: it is the file's and the DAG's name too, so small letters, digits, `-` and `_`, a "
        f"letter or a digit first, at most 100.{hint}"
    )


@pytest.mark.parametrize("name", ["My Skills", "--", "é" * 300, "a" * 99 + "-!b", "x.yaml.yaml"])
def test_what_is_suggested_is_a_name(name: str) -> None:
    assert suggested(name) == "" or re.search(NAME_PATTERN, suggested(name))


def test_a_taken_name(settings: Settings) -> None:
    (settings.experiments / "mine.yaml").write_text(SPEC)
    assert refused("mine", settings) == (
        "experiments/mine.yaml is there already, and is not overwritten. Choose another name, or replace it with --force."
    )
    assert target_for("mine", settings, force=True) == settings.experiments / "mine.yaml"


@pytest.mark.parametrize("path", ["team/mine.yaml", "MINE.yaml"])
@pytest.mark.parametrize("force", [False, True])
def test_a_name_that_another_file_has(path: str, force: bool, settings: Settings) -> None:
    (settings.experiments / "team").mkdir()
    (settings.experiments / path).write_text(SPEC)
    assert refused("mine", settings, force=force) == (
        f"the name `mine` is taken by experiments/{path}: two specs of one name would be one DAG. Choose another name."
    )


def test_what_is_checked_is_loaded_as_from_experiments(settings: Settings) -> None:
    (settings.experiments / "_base" / "x.yaml").write_text("train: {epochs: 7}\n")
    loaded = check(f"extends: _base/x.yaml\n{SPEC}", "mine", settings)
    assert (loaded.experiment.name, loaded.experiment.train.epochs) == ("mine", 7)
    assert not (settings.experiments / "mine.yaml").exists()


def test_a_text_that_is_no_spec(settings: Settings) -> None:
    with pytest.raises(SpecError, match="no_such_field: unknown key"):
        check(f"{SPEC}no_such_field: 1\n", "mine", settings)


def test_a_spec_is_put_whole(settings: Settings) -> None:
    target = settings.experiments / "mine.yaml"
    put(SPEC, target)
    put(SPEC + "# again\n", target)
    assert target.read_text() == SPEC + "# again\n"
    assert [path.name for path in settings.experiments.iterdir()] in (["_base", "mine.yaml"], ["mine.yaml", "_base"])


def test_a_folder_that_cannot_be_written(settings: Settings) -> None:
    target = settings.experiments / "mine.yaml"
    target.mkdir()
    with pytest.raises(DraftError) as raised:
        put(SPEC, target)
    assert str(raised.value) == f"{target} cannot be written: Is a directory. Mend the folder's permissions."
    assert sorted(path.name for path in settings.experiments.iterdir()) == ["_base", "mine.yaml"]
