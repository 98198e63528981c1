"""The drafted file: it loads, says what was guessed, and is fit to be edited."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from skillsengine.draft.guess import Options
from skillsengine.draft.make import Made, make_draft
from skillsengine.draft.spec_text import answer_room
from skillsengine.draft.yaml_lines import WIDTH
from skillsengine.settings import Settings, load_settings
from skillsengine.spec.load import load_spec
from tests.conftest import PROJECT
from tests.draft.support import ads
from tests.spec.test_json_schema import data_of

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(PROJECT / "experiments" / "_base", tmp_path / "experiments" / "_base")
    return load_settings(tmp_path)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def draft(settings: Settings, data: str, base: str | None = None, **options: str) -> Made:
    return make_draft("mine", data, Options(**options), settings, folder=settings.project, now=NOW, base=base)


def dated(count: int) -> list[dict[str, Any]]:
    """Two ads a day on end, the last ones of yesterday."""
    first = date(2026, 11, 19).toordinal() - count // 2
    return [
        {**row, "posted": date.fromordinal(first + number // 2).isoformat()} for number, row in enumerate(ads(count))
    ]


def test_a_static_source(settings: Settings) -> None:
    write(settings.project / "data" / "ads.jsonl", ads(200))
    made = draft(settings, "data/ads.jsonl")
    experiment = made.loaded.experiment
    assert (experiment.name, experiment.effective_schedule, experiment.paused) == ("mine", "none", False)
    assert (experiment.data.source, experiment.data.text, experiment.data.labels) == (
        "data/ads.jsonl",
        "text",
        "skills",
    )
    assert (experiment.base.quantization, experiment.resources.device) == ("none", "cpu")
    assert experiment.train.learning_rate == 1e-3
    assert "LOOK AT THIS" not in made.text
    assert made.text.startswith(
        "# Drafted by `skillsengine new` on 2026-11-20 from all 200 rows of data/ads.jsonl. The comments"
    )


@pytest.mark.parametrize("base", [None, "meta-llama/Llama-2-13b-hf"])
@pytest.mark.parametrize("rows", [ads(200), dated(600)], ids=["static", "dated"])
def test_an_editor_checks_it_where_the_project_has_the_schema(
    settings: Settings, rows: list[dict[str, Any]], base: str | None
) -> None:
    write(settings.project / "ads.jsonl", rows)
    assert "yaml-language-server" not in draft(settings, "ads.jsonl", base).text
    shutil.copytree(PROJECT / "schema", settings.project / "schema")
    made = draft(settings, "ads.jsonl", base)
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", made.text)
    assert named is not None
    schema = json.loads((settings.experiments / named[1]).read_text(encoding="utf-8"))
    errors = Draft202012Validator(schema).iter_errors(data_of(made.text))
    assert [error.message for error in errors] == []


def test_lines_that_are_switched_off_may_be_switched_on(settings: Settings) -> None:
    write(settings.project / "ads.jsonl", ads(200))
    text = draft(settings, "ads.jsonl").text
    cron = re.sub(r"^schedule: none.*\n", "", text, flags=re.M)
    cron = re.sub(r"^# (schedule|start_date)", r"\1", cron, flags=re.M)
    path = settings.experiments / "mine.yaml"
    path.write_text(cron)
    assert load_spec(path).experiment.schedule == "0 3 * * 1"
    assert load_spec(path).experiment.start_date == date(2026, 11, 20)


def test_a_date_column_makes_it_dated_and_paused(settings: Settings) -> None:
    write(settings.project / "ads.jsonl", dated(600))
    made = draft(settings, "ads.jsonl")
    experiment = made.loaded.experiment
    assert (experiment.data.date_column, experiment.data.period, experiment.schedule) == (
        "posted",
        "month",
        "partition",
    )
    assert experiment.paused
    assert made.draft.history is not None
    # 300 days before 19 November: January to October, of which nine lie before the newest.
    assert experiment.data.window == made.draft.history.window == 6
    assert experiment.start_date == date(2026, 2, 1)


def test_a_short_history_has_a_short_window(settings: Settings) -> None:
    for key in ("2026-07", "2026-08", "2026-09"):
        write(settings.project / "ads" / f"{key}.jsonl", ads(20))
    made = draft(settings, "ads")
    assert made.loaded.experiment.data.source == "ads/{partition}.jsonl"
    assert made.loaded.experiment.data.window == 2
    assert "a run trains on so many months before its own, and is tested on its own (2 is all there is)" in made.text


def test_a_doubt_stands_at_the_top(settings: Settings) -> None:
    write(settings.project / "ads" / "2026-10.jsonl", ads(20))
    write(settings.project / "ads" / "2026-11.jsonl", ads(20))
    text = draft(settings, "ads").text
    assert text.index("# LOOK AT THIS: only one month is over (2026-10)") < text.index("name: mine")


def test_few_ads_get_a_larger_share_for_the_test(settings: Settings) -> None:
    for start in range(100):  # until a hash leaves no test at the usual share
        write(settings.project / "ads.jsonl", ads(100)[start : start + 8])
        made = draft(settings, "ads.jsonl")
        if made.draft.shares.why:
            break
    assert made.loaded.experiment.data.split.test == made.draft.shares.test > 0.1
    assert "a smaller share would leave none for the test" in made.text


def test_no_labels(settings: Settings) -> None:
    write(settings.project / "ads.jsonl", ads(60, skills=False))
    made = draft(settings, "ads.jsonl")
    assert "LOOK AT THIS: no column looks like the skills of an ad" in made.text
    assert "  # labels: skills " in made.text
    assert "max_new_tokens" not in made.text


def test_llama_2_says_only_what_its_shared_spec_does_not(settings: Settings) -> None:
    write(settings.project / "ads.jsonl", ads(200))
    made = draft(settings, "ads.jsonl", base="meta-llama/Llama-2-7b-hf")
    experiment = made.loaded.experiment
    assert (experiment.base.model, experiment.base.quantization) == ("meta-llama/Llama-2-7b-hf", "nf4")
    assert (experiment.resources.device, experiment.resources.queue, experiment.lora.r) == ("cuda", "gpu", 32)
    assert experiment.train.learning_rate == 2e-4
    assert not re.search(r"^(lora|train|resources):", made.text, flags=re.M)


def test_another_large_base(settings: Settings) -> None:
    write(settings.project / "ads.jsonl", ads(200))
    experiment = draft(settings, "ads.jsonl", base="Qwen/Qwen2.5-7B").loaded.experiment
    assert (experiment.base.quantization, experiment.resources.device, experiment.resources.queue) == (
        "nf4",
        "cuda",
        "gpu",
    )
    assert experiment.train.learning_rate == 2e-4


NAMES = [
    "ad: text",
    "# skills",
    "${oc.env:HOME}",
    "yes",
    "datum\u2028x",
    "a\\b",
    'say "so"',
    "- x",
    "Ausschreibung (Text)",
]


@pytest.mark.parametrize("name", NAMES)
def test_columns_may_be_called_anything(name: str, settings: Settings) -> None:
    rows = [{name: row["text"], f"{name} 2": row["skills"]} for row in ads(60)]
    write(settings.project / "ads.jsonl", rows)
    data = draft(settings, "ads.jsonl", text=name, labels=f"{name} 2").loaded.experiment.data
    assert (data.text, data.labels) == (name, f"{name} 2")


@pytest.mark.parametrize("folder", ["a b", "Ünï", "x #1", "it's", "${x}", "{a}"])
def test_data_may_lie_anywhere(folder: str, settings: Settings) -> None:
    write(settings.project / folder / "ads.jsonl", ads(60))
    assert draft(settings, f"{folder}/ads.jsonl").loaded.experiment.data.source == f"{folder}/ads.jsonl"


def test_the_file_is_well_formed(settings: Settings) -> None:
    write(settings.project / "ads.jsonl", dated(600))
    text = draft(settings, "ads.jsonl").text
    assert text.endswith("\n")
    assert "\n\n\n" not in text
    for line in text.splitlines():
        assert len(line) <= WIDTH
        assert line == line.rstrip()
    for part in text.split("\n\n"):
        beside = [match for line in part.splitlines() if (match := re.match(r"\s*\w+: .*?\s+# ", line))]
        assert len({match.end() for match in beside}) <= 1, part


@pytest.mark.parametrize(("characters", "tokens"), [(0, 64), (192, 64), (193, 96), (900, 320), (10_000, 1024)])
def test_room_for_an_answer(characters: int, tokens: int) -> None:
    assert answer_room(characters) == tokens
