from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skillsengine.modeling.answers import render_answer
from skillsengine.modeling.backend import TransformersBackend
from skillsengine.modeling.base import load_base
from skillsengine.modeling.generate import generate
from skillsengine.modeling.recorded import load_recorded
from skillsengine.pipeline.graph import SUBJECTS
from skillsengine.scoring.few_shot import preamble
from skillsengine.scoring.slices import slice_scores
from skillsengine.spec.schema import Base, Evaluate
from skillsengine.stages import evaluate
from skillsengine.stages.contract import Limit, StageError
from skillsengine.stages.row_writer import write_rows
from skillsengine.stages.rows import Row, normalized_key
from skillsengine.stages.splits import signed_texts
from skillsengine.stages.trained_on import write_trained_on
from skillsengine.stages.unseen import sample
from skillsengine.storage.artifact import Artifact
from tests.stages.finetuned import BASE, TEMPLATE, make_finetuned
from tests.stages.formatted import ad_text, formatted, row
from tests.stages.golden_files import check_golden
from tests.stages.support import Surroundings, as_artifact, config_for, experiment

INTERVAL = re.compile("_(low|high)$")
ADS = {
    "nurse": ("A nurse with wound care and Spanish.", ("wound care", "Spanish")),
    "welder": ("A welder: TIG welding, SQL and wound care.", ("TIG welding", "SQL")),
    "clerk": ("Free parking, paid breaks.", ()),
    "unknown": ("A developer who knows SQL.", None),
}


def ad(name: str) -> Row:
    text, skills = ADS[name]
    return Row(name, text, skills, normalized_key(text), "test")


def partition(folder: Path, rows: list[Row], key: str = "2026-06") -> Artifact:
    folder.mkdir(parents=True)
    write_rows(folder, rows)
    artifact = as_artifact(
        folder, "format", {"rows": len(rows), "splits": sorted({row.split for row in rows if row.split})}
    )
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
        "words": 8,
        "gold": ["TIG welding", "SQL"],
        "predicted": ["SQL", "wound care"],
        "raw": '["SQL", "wound care"]',
        "parsed": True,
    }
    assert [row["gold"] for row in predictions] == [["wound care", "Spanish"], ["TIG welding", "SQL"], [], None]
    for metric in ("precision", "recall", "f1"):
        assert summary[f"{metric}_low"] <= summary[metric] <= summary[f"{metric}_high"]
    assert summary["f1_low"] < summary["f1_high"]
    # Counted by hand: nurse finds one of two skills, welder one of two with one invented, the clerk's ad has none.
    assert {k: v for k, v in {**summary, "seconds": 0}.items() if k != "slices" and not INTERVAL.search(k)} == {
        "subject": "lexicon",
        "partition": "2026-06",
        "rows": 4,
        "labelled": True,
        "labelled_rows": 3,
        "excluded_trained_on": 0,
        "excluded_near_copies": 0,
        "skills_per_ad": 1.0,
        "gold_skills": 4,
        "predicted_skills": 3,
        "true_positives": 2,
        "precision": 2 / 3,
        "recall": 0.5,
        "f1": 4 / 7,
        "overlap_precision": 3 / 5,
        "overlap_recall": 3 / 6,
        "overlap_f1": 6 / 11,
        "fuzzy_precision": 2 / 3,
        "fuzzy_recall": 0.5,
        "fuzzy_f1": 4 / 7,
        "macro_precision": 0.75,
        "macro_recall": 0.5,
        "macro_f1": pytest.approx((2 / 3 + 1 / 2) / 2),
        "empty_ads": 1,
        "empty_ads_hit": 0,
        "false_positives_on_empty": 0,
        "false_positive_ads": 0.0,
        "false_positives_per_empty_ad": 0.0,
        "missed": 2,
        "invented": 1,
        "boundary": 0,
        "verbatim_rate": 1.0,
        "parse_rate": 1.0,
        "seconds": 0,
    }
    assert around.tracker.values == summary
    assert around.tracker.tables["predictions"][:2] == [
        ["id", "text", "gold", "predicted", "missed", "invented", "raw", "parsed"],
        ["nurse", ADS["nurse"][0], "wound care, Spanish", "wound care", "Spanish", "", '["wound care"]', True],
    ]
    assert around.tracker.tables["predictions"][4][4:6] == [None, None], "nobody knows what is missed without labels"


def test_errors_and_slices_stand_beside_the_predictions(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path, lexicon=["wound care", "SQL", "TIG"])
    long = Row("long", "SQL " * 501, ("SQL",), "f" * 16, "test")
    summary, predictions, _ = run("lexicon", tmp_path, [*(ad(name) for name in ADS), long], finetuned)
    out = tmp_path / "out-0"
    assert [json.loads(line) for line in (out / "errors.jsonl").read_text().splitlines()] == [
        {"id": "nurse", "key": ad("nurse").key, "missed": ["Spanish"], "invented": [], "boundary": []},
        {
            "id": "welder",
            "key": ad("welder").key,
            "missed": ["TIG welding"],
            "invented": ["TIG", "wound care"],
            "boundary": [["TIG welding", "TIG"]],
        },
    ]
    assert (summary["missed"], summary["invented"], summary["boundary"]) == (2, 2, 1)
    slices = json.loads((out / "slices.json").read_text())
    assert slices == slice_scores(predictions)
    assert {name: part["ads"] for name, part in slices.items()} == {"length=short": 3, "length=long": 1}
    assert summary["slices"]["length=short"] == {
        name: round(slices["length=short"][name], 4) for name in ("ads", "gold_skills", "f1", "f1_low", "f1_high")
    }


