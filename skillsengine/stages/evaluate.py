"""evaluate: one subject (adapter, untuned base, lexicon) extracts the skills of one partition's test rows, and is
scored.

Files: predictions.jsonl ({"id", "key", "words", "gold": [..] | null, "predicted": [..], "raw", "parsed"}, one a row, in the
rows' order, with "spans": [[first, behind the last], ..] where the labels carry offsets, and "fields": {..} where columns are
kept); errors.jsonl ({"id", "key", "missed": [..], "invented": [..], "boundary": [[gold, predicted], ..]}, one for each labelled
ad with errors); slices.json (`scoring.slices`); metrics.json (the summary).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skillsengine.scoring.errors import Errors, error_counts, errors_of
from skillsengine.scoring.intervals import METRICS as WITH_INTERVAL
from skillsengine.scoring.intervals import counts, interval
from skillsengine.scoring.lexicon import Lexicon
from skillsengine.scoring.metrics import parse_rate, set_scores, verbatim_rate
from skillsengine.scoring.places import occurrences
from skillsengine.scoring.predictions import Answer, Answers
from skillsengine.scoring.relaxed import relaxed_scores
from skillsengine.scoring.slices import in_short, slice_scores
from skillsengine.scoring.spans import span_summary
from skillsengine.stages.contract import Progress, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.rows import Row
from skillsengine.stages.unseen import unseen_rows
from skillsengine.storage.artifact import Artifact

VERSION = 5

PREDICTIONS, ERRORS, SLICES, METRICS = "predictions.jsonl", "errors.jsonl", "slices.json", "metrics.json"
LEXICON = "lexicon.json"
_TABLE_ROWS = 50


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Score `config.key` on the partition `inputs["format"]`; `adapter` and `lexicon` are of `inputs["finetune"]`,
    whose texts `inputs["profile"]` has measured. Returns

    {"subject", "partition", "rows", "labelled", "labelled_rows", "excluded_trained_on", "excluded_near_copies",
    "skills_per_ad", "verbatim_rate", "parse_rate", "seconds"}, with labels {"gold_skills", "predicted_skills",
    "true_positives", "precision", "recall", "f1", and of these three "..._low" and "..._high" (`scoring.intervals`),
    "missed", "invented", "boundary" (`scoring.errors`), "slices" (`scoring.slices.in_short`), what `scoring.relaxed` adds,
    and where labels carry offsets what `scoring.spans.span_summary` adds}, of a model {"ads_split", "parts", "ads_cut"
    (`asking.Asked`), "generated_tokens", "tokens_per_second"}, of the untuned base {"shots"} (worked examples shown), and of
    a model with labels {"token_precision", "token_recall", "token_f1"}. Rates and scores lie between 0 and 1; `labelled` says
    whether any scored row has labels; `skills_per_ad` is the mean number of predicted skills; `seconds` is all of the
    subject's work.

    Rows that the adapter was trained on are left out, and so are near copies of them (`near_copies`; an adapter of VERSION 1
    knows exact copies only). Of the others, at most `evaluate.max_rows` are scored, chosen by a hash of their texts, so that
    all subjects and all runs take the same. Only the rows that are scored are read.

    Raises StageError where no row is left, and for a base or an adapter that cannot be used.
    """
    if config.key not in ("adapter", "base", "lexicon"):
        raise StageError(f"evaluate: `{config.key}` is no subject; it scores adapter, base or lexicon.")
    selected = unseen_rows(config, inputs)
    rows = selected.rows
    started = time.monotonic()
    if config.key == "lexicon":
        said = _lexicon(rows, inputs["finetune"], context)
    else:
        # Only here: the lexicon needs no model.
        from skillsengine.stages.answering import answer_with_model

        said = answer_with_model(rows, config, inputs, context)
    seconds = time.monotonic() - started
    lines = [_line(row, answer) for row, answer in zip(rows, said.answers, strict=True)]
    errors = [
        None if row.skills is None else errors_of(row.skills, answer.skills, row.text)
        for row, answer in zip(rows, said.answers, strict=True)
    ]
    slices = slice_scores(lines)
    summary = {
        "subject": config.key,
        "partition": inputs["format"].key,
        "rows": len(rows),
        "labelled": any(row.skills is not None for row in rows),
        "labelled_rows": sum(row.skills is not None for row in rows),
        "excluded_trained_on": selected.trained_on,
        "excluded_near_copies": selected.near_copies,
        **score(rows, said.answers),
        **(error_counts(found for found in errors if found is not None) if slices else {}),
        **({"slices": in_short(slices)} if slices else {}),
        "seconds": round(seconds, 3),
        **said.measured,
    }
    _write(out, lines, errors, slices, summary)
    _show(rows, said.answers, errors, context)
    context.tracker.summary(summary)
    return summary


