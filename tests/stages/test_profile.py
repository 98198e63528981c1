"""profile: the lengths are those that training sees, and max_length follows the spec."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.modeling.base import load_tokenizer
from skillsengine.modeling.encoding import encode
from skillsengine.pipeline.graph import PROFILE
from skillsengine.spec.schema import Base, Experiment, Tokens
from skillsengine.stages import profile as stage
from skillsengine.stages.contract import Limit, StageError, Summary
from skillsengine.stages.overlong import Fitter
from skillsengine.stages.row_writer import write_rows
from skillsengine.stages.rows import Row, normalized_key
from skillsengine.stages.splits import TRAIN, VALIDATION, training_rows
from skillsengine.storage.artifact import Artifact
from tests.stages.golden_files import check_golden
from tests.stages.support import Surroundings, as_artifact, config_for, experiment
from tests.tiny import make_tiny_base

CONTEXT = 512
WORDS = (
    "wound care",
    "first aid",
    "Spanish",
    "TIG welding",
    "reading",
    "blueprints",
    "Python",
    "SQL",
    "Docker",
    "budget",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny base in `base`."""
    folder = tmp_path_factory.mktemp("profile")
    make_tiny_base(folder / "base", context=CONTEXT)
    return folder


def make_row(number: int, *, words: int, labelled: bool = True, split: str | None = None) -> Row:
    random = Random(number)  # not in turn: long ads would be near copies of each other
    text = " ".join([f"Ad {number}:", *random.choices(WORDS, k=words)])
    skills = ("first aid",) if "first aid" in text else ()
    return Row(f"r{number}", text, skills if labelled else None, normalized_key(text), split)


def formatted(folder: Path, rows: list[Row], **config: Any) -> Artifact:
    folder.mkdir()
    write_rows(folder, rows)
    splits = ["train", "validation", "test"] if any(row.split for row in rows) else []
    return as_artifact(folder, "format", {"splits": splits}, **config)


def spec_of(**sections: Any) -> Experiment:
    return experiment(
        base={"model": "base"}, **{"data": {"source": "ads/{partition}.jsonl"}, "schedule": "none"} | sections
    )


def profiled(
    home: Path, tmp_path: Path, spec: Experiment, *artifacts: Artifact, limit: Limit | None = None
) -> tuple[Summary, Any, Surroundings]:
    out = tmp_path / "out"
    out.mkdir()
    around = Surroundings(home)
    inputs = {f"format[{number}]": artifact for number, artifact in enumerate(artifacts)}
    summary = stage.run(config_for(PROFILE, spec, limit=limit), inputs, out, around.context)
    assert sorted(path.name for path in out.iterdir()) == ["lengths.json", "lengths.png"]
    assert around.tracker.images == {"lengths": out / "lengths.png"}
    columns, *bins = around.tracker.tables["token_lengths"]
    assert columns == ["tokens_from", "tokens_below", "train", "validation", "within_max_length"]
    assert sum(row[2] + row[3] for row in bins) == summary["rows"]
    assert [row[4] for row in bins] == [row[1] - 1 <= summary["max_length"] for row in bins]
    return summary, json.loads((out / "lengths.json").read_text()), around


def test_golden(home: Path, tmp_path: Path) -> None:
    rows = [make_row(number, words=5 + number * 3 % 37) for number in range(60)]
    summary, lengths, _ = profiled(home, tmp_path, spec_of(), formatted(tmp_path / "f", rows))
    outputs = {
        "lengths.json": json.dumps(lengths, indent=1) + "\n",
        "summary.json": json.dumps(summary, indent=1) + "\n",
    }
    check_golden("profile", stage.VERSION, outputs)


