from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skillsengine.modeling.answers import render_answer
from skillsengine.modeling.base import load_base
from skillsengine.modeling.generate import generate
from skillsengine.modeling.recorded import load_recorded
from skillsengine.pipeline.graph import SUBJECTS
from skillsengine.scoring.few_shot import preamble
from skillsengine.spec.schema import Base, Evaluate
from skillsengine.stages import evaluate
from skillsengine.stages.contract import Limit, StageError
from skillsengine.stages.evaluate import sample
from skillsengine.stages.rows import Row, normalized_key, write_rows
from skillsengine.storage.artifact import Artifact
from tests.stages.finetuned import BASE, TEMPLATE, make_finetuned
from tests.stages.golden_files import check_golden
from tests.stages.support import Surroundings, as_artifact, config_for, experiment

ADS = {
    "nurse": ("A nurse with wound care and Spanish.", ("wound care", "Spanish")),
    "welder": ("A welder: TIG welding, SQL and wound care.", ("TIG welding", "SQL")),
    "clerk": ("Free parking, paid breaks.", ()),
    "unknown": ("A developer who knows SQL.", None),
}


def ad(name: str, template: str = TEMPLATE) -> Row:
    text, skills = ADS[name]
    answer = None if skills is None else render_answer(skills)
    return Row(name, text, skills, template.replace("{text}", text), answer, normalized_key(text), "test")


def partition(folder: Path, rows: list[Row], key: str = "2026-06") -> Artifact:
    folder.mkdir(parents=True)
    write_rows(folder / "rows.jsonl", rows)
    artifact = as_artifact(folder, "format", {"rows": len(rows)})
    return replace(artifact, manifest=replace(artifact.manifest, key=key))


def run(
    subject: str,
    folder: Path,
    rows: list[Row],
    finetuned: Artifact | None = None,
    *,
    limit: Limit | None = None,
    **sections: Any,
) -> tuple[dict[str, Any], list[dict[str, Any]], Surroundings]:
    """(summary, predictions, surroundings) of one evaluation inside the project `folder`."""
    sections = {"base": {"model": BASE}, "resources": {"device": "cpu"}, **sections}
    sections["evaluate"] = {"max_new_tokens": 12, "batch_size": 2, **sections.get("evaluate", {})}
    config = config_for(SUBJECTS[subject], experiment(**sections), key=subject, limit=limit)
    around = Surroundings(folder)
    number = len(list(folder.glob("formatted-*")))
    inputs = {"format": partition(folder / f"formatted-{number}", rows)}
    if finetuned is not None:
        inputs["finetune"] = finetuned
    out = folder / f"out-{number}"
    out.mkdir()
    summary = evaluate.run(config, inputs, out, around.context)
    assert json.loads((out / "metrics.json").read_text()) == summary
    predictions = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    return summary, predictions, around