def test_spans_and_fields_of_the_rows_are_scored_and_kept(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path, lexicon=["wound care", "SQL"])
    nurse, welder = ad("nurse"), ad("welder")
    # Of two ads "wound care" and "SQL" are found; the spans of the second ad hold "TIG welding" and "SQL".
    spans = {"nurse": ((13, 23), (28, 35)), "welder": ((10, 21), (23, 26))}
    rows = [replace(row, spans=spans[row.id], fields={"source": row.id[0]}) for row in (nurse, welder)]
    summary, predictions, _ = run("lexicon", tmp_path, [*rows, ad("clerk")], finetuned)
    assert [row.get("spans") for row in predictions] == [[[13, 23], [28, 35]], [[10, 21], [23, 26]], None]
    assert [row.get("fields") for row in predictions] == [{"source": "n"}, {"source": "w"}, None]
    assert (summary["span_ads"], summary["span_strict_precision"], summary["span_strict_recall"]) == (2, 2 / 3, 0.5)
    assert summary["span_strict_f1_low"] <= summary["span_strict_f1"] <= summary["span_strict_f1_high"]
    assert [name for name in summary["slices"] if "source" in name] == ["source=n", "source=w", "source=none"]
    assert not [name for name in run("lexicon", tmp_path, [nurse], finetuned)[0] if name.startswith("span")]


def test_golden(tmp_path: Path) -> None:
    # What a model writes differs in the last bit between machines; the lexicon, the prompts and the scores do not.
    finetuned = make_finetuned(tmp_path, trained_on=[ad("clerk").key], lexicon=["Wound care", "sql", "TIG"])
    summary, predictions, _ = run("lexicon", tmp_path, [ad(name) for name in ADS], finetuned)
    shots = [(shot.text, render_answer(shot.skills)) for shot in Evaluate().shots]
    outputs = {
        "predictions.jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions),
        "errors.jsonl": (tmp_path / "out-0" / "errors.jsonl").read_text(encoding="utf-8"),
        "slices.json": (tmp_path / "out-0" / "slices.json").read_text(encoding="utf-8"),
        "metrics.json": json.dumps(summary | {"seconds": 0}, indent=1, sort_keys=True) + "\n",
        "few_shot.txt": preamble(TEMPLATE, shots) + ad("nurse").prompt(TEMPLATE) + "\n",
    }
    check_golden("evaluate", evaluate.VERSION, outputs)