def test_lengths_are_those_of_training_to_the_token(home: Path, tmp_path: Path) -> None:
    months = [[make_row(month * 100 + n, words=4 + n) for n in range(20)] for month in range(2)]
    artifacts = [formatted(tmp_path / f"f{month}", rows) for month, rows in enumerate(months)]
    spec = spec_of()
    summary, lengths, around = profiled(home, tmp_path, spec, *artifacts)

    tokenizer = load_tokenizer(Base(model="base"), bases=home, allowed_roots=(home,))
    parts = list(training_rows(artifacts, spec.data.split, dated=True))
    train, validation = ([row for part, row in parts if part == which] for which in (TRAIN, VALIDATION))
    of = {
        name: [len(encode(row.prompt(spec.prompt.template), row.answer or "", tokenizer, None)) for row in rows]
        for name, rows in (("train", train), ("validation", validation), ("all", train + validation))
    }
    assert validation, "the hash of these texts holds some out"
    for name, expected in of.items():
        assert lengths[name]["count"] == len(expected)
        assert lengths[name]["max"] == max(expected)
        assert lengths[name]["tokens"] == sum(expected)
    assert summary["longest"] == max(of["all"])
    assert (summary["train_rows"], summary["validation_rows"], summary["rows"]) == (len(train), len(validation), 40)
    assert summary["context_length"] == CONTEXT
    assert around.reports[-1].text == "40 of 40 rows measured"


def test_auto_takes_the_percentile_and_counts_what_is_cut(home: Path, tmp_path: Path) -> None:
    rows = [make_row(number, words=6) for number in range(98)] + [make_row(number, words=40) for number in (98, 99)]
    spec = spec_of(tokens={"length_percentile": 98})
    summary, lengths, _ = profiled(home, tmp_path, spec, formatted(tmp_path / "f", rows))
    short = lengths["all"]["percentiles"]["95"]
    assert short <= summary["max_length"] < short + 8 and summary["max_length"] % 8 == 0
    assert (summary["rows_cut"], summary["share_cut"]) == (2, 0.02)
    assert summary["tokens"] < lengths["all"]["tokens"]


def test_overlong_rows_are_split_or_dropped_and_counted(home: Path, tmp_path: Path) -> None:
    short = [make_row(number, words=6, split="train") for number in range(5)]
    long = "You know first aid. " + "We are here. " * 30 + "first aid again"
    rows = [*short, Row("long", long, ("first aid",), normalized_key(long), "validation")]
    artifact = formatted(tmp_path / "f", rows)
    seen = {}
    for overlong in ("cut", "split", "drop"):
        (tmp_path / overlong).mkdir()
        spec = spec_of(tokens={"max_length": 150, "overlong": overlong})
        seen[overlong], lengths, _ = profiled(home, tmp_path / overlong, spec, artifact)
        assert lengths["all"]["count"] == seen[overlong]["rows"] == 6, "the picture is of the rows as they are"
    names = ("rows_cut", "rows_split", "parts", "rows_dropped")
    counts = {overlong: tuple(summary[name] for name in names) for overlong, summary in seen.items()}
    assert counts["cut"] == (1, 0, 0, 0) and counts["drop"] == (0, 0, 0, 1)
    assert counts["split"][:2] == (0, 1) and counts["split"][2] > 2
    assert seen["drop"]["tokens"] == seen["cut"]["tokens"] - 150
    assert seen["split"]["tokens"] > seen["cut"]["tokens"]


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"overlong": "cut"}, "none of 9 rows cut"),
        ({"overlong": "cut", "rows_cut": 2}, "2 of 9 rows cut"),
        ({"overlong": "drop", "rows_dropped": 2}, "2 of 9 rows dropped"),
        ({"overlong": "split", "rows_split": 2, "parts": 5}, "2 of 9 rows split into 5"),
        (
            {"overlong": "split", "rows_split": 2, "parts": 5, "rows_cut": 1},
            "2 of 9 rows split into 5, too long sentences cut: 1",
        ),
        ({"overlong": "split"}, "none of 9 rows cut"),
    ],
)
def test_the_picture_says_what_became_of_longer_rows(home: Path, counts: dict[str, Any], told: str) -> None:
    tokenizer = load_tokenizer(Base(model="base"), bases=home, allowed_roots=(home,))
    fitter = Fitter("{text}", tokenizer, 16, **{name: counts[name] for name in counts})
    assert stage._longer(fitter, 9) == told


