"""`errors`, on cells that the stage has made of a lexicon's answers and that stand for a version's."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.graph import SUBJECTS
from skillsengine.settings import load_settings
from skillsengine.stages import evaluate
from skillsengine.stages.row_writer import write_rows
from skillsengine.stages.rows import Row, normalized_key
from skillsengine.storage.artifact import Artifact, Manifest
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.cli.conftest import Command
from tests.stages.support import Surroundings, as_artifact, config_for, experiment

ADAPTER = "ad" * 32
ESCAPE = "\x1b[31m"
ADS = {
    "nurse": ("A nurse with wound care,\n and patience; Excel [basic] helps.", ["wound care", "patience"]),
    "aide": ("Wound care and patience, first aid training.", ["patience", "first aid training"]),
    "clerk": ("Excel reports.", ["Excel reports"]),
    "cook": (f"Knife skills. {ESCAPE}", ["Knife skills"]),
}
LEXICON = ["wound care", "Excel", "first aid"]


def row(name: str, text: str, skills: list[str] | None) -> Row:
    return Row(name, text, None if skills is None else tuple(skills), normalized_key(text), "test")


def put(project: Path, key: str, rows: list[Row], digest: str) -> Artifact:
    """A partition, the lexicon's answers to it and the cell of `ADAPTER`."""
    settings = load_settings(project)
    store, catalog = Store(settings.store_root), Catalog.open(settings.catalog_url)
    data_digest, cell_digest = digest * 32, digest[::-1] * 32
    with store.building("format", data_digest) as out:
        write_rows(out, rows)
        summary = {"rows": len(rows), "splits": ["test"]}
        formatted = store.publish(out, Manifest("format", 1, key, data_digest, {}, {}, summary))
    folder = project / f"finetuned-{digest}"
    folder.mkdir()
    (folder / "lexicon.json").write_text(json.dumps(LEXICON))
    (folder / "trained_on.txt").write_text("")
    inputs = {"format": formatted, "finetune": as_artifact(folder, "finetune", {})}
    config = config_for(SUBJECTS["lexicon"], experiment(), key="lexicon")
    with store.building("evaluate", cell_digest) as out:
        summary = evaluate.run(config, inputs, out, Surroundings(project).context)
        cell = store.publish(out, Manifest("evaluate", evaluate.VERSION, "adapter", cell_digest, {}, {}, summary))
    catalog.put_cell(
        subject=ADAPTER,
        kind="adapter",
        experiment="skills",
        partition=key,
        data_digest=data_digest,
        artifact_digest=cell_digest,
        stage_version=evaluate.VERSION,
        metrics=summary,
        adapter_digest=ADAPTER,
    )
    return cell


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """skills@1, scored on three months, of which the newest has no labels and the oldest was scored last; skills@2, on none."""
    project = tmp_path_factory.mktemp("errors") / "project"
    (project / "experiments").mkdir(parents=True)
    catalog = Catalog.open(load_settings(project).catalog_url)
    for number, adapter in ((1, ADAPTER), (2, "bb" * 32)):
        catalog.allocate_version("skills", adapter, experiment="skills", partition=None, run_id=None, spec={})
        catalog.publish_version("skills", number, "a" * 64, project, {}, {})
    put(project, "2026-06", [row(name, *ad) for name, ad in ADS.items()], "12")
    put(project, "2026-07", [row(name, text, None) for name, (text, _) in ADS.items()], "34")
    put(project, "2026-05", [row("cook", *ADS["cook"])], "56")
    return project


@pytest.fixture
def project(scored: Path, tmp_path: Path) -> Path:
    """A copy: some tests take a part of it away."""
    return Path(shutil.copytree(scored, tmp_path / "project"))


def test_the_most_frequent_first_with_the_skill_marked_in_its_ad(command: Command) -> None:
    said = command("errors", "skills@1")
    assert said.code == 0, said.err
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0].startswith("skills@1 on 2026-06: F1 0.182 (0.000 to ")
    assert lines[1] == "missed 5 of 6 labelled skills, invented 4 of 5 extracted; 2 of both are boundary errors"
    missed = lines.index("missed: labelled, not extracted")
    assert lines[missed + 1] == "2 patience nurse …rse with wound care, and «patience»; Excel [basic] helps."
    assert lines[missed + 2] == "aide Wound care and «patience», first aid training."
    assert "2 Excel nurse …ound care, and patience; «Excel» [basic] helps." in lines
    assert "1 Knife skills cook «Knife skills». \\x1b[31m" in lines, "a terminal obeys nothing of an ad"
    assert "1 Excel reports → Excel clerk «Excel reports»." in lines


def test_one_kind_and_few_of_it(command: Command) -> None:
    said = command("errors", "skills@1", "--partition", "2026-06", "--kind", "missed", "--rows", "1").out
    assert "missed: labelled, not extracted (1 of 4)" in said
    assert "invented:" not in said and "Knife skills" not in said


def test_as_json(command: Command) -> None:
    told: dict[str, Any] = json.loads(command("errors", "skills@1", "--json", "--rows", "2").out)
    assert (told["version"], told["partition"], told["metrics"]["missed"]) == ("skills@1", "2026-06", 5)
    assert told["errors"]["missed"][0] == {"skills": ["patience"], "count": 2, "ads": ["nurse", "aide"]}
    assert {"skills": ["first aid training", "first aid"], "count": 1, "ads": ["aide"]} in told["errors"]["boundary"]
    assert len(told["errors"]["missed"]) == 2


def test_of_ads_that_are_gone_the_names_are_left(command: Command, project: Path) -> None:
    formatted = Store(load_settings(project).store_root).path_of("format", "12" * 32)
    formatted.rename(project / "elsewhere")
    said = command("errors", "skills@1").out
    assert "«" not in said and "nurse" in said
    assert said.endswith("the ads themselves are no longer in the store\n")


def test_what_cannot_be_shown_says_why_and_what_to_do(command: Command, project: Path) -> None:
    for words, text in {
        ("skills@1", "--partition", "2026-04"): "skills@1 has no score on 2026-04: it was scored on 2026-05, 2026-06, "
        "2026-07. "
        "`skillsengine backfill skills` scores what is missing.",
        ("skills@2",): "skills@2 has no score: it was not scored yet. `skillsengine backfill skills`",
        ("skills@1", "--partition", "2026-07"): "the ads that skills@1 was scored on (2026-07) have no labels",
    }.items():
        said = command("errors", *words)
        assert said.code == 1 and text in said.err
    cell = Store(load_settings(project).store_root).get("evaluate", "21" * 32)
    assert cell is not None
    older = replace(cell.manifest, files={k: v for k, v in cell.manifest.files.items() if k != "errors.jsonl"})
    (cell.path / "manifest.json").write_text(older.to_json())
    said = command("errors", "skills@1")
    assert "skills@1 on 2026-06: its evaluation was made before lists of errors were kept" in said.err
    assert "`skillsengine backfill skills --versions 1`" in said.err
