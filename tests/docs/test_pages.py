"""What the pages promise is there: links, specs, commands with their options, settings."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import typer
import yaml

from skillsengine.cli import resolve
from skillsengine.cli.app import app
from skillsengine.settings import SUPERVISOR
from skillsengine.settings_reference import reference
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import load_spec
from tests.docs.pages import PROJECT, Block, anchors, blocks, links, name_of, pages, spans, without_blocks

PAGES = pages()
SPECS = [block for page in PAGES for block in blocks(page, "yaml")]
_QUOTED = re.compile(r"(`+)((?:(?!\n\n).)+?)\1(?!`)", re.DOTALL)
COMMANDS = typer.main.get_command(app)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_quotation_is_broken_by_a_backquote_within(page: Path) -> None:
    """Of `a `b` c` Markdown makes the quotations `a ` and ` c`: such a text wants two backquotes on each side."""
    single = [text for mark, text in _QUOTED.findall(without_blocks(page)) if mark == "`"]
    assert [text for text in single if text != text.strip()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, todo = set(), [PROJECT / "README.md"]
    while todo:
        page = todo.pop()
        reached.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if target.suffix == ".md" and target not in reached and target.is_file():
                todo.append(target)
    assert sorted(map(name_of, set(PAGES) - reached)) == []


@pytest.mark.parametrize("block", SPECS, ids=lambda block: f"{block.page}:{block.line}")
def test_yaml_is_a_spec_or_a_part_of_one(block: Block, tmp_path: Path) -> None:
    """A block without a name is a part: it has to fit the shortest spec that there is."""
    shutil.copytree(PROJECT / "experiments" / "_base", tmp_path / "experiments" / "_base")
    given = yaml.safe_load(block.text)
    name = given.get("name", "a-part")
    text = re.sub(r": <[^>]+>", ": main", block.text)  # `<the commit>`
    if "name" not in given:
        text = f"name: {name}\nschedule: none\n" + ("" if "data" in given else "data: {source: ads}\n") + text
    path = tmp_path / "experiments" / f"{name}.yaml"
    path.write_text(text, "utf-8")
    assert load_spec(path).experiment.name == name
    said = re.match(r"# experiments/(\S+)\.yaml\n", block.text)
    assert said is None or said[1] == name


def commands_of(page: Path) -> list[list[str]]:
    """The words behind each `skillsengine` of a page: of its shell blocks, and of its text."""
    lines = [line for block in blocks(page, "sh") for line in block.text.replace("\\\n", " ").splitlines()]
    found = []
    for line in [*lines, *spans(page)]:
        at = re.search(r"(?:^|[\s/])skillsengine (?=[a-z])(?!.*\sskillsengine )", line.partition(" #")[0])
        if at:
            found.append(shlex.split(re.split(r"\s(?:\||>|&&)", line[at.end() :])[0], comments=True))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    wrong = []
    for words in commands_of(page):
        names = [name.strip(",;.") for name in words[0].split("|")]
        for name in names:
            command = COMMANDS.commands.get(name)  # type: ignore[attr-defined]
            command = getattr(command, "commands", {}).get(words[1] if len(words) > 1 else "", command)
            known = {option for parameter in getattr(command, "params", ()) for option in parameter.opts}
            known |= {option for parameter in getattr(command, "params", ()) for option in parameter.secondary_opts}
            unknown = [word for word in words[1:] if word.startswith("--") and word.partition("=")[0] not in known]
            if command is None or unknown:
                wrong.append(f"skillsengine {' '.join(words)}")
    assert wrong == []


def test_every_command_stands_in_the_readme() -> None:
    text = (PROJECT / "README.md").read_text("utf-8")
    missing = [
        name
        for name, command in COMMANDS.commands.items()  # type: ignore[attr-defined]
        if not command.hidden and not re.search(rf"`(?:skillsengine )?{name}\b|make {name}\b", text)
    ]
    assert missing == []


def _variables(text: str) -> set[str]:
    return set(re.findall(r"\bSKILLSENGINE_[A-Z_]*[A-Z]\b", text))


def test_settings_of_the_pages_are_those_of_the_code() -> None:
    code = set().union(
        *(_variables(path.read_text("utf-8")) for path in (PROJECT / "skillsengine").rglob("*.py")),
        *(_variables(path.read_text("utf-8")) for path in (PROJECT / "docker").iterdir() if path.is_file()),
    )
    told = set().union(*(_variables(page.read_text("utf-8")) for page in PAGES))
    assert told - code - {"SKILLSENGINE_REQUIRE_SHARED"} == set()
    assert code - told - {SUPERVISOR, "SKILLSENGINE_"} == set()


def test_the_page_of_the_settings_is_made_from_the_code() -> None:
    assert (PROJECT / "docs" / "settings.md").read_text("utf-8") == reference()


def test_the_transcript_of_resolve_is_what_it_prints() -> None:
    page = (PROJECT / "docs" / "first-hour.md").read_text("utf-8")
    _, _, block = page.partition("$ skillsengine resolve experiments/job-skills-demo.yaml --where --set train.seed=7\n")
    loaded = load_spec(PROJECT / "experiments" / "job-skills-demo.yaml", overrides=["train.seed=7"])
    printed = [body + comment for body, comment in resolve.lines(loaded, where=True)]
    told = block.partition("```")[0].splitlines()
    assert len(told) > 3
    assert [line for line in told if line not in printed] == []


def test_the_transcript_of_a_misspelt_key_is_what_validate_says(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "first-hour.md").read_text("utf-8")
    _, _, block = page.partition("$ skillsengine validate experiments/job-skills-demo.yaml\n")
    spec = tmp_path / "experiments" / "job-skills-demo.yaml"
    spec.parent.mkdir()
    good = (PROJECT / "experiments" / spec.name).read_text("utf-8")
    spec.write_text(good.replace("learning_rate", "lerning_rate"), "utf-8")
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    assert block.startswith(str(caught.value))