@given(st.lists(st.integers(3, 3000), min_size=1, max_size=30), st.floats(50, 100), st.integers(16, 2048))
def test_the_chosen_length_stays_in_its_bounds(lengths: list[int], percentile: float, context: int) -> None:
    measured = np.array(lengths, np.int32)
    chosen = stage.choose_max_length(Tokens(length_percentile=percentile), measured, context, "base")
    assert 16 <= chosen <= context
    assert chosen <= max(16, -(-max(lengths) // 8) * 8)
    assert chosen % 8 == 0 or chosen == context
    longer = sum(length > chosen for length in lengths)
    assert chosen == context or longer <= len(lengths) * (100 - percentile) / 100 + 1e-6


def test_a_fixed_length_is_taken_as_it_is(home: Path, tmp_path: Path) -> None:
    spec = spec_of(tokens={"max_length": 100})
    summary, _, _ = profiled(home, tmp_path, spec, formatted(tmp_path / "f", [make_row(1, words=3, split="train")]))
    assert summary["max_length"] == 100
    assert summary["rows_cut"] == 0


def test_a_fixed_length_over_the_context_is_an_error(home: Path, tmp_path: Path) -> None:
    spec = spec_of(tokens={"max_length": 4096})
    artifact = formatted(tmp_path / "f", [make_row(1, words=3, split="train")])
    with pytest.raises(StageError) as caught:
        profiled(home, tmp_path, spec, artifact)
    text = str(caught.value)
    assert text.startswith("tokens.max_length: 4096 tokens are more than the base `base` was made for (512).")
    assert text.endswith("Set it to at most 512, or to `auto`.")


@pytest.mark.parametrize("tokens", [{}, {"max_length": 200}])
def test_the_smoke_test_caps_every_length(home: Path, tmp_path: Path, tokens: dict[str, int]) -> None:
    rows = [make_row(number, words=30 + number) for number in range(5)]
    artifact = formatted(tmp_path / "f", rows)
    summary, lengths, _ = profiled(home, tmp_path, spec_of(tokens=tokens), artifact, limit=Limit(rows=5, tokens=44))
    assert summary["max_length"] == summary["longest"] == lengths["all"]["max"] == 44
    assert summary["rows_cut"] == 5
    assert summary["tokens"] == 5 * 44


def test_unlabelled_rows_are_not_measured(home: Path, tmp_path: Path) -> None:
    rows = [make_row(1, words=5, split="train"), make_row(2, words=200, labelled=False, split="train")]
    summary, lengths, _ = profiled(home, tmp_path, spec_of(), formatted(tmp_path / "f", rows))
    assert summary["rows"] == 1
    assert "validation" not in lengths


def test_without_labels_the_column_to_set_is_named(home: Path, tmp_path: Path) -> None:
    rows = [make_row(number, words=5, labelled=False) for number in range(3)]
    artifact = formatted(tmp_path / "f", rows, **{"data.labels": "tags"})
    with pytest.raises(
        StageError, match=r"no row to train on\. .*3 rows, 0 of them with labels \(column `tags`\)\. Set data"
    ):
        profiled(home, tmp_path, spec_of(), artifact)


def test_without_training_rows_the_split_is_named(home: Path, tmp_path: Path) -> None:
    rows = [make_row(1, words=5, split="validation"), make_row(2, words=5, split="test")]
    spec = spec_of(data={"source": "ads"})
    with pytest.raises(StageError, match=r"2 of them with labels, 1 held out for validation, .* set data\.split"):
        profiled(home, tmp_path, spec, formatted(tmp_path / "f", rows))


def test_a_base_that_is_none_is_an_error_for_good(home: Path, tmp_path: Path) -> None:
    spec = experiment(base={"model": "./nowhere"})
    with pytest.raises(StageError, match=r"base\.model: `\./nowhere`: .* does not exist"):
        profiled(home, tmp_path, spec, formatted(tmp_path / "f", [make_row(1, words=5, split="train")]))