def test_the_adapter_answers_as_its_model_does(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    rows = [ad(name) for name in ADS]
    summary, predictions, around = run("adapter", tmp_path, rows, finetuned)
    model = load_recorded(
        finetuned.json("base.json"), finetuned.path / "adapter", "cpu", bases=tmp_path, allowed_roots=(tmp_path,)
    )
    raw = generate(model, [row.prompt(TEMPLATE) for row in rows], max_new_tokens=12, batch_size=2)
    assert [row["raw"] for row in predictions] == raw
    untuned = load_base(Base(model=BASE), "cpu", bases=tmp_path, allowed_roots=(tmp_path,))
    assert raw != generate(untuned, [row.prompt(TEMPLATE) for row in rows], max_new_tokens=12, batch_size=2)
    assert summary["rows"] == 4 and 0 < summary["generated_tokens"] <= 48
    assert {"token_precision", "token_recall", "token_f1", "f1", "tokens_per_second"} <= set(summary)
    progress = [report for report in around.reports if report.metrics]
    assert [report.text.split(" · ")[0] for report in progress] == ["2/4 ads", "4/4 ads"]
    assert (progress[-1].fraction, progress[-1].seconds_left) == (1.0, 0.0)
    assert set(progress[0].metrics) == {"examples_per_second", "tokens_per_second"}


def test_an_adapter_is_asked_by_its_own_template(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path, template="Ad: {text}\nSkills:")
    rows = [ad(name) for name in ADS]
    _, predictions, _ = run("adapter", tmp_path, rows, finetuned)
    record, adapter = finetuned.json("base.json"), finetuned.path / "adapter"
    model = load_recorded(record, adapter, "cpu", bases=tmp_path, allowed_roots=(tmp_path,))
    prompts = [f"Ad: {row.text}\nSkills:" for row in rows]
    assert [row["raw"] for row in predictions] == generate(model, prompts, max_new_tokens=12, batch_size=2)


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
        [before + row.prompt(TEMPLATE) for row in rows],
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


def test_near_copies_of_the_training_are_left_out(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    trained = formatted(tmp_path / "trained", [row(ad_text(1)), row(ad_text(2))])
    keys = signed_texts(trained).keys
    write_trained_on(finetuned.path, [trained], keys)
    rows = [
        row(ad_text(1), ["brave0"], id="exact", split="test"),
        row(ad_text(1, 1), [], id="near", split="test"),
        row(ad_text(2, 2), [], id="near too", split="test"),
        row(ad_text(3), [], id="fresh", split="test"),
        row(ad_text(2, 1), [], id="no test row", split="train"),
    ]
    for subject in ("lexicon", "adapter"):
        for source, partition in (("ads", "static"), ("ads/{partition}.jsonl", "dated")):
            data = {"data": {"source": source}, "schedule": "none"}
            newer = as_artifact(finetuned.path, "finetune", {})
            summary, predictions, _ = run(subject, tmp_path, rows, newer, **data)
            assert [each["id"] for each in predictions] == ["fresh"], partition
            counts = (summary["excluded_trained_on"], summary["excluded_near_copies"])
            assert counts == ((1, 2) if partition == "static" else (1, 3))
    exact = run("lexicon", tmp_path, rows, newer, data={"source": "ads", "split": {"near_copies": 1.0}})[0]
    assert (exact["rows"], exact["excluded_trained_on"], exact["excluded_near_copies"]) == (3, 1, 0)
    # An adapter of VERSION 1 has no signatures.
    (finetuned.path / "trained_on.npy").unlink()
    older = run("lexicon", tmp_path, rows, as_artifact(finetuned.path, "finetune", {}))[0]
    assert (older["rows"], older["excluded_trained_on"], older["excluded_near_copies"]) == (3, 1, 0)
    assert run("base", tmp_path, rows)[0]["excluded_near_copies"] == 0


def test_without_labels_only_the_label_free_rates_are_there(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    for subject in ("lexicon", "adapter"):
        summary, predictions, _ = run(subject, tmp_path, [ad("unknown")], finetuned)
        assert (summary["labelled"], summary["labelled_rows"]) == (False, 0)
        assert {"verbatim_rate", "parse_rate", "skills_per_ad"} <= set(summary)
        assert not {"precision", "recall", "f1", "gold_skills", "token_f1", "missed", "slices"} & set(summary)
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
    rows = [replace(ad(name), split="validation") for name in ADS]
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
    long = Row("long", text, ("wound care",), "f" * 16, "test")
    limit = Limit(rows=10, generated=2, tokens=20, answer=12)
    summary, predictions, _ = run("adapter", tmp_path, [long, ad("nurse"), ad("welder")], finetuned, limit=limit)
    assert summary["rows"] == len(predictions) == 2
    # Longer than the tiny base's context of 512 tokens: it would not be read whole in any case.
    assert run("adapter", tmp_path, [long], finetuned, limit=limit)[0]["generated_tokens"] <= 12


def test_the_sample_is_stable() -> None:
    keys = np.array([int(normalized_key(f"t{number}"), 16) for number in range(200)], np.uint64)
    places = sample(keys, 20, seed=42)
    chosen = set(keys[places].tolist())
    assert len(chosen) == 20 and places.tolist() == sorted(places.tolist())
    assert set(keys[::-1][sample(keys[::-1], 20, seed=42)].tolist()) == chosen  # the order of the file does not matter
    assert set(keys[sample(keys, 20, seed=43)].tolist()) != chosen
    fewer = np.delete(keys, places[0])
    assert set(fewer[sample(fewer, 20, seed=42)].tolist()) >= set(
        keys[places[1:]].tolist()
    )  # one less changes one place
    assert sample(keys, 500, seed=42).tolist() == sample(keys, None, seed=1).tolist() == list(range(200))


def test_max_rows_takes_the_same_rows_for_every_subject(tmp_path: Path) -> None:
    finetuned = make_finetuned(tmp_path)
    rows = [ad(name) for name in ADS]
    taken = [
        [row["id"] for row in run(subject, tmp_path, rows, finetuned, evaluate={"max_rows": 2})[1]]
        for subject in ("adapter", "lexicon", "base")
    ]
    assert len(taken[0]) == 2 and taken[0] == taken[1] == taken[2]


def test_a_lack_of_memory_says_what_to_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(TransformersBackend, "generate", full)
    with pytest.raises(StageError) as caught:
        run("adapter", tmp_path, [ad("nurse")], make_finetuned(tmp_path))
    assert str(caught.value) == (
        "out of memory while answering with evaluate.batch_size: 2: CUDA out of memory. Tried to allocate 2.00 GiB. Lower it "
        "(the answers stay the same), or evaluate.max_new_tokens."
    )


def test_an_unknown_subject_is_refused(tmp_path: Path) -> None:
    config = replace(config_for(SUBJECTS["base"], experiment()), key="oracle")
    with pytest.raises(StageError, match="`oracle` is no subject; it scores adapter, base or lexicon"):
        evaluate.run(config, {}, tmp_path, Surroundings(tmp_path).context)