def score(rows: Sequence[Row], answers: Sequence[Answer]) -> dict[str, float | int]:
    """Skills per ad, verbatim and parse rate over all rows; over the labelled ones, if there are any, counts, precision, recall
    and F1 with the ends of their 95% intervals, and the relaxed scores; over those with gold spans span scores."""
    pairs = list(zip(rows, answers, strict=True))
    labelled = [(row.skills, answer.skills) for row, answer in pairs if row.skills is not None]
    spans = [(row.spans, occurrences(row.text, answer.skills)) for row, answer in pairs if row.spans is not None]
    return {
        **(_labelled(labelled) if labelled else {}),
        **(span_summary(spans) if spans else {}),
        "skills_per_ad": round(sum(len(answer.skills) for answer in answers) / len(answers), 3),
        "verbatim_rate": verbatim_rate((answer.skills, row.text) for row, answer in pairs),
        "parse_rate": parse_rate(answer.parsed for answer in answers),
    }


def _labelled(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float | int]:
    ads = counts(pairs)
    ends = {metric: interval(ads, metric) for metric in WITH_INTERVAL}
    lows = {f"{metric}_low": found.low for metric, found in ends.items()}
    highs = {f"{metric}_high": found.high for metric, found in ends.items()}
    return {**set_scores(pairs).as_dict(), **lows, **highs, **relaxed_scores(pairs)}


def _lexicon(rows: Sequence[Row], finetuned: Artifact, context: StageContext) -> Answers:
    lexicon = Lexicon(finetuned.json(LEXICON))
    found = [lexicon.extract(row.text) for row in rows]
    context.report(Progress(f"{len(rows)}/{len(rows)} ads", fraction=1.0))
    return Answers([Answer(skills, json.dumps(skills, ensure_ascii=False), True) for skills in found])


def _line(row: Row, answer: Answer) -> dict[str, Any]:
    """The row of predictions.jsonl."""
    return {
        "id": row.id,
        "key": row.key,
        "words": len(row.text.split()),
        "gold": None if row.skills is None else list(row.skills),
        **({} if row.spans is None else {"spans": [list(span) for span in row.spans]}),
        **({"fields": dict(row.fields)} if row.fields else {}),
        "predicted": answer.skills,
        "raw": answer.raw,
        "parsed": answer.parsed,
    }


def _write(
    out: Path,
    lines: Sequence[Mapping[str, Any]],
    errors: Sequence[Errors | None],
    slices: Mapping[str, Any],
    summary: Summary,
) -> None:
    wrong = [
        {"id": line["id"], "key": line["key"], **vars(found)}
        for line, found in zip(lines, errors, strict=True)
        if found
    ]
    for name, rows in ((PREDICTIONS, lines), (ERRORS, wrong)):
        with (out / name).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / SLICES).write_text(json.dumps(slices, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / METRICS).write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _show(
    rows: Sequence[Row], answers: Sequence[Answer], errors: Sequence[Errors | None], context: StageContext
) -> None:
    """The first predictions, with what is wrong about them, as a table for W&B."""
    columns = ["id", "text", "gold", "predicted", "missed", "invented", "raw", "parsed"]
    shown = [
        [
            row.id,
            row.text,
            _listed(row.skills),
            _listed(answer.skills),
            _listed(None if found is None else found.missed),
            _listed(None if found is None else found.invented),
            answer.raw,
            answer.parsed,
        ]
        for row, answer, found in list(zip(rows, answers, errors, strict=True))[:_TABLE_ROWS]
    ]
    context.tracker.table("predictions", columns, shown)


def _listed(skills: Sequence[str] | None) -> str | None:
    return None if skills is None else ", ".join(skills)
