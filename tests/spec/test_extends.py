"""Building on other files."""

from __future__ import annotations

import pytest

from skillsengine.spec.extends import MAX_FILES
from tests.spec.support import GOOD, Folder


def test_mappings_merge_and_lists_replace(specs: Folder) -> None:
    specs.write("lora:\n  r: 8\n  alpha: 16\n  target_modules: [q_proj, v_proj]\ntags: [a, b]\n", "_base/small.yaml")
    experiment = specs.load(
        "extends: _base/small.yaml\n" + GOOD + "lora: {alpha: 32, target_modules: [lm_head]}\n"
    ).experiment
    assert (experiment.lora.r, experiment.lora.alpha) == (8, 32)
    assert experiment.lora.target_modules == ("lm_head",)
    assert experiment.tags == ("a", "b")


def test_of_several_the_later_wins(specs: Folder) -> None:
    specs.write("lora: {r: 1, alpha: 1, dropout: 0.1}\n", "_base/a.yaml")
    specs.write("extends: deep/c.yaml\nlora: {alpha: 2}\n", "_base/b.yaml")
    specs.write("lora: {alpha: 3, dropout: 0.3}\nowner: c\n", "_base/deep/c.yaml")
    loaded = specs.load("extends: [_base/a.yaml, _base/b.yaml]\n" + GOOD)
    lora = loaded.experiment.lora
    assert (lora.r, lora.alpha, lora.dropout, loaded.experiment.owner) == (1, 2, 0.3, "c")
    assert [path.name for path in loaded.files] == ["job.yaml", "a.yaml", "b.yaml", "c.yaml"]


def test_a_path_is_relative_to_the_file_that_says_it(specs: Folder) -> None:
    specs.write("lora: {r: 8}\n", "_base/small.yaml")
    specs.write("extends: ../_base/small.yaml\n", "team/_mid.yaml")
    assert specs.load("extends: team/_mid.yaml\n" + GOOD).experiment.lora.r == 8


def test_another_spec_can_be_extended_but_not_its_name(specs: Folder) -> None:
    specs.write(GOOD.replace("job", "parent") + "owner: ml\n", "parent.yaml")
    assert specs.load("extends: parent.yaml\nname: job\n").experiment.owner == "ml"
    assert specs.error("extends: parent.yaml\n").startswith("experiments/job.yaml:1:1: name: missing")


def test_a_file_that_many_extend_is_read_once(specs: Folder) -> None:
    specs.write("owner: ml\n", "_base/f0.yaml")
    for index in range(1, 30):
        specs.write(f"extends: [f{index - 1}.yaml, f{index - 1}.yaml]\n", f"_base/f{index}.yaml")
    loaded = specs.load("extends: _base/f29.yaml\n" + GOOD)
    assert loaded.experiment.owner == "ml"
    assert len(loaded.files) == 31


def test_chains_are_bounded(specs: Folder) -> None:
    for index in range(MAX_FILES + 5):
        specs.write(f"extends: f{index + 1}.yaml\n", f"_base/f{index}.yaml")
    assert f"more than {MAX_FILES} files extend one another" in specs.error("extends: _base/f0.yaml\n" + GOOD)


def test_problems_of_a_shared_base_are_told_once(specs: Folder) -> None:
    specs.write("lora: {r: 0}\nowner: !x y\n", "_base/a.yaml")
    specs.write("extends: a.yaml\n", "_base/b.yaml")
    text = specs.error("extends: [_base/a.yaml, _base/b.yaml]\n" + GOOD)
    assert text.count("lora.r: expected") == 1
    assert text.count("tags are not part of a spec") == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("5", "3:10: extends: expected a file or a list of files, found 5"),
        ("[_base/a.yaml, {b: c}]", "3:25: extends: expected a file or a list of files, found a mapping"),
        ("", "3:1: extends: expected a file or a list of files, found nothing"),
        ("/etc/hosts", "3:10: extends: `/etc/hosts` is not a relative path"),
        ("_base", "3:10: extends: there is no file `_base`"),
        ("../outside.yaml", "3:10: extends: `../outside.yaml` leads out of `experiments/`"),
        ("_base/link.yaml", "3:10: extends: `_base/link.yaml` leads out of `experiments/`"),
        (
            "job.yaml",
            "3:10: extends: the files extend one another in a circle: experiments/job.yaml -> experiments/job.yaml",
        ),
        ("${data.source}", "3:10: extends: there is no file `${data.source}`"),
        ("_bse/a.yaml", "did you mean `_base/a.yaml`?"),
        ("a.yaml", "did you mean `_base/a.yaml`?"),
    ],
)
def test_what_cannot_be_extended(value: str, message: str, specs: Folder) -> None:
    specs.write("owner: ml\n", "_base/a.yaml")
    outside = specs.experiments.parent / "outside.yaml"
    outside.write_text("owner: them\n")
    (specs.experiments / "_base" / "link.yaml").symlink_to(outside)
    assert message in specs.error(GOOD + f"extends: {value}\n")


def test_what_a_broken_base_may_hold_is_not_called_missing(specs: Folder) -> None:
    specs.write("data: {source: 'a/{partition}.jsonl}\n", "_base/a.yaml")
    text = specs.error("extends: _base/a.yaml\nname: job\nschedule: partition\n")
    assert "missing" not in text
    assert text.startswith("experiments/_base/a.yaml:1:16: not valid YAML: the quote opened here is never closed")