def test_the_lexicon_is_scored_without_a_model(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    summary, predictions, around = run("lexicon", tmp_path, [ad(name) for name in ADS], finetuned)
    assert predictions[1] == {
        "id": "welder",
        "key": ad("welder").key,
        "gold": ["TIG welding", "SQL"],
        "predicted": ["SQL", "wound care"],
        "raw": '["SQL", "wound care"]',
        "parsed": True,
    }
    assert [row["gold"] for row in predictions] == [["wound care", "Spanish"], ["TIG welding", "SQL"], [], None]
    assert {**summary, "seconds": 0} == {
        "subject": "lexicon",
        "partition": "2026-06",
        "rows": 4,
        "labelled_rows": 3,
        "excluded_trained_on": 0,
        "gold_skills": 4,
        "predicted_skills": 3,
        "true_positives": 2,
        "precision": 2 / 3,
        "recall": 0.5,
        "f1": 4 / 7,
        "verbatim_rate": 1.0,
        "parse_rate": 1.0,
        "seconds": 0,
    }
    assert around.tracker.values == summary
    assert around.tracker.tables["predictions"][:2] == [
        ["id", "text", "gold", "predicted", "raw", "parsed"],
        ["nurse", ADS["nurse"][0], "wound care, Spanish", "wound care", '["wound care"]', True],
    ]


def test_golden(tmp_path: Path) -> None:
    # What a model writes differs in the last bit between machines; the lexicon, the prompts and the scores do not.
    finetuned = make_finetuned(tmp_path, trained_on=[ad("clerk").key], lexicon=["Wound care", "sql", "TIG"])
    summary, predictions, _ = run("lexicon", tmp_path, [ad(name) for name in ADS], finetuned)
    shots = [(shot.text, render_answer(shot.skills)) for shot in Evaluate().shots]
    outputs = {
        "predictions.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions),
        "metrics.json": json.dumps(summary | {"seconds": 0}, indent=1, sort_keys=True) + "\n",
        "few_shot.txt": preamble(TEMPLATE, shots) + ad("nurse").prompt + "\n",
    }
    check_golden("evaluate", evaluate.VERSION, outputs)


def test_the_adapter_answers_as_its_model_does(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    rows = [ad(name) for name in ADS]
    summary, predictions, around = run("adapter", tmp_path, rows, finetuned)
    model = load_recorded(
        finetuned.json("base.json"), finetuned.path / "adapter", "cpu", bases=tmp_path, allowed_roots=(tmp_path,)
    )
    raw = generate(model, [row.prompt for row in rows], max_new_tokens=12, batch_size=2)
    assert [row["raw"] for row in predictions] == raw
    untuned = load_base(Base(model=BASE), "cpu", bases=tmp_path, allowed_roots=(tmp_path,))
    assert raw != generate(untuned, [row.prompt for row in rows], max_new_tokens=12, batch_size=2)
    assert summary["rows"] == 4 and 0 < summary["generated_tokens"] <= 48
    assert {"token_precision", "token_recall", "token_f1", "f1", "tokens_per_second"} <= set(summary)
    progress = [report for report in around.reports if report.metrics]
    assert [report.text.split(" · ")[0] for report in progress] == ["2/4 ads", "4/4 ads"]
    assert (progress[-1].fraction, progress[-1].seconds_left) == (1.0, 0.0)
    assert set(progress[0].metrics) == {"examples_per_second", "tokens_per_second"}


def test_an_adapter_is_asked_by_its_own_template(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path, template="Ad: {text}\nSkills:")
    other = [ad(name) for name in ADS]
    own = [ad(name, "Ad: {text}\nSkills:") for name in ADS]
    assert run("adapter", tmp_path, other, finetuned)[1] == run("adapter", tmp_path, own, finetuned)[1]


def test_the_base_sees_the_worked_examples_and_is_cut_at_the_next_ad(tmp_path: Path) -> None:
    make_finetuned(tmp_path)
    rows = [ad("nurse"), ad("clerk")]
    shots = [{"text": "A cook with knife skills.", "skills": ["knife skills"]}, {"text": "Nice view.", "skills": []}]
    summary, predictions, _ = run("base", tmp_path, rows, evaluate={"shots": shots})
    model = load_base(Base(model=BASE), "cpu", bases=tmp_path, allowed_roots=(tmp_path,))
    before = preamble(TEMPLATE, [("A cook with knife skills.", ' ["knife skills"]'), ("Nice view.", " []")])
    assert before.startswith('### Job Description: A cook with knife skills.\n### Skills: ["knife skills"]\n\n###')
    raw = generate(
        model,
        [before + row.prompt for row in rows],
        max_new_tokens=12,
        batch_size=2,
        stop=("\n\n", "###", "\n### Job Description:"),
    )
    assert [row["raw"] for row in predictions] == raw
    assert not [text for text in raw if "###" in text]
    assert "token_f1" in summary and summary["excluded_trained_on"] == 0


def test_rows_of_the_training_are_left_out_for_all_but_the_base(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path, trained_on=[ad("nurse").key, ad("unknown").key, "0" * 16])
    rows = [ad(name) for name in ADS]
    for subject in ("lexicon", "adapter"):
        summary, predictions, _ = run(subject, tmp_path, rows, finetuned)
        assert [row["id"] for row in predictions] == ["welder", "clerk"]
        assert (summary["rows"], summary["excluded_trained_on"]) == (2, 2)
    assert run("base", tmp_path, rows)[0]["rows"] == 4


def test_without_labels_only_the_label_free_rates_are_there(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    for subject in ("lexicon", "adapter"):
        summary, predictions, _ = run(subject, tmp_path, [ad("unknown")], finetuned)
        assert summary["labelled_rows"] == 0 and {"verbatim_rate", "parse_rate"} <= set(summary)
        assert not {"precision", "recall", "f1", "gold_skills", "token_f1"} & set(summary)
        assert predictions[0]["gold"] is None


def test_where_every_row_was_trained_on_it_says_so(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path, trained_on=[ad(name).key for name in ADS])
    with pytest.raises(
        StageError,
        match=r"evaluate\[adapter\]: no row to score in partition 2026-06: all of its 4 test rows stand in the adapter's "
        r"training data.*partition outside of its training window",
    ):
        run("adapter", tmp_path, [ad(name) for name in ADS], finetuned)


def test_a_source_without_test_rows_is_named_with_the_mend(tmp_path: Path) -> None:
    rows = [replace(ad(name), split="train") for name in ADS]
    with pytest.raises(
        StageError,
        match=r"no row to score in partition 2026-06: none of its 4 rows is a test row.*data\.split\.test.*0\.1",
    ):
        run("base", tmp_path, rows)


def test_a_base_that_changed_since_the_training_is_refused(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    record = finetuned.json("base.json")
    (finetuned.path / "base.json").write_text(json.dumps(record | {"weights_sha256": "0" * 64}))
    with pytest.raises(StageError, match=r"base.model: `models/tiny` has changed .*train again"):
        run("adapter", tmp_path, [ad("nurse")], finetuned)


def test_a_base_that_is_gone_is_named_with_the_mend(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    (tmp_path / BASE).rename(tmp_path / "elsewhere")
    with pytest.raises(StageError, match=r"local folder `models/tiny`, which is in none of .*SKILLSENGINE_DATA_ROOTS"):
        run("adapter", tmp_path, [ad("nurse")], finetuned)


def test_the_smoke_test_scores_few_short_ads(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    text = "A nurse with wound care. " * 200
    long = Row("long", text, ("wound care",), TEMPLATE.replace("{text}", text), ' ["wound care"]', "f" * 16, "test")
    limit = Limit(rows=10, generated=2, tokens=20)
    summary, predictions, _ = run("adapter", tmp_path, [long, ad("nurse"), ad("welder")], finetuned, limit=limit)
    assert summary["rows"] == len(predictions) == 2
    # Longer than the tiny base's context of 512 tokens: it would not be read whole in any case.
    assert run("adapter", tmp_path, [long], finetuned, limit=limit)[0]["generated_tokens"] <= 20


def test_the_sample_is_stable() -> None:
    rows = [Row(str(i), f"t{i}", (), "", None, normalized_key(f"t{i}")) for i in range(200)]
    chosen = sample(rows, 20, seed=42)
    assert len(chosen) == 20 and [row.id for row in chosen] == sorted((row.id for row in chosen), key=int)
    assert sample(rows[::-1], 20, seed=42)[::-1] == chosen  # the order of the file does not matter
    assert sample(rows, 20, seed=43) != chosen
    fewer = [row for row in rows if row.id != chosen[0].id]
    assert set(sample(fewer, 20, seed=42)) >= set(chosen[1:])  # one row less changes one place
    assert sample(rows, 500, seed=42) == sample(rows, None, seed=1) == rows


def test_max_rows_takes_the_same_rows_for_every_subject(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    rows = [ad(name) for name in ADS]
    taken = [
        [row["id"] for row in run(subject, tmp_path, rows, finetuned, evaluate={"max_rows": 2})[1]]
        for subject in ("adapter", "lexicon", "base")
    ]
    assert len(taken[0]) == 2 and taken[0] == taken[1] == taken[2]


def test_an_unknown_subject_is_refused(tmp_path: Path) -> None:
    config = replace(config_for(SUBJECTS["base"], experiment()), key="oracle")
    with pytest.raises(StageError, match="`oracle` is no subject; it scores adapter, base or lexicon"):
        evaluate.run(config, {}, tmp_path, Surroundings(tmp_path).context)
