"""evaluate: one subject (adapter, untuned base, lexicon) extracts the skills of one partition's test rows, and is
scored.

Files: predictions.jsonl ({"id", "key", "gold": [..] | null, "predicted": [..], "raw", "parsed"}, one a row, in the
rows' order), metrics.json (the summary).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skillsengine.scoring.intervals import counts, interval
from skillsengine.scoring.lexicon import Lexicon
from skillsengine.scoring.metrics import parse_rate, set_scores, verbatim_rate
from skillsengine.scoring.predictions import Answer, Answers
from skillsengine.scoring.relaxed import relaxed_scores
from skillsengine.stages.contract import Limit, NothingToScore, Progress, StageConfig, StageContext, StageError, Summary
from skillsengine.stages.near_copies import Keys
from skillsengine.stages.rows import Row, read_rows
from skillsengine.stages.splits import row_index, scored_rows
from skillsengine.stages.trained_on import near_copies_of_trained, read_keys
from skillsengine.storage.artifact import Artifact

VERSION = 3

PREDICTIONS, METRICS = "predictions.jsonl", "metrics.json"
LEXICON = "lexicon.json"
_TABLE_ROWS = 50


def run(config: StageConfig, inputs: Mapping[str, Artifact], out: Path, context: StageContext) -> Summary:
    """Score `config.key` on the partition `inputs["format"]`; `adapter` and `lexicon` are of `inputs["finetune"]`.
    Returns

    {"subject", "partition", "rows", "labelled", "labelled_rows", "excluded_trained_on", "excluded_near_copies",
    "skills_per_ad", "verbatim_rate", "parse_rate", "seconds"}, with labels {"gold_skills", "predicted_skills",
    "true_positives", "precision", "recall", "f1", "f1_low", "f1_high" (`scoring.intervals`), and what `scoring.relaxed`
    adds}, of a model {"generated_tokens", "tokens_per_second"}, and of a model with labels {"token_precision", "token_recall",
    "token_f1"}. Rates and scores lie between 0 and 1; `labelled` says whether any scored row has labels;
    `skills_per_ad` is the mean number of predicted skills; `seconds` is all of the subject's work.

    Rows that the adapter was trained on are left out, and so are near copies of them (`near_copies`; an adapter of VERSION 1
    knows exact copies only). Of the others, at most `evaluate.max_rows` are scored, chosen by a hash of their texts, so that
    all subjects and all runs take the same. Only the rows that are scored are read.

    Raises StageError where no row is left, and for a base or an adapter that cannot be used.
    """
    if config.key not in ("adapter", "base", "lexicon"):
        raise StageError(f"evaluate: `{config.key}` is no subject; it scores adapter, base or lexicon.")
    selected = _select(config, inputs)
    rows = selected.rows
    started = time.monotonic()
    if config.key == "lexicon":
        said = _lexicon(rows, inputs["finetune"], context)
    else:
        # Only here: the lexicon needs no model.
        from skillsengine.stages.answering import answer_with_model

        said = answer_with_model(rows, config, inputs, context)
    seconds = time.monotonic() - started
    summary = {
        "subject": config.key,
        "partition": inputs["format"].key,
        "rows": len(rows),
        "labelled": any(row.skills is not None for row in rows),
        "labelled_rows": sum(row.skills is not None for row in rows),
        "excluded_trained_on": selected.trained_on,
        "excluded_near_copies": selected.near_copies,
        **score(rows, said.answers),
        "seconds": round(seconds, 3),
        **said.measured,
    }
    _write(out, rows, said.answers, summary)
    shown = [
        [row.id, row.text, _listed(row.skills), _listed(answer.skills), answer.raw, answer.parsed]
        for row, answer in list(zip(rows, said.answers, strict=True))[:_TABLE_ROWS]
    ]
    context.tracker.table("predictions", ["id", "text", "gold", "predicted", "raw", "parsed"], shown)
    context.tracker.summary(summary)
    return summary


def score(rows: Sequence[Row], answers: Sequence[Answer]) -> dict[str, float | int]:
    """Skills per ad, verbatim and parse rate over all rows; over the labelled ones, if there are any, counts, precision, recall
    and F1, the ends of F1's 95% interval, and the relaxed scores."""
    pairs = list(zip(rows, answers, strict=True))
    labelled = [(row.skills, answer.skills) for row, answer in pairs if row.skills is not None]
    return {
        **(_labelled(labelled) if labelled else {}),
        "skills_per_ad": round(sum(len(answer.skills) for answer in answers) / len(answers), 3),
        "verbatim_rate": verbatim_rate((answer.skills, row.text) for row, answer in pairs),
        "parse_rate": parse_rate(answer.parsed for answer in answers),
    }


def _labelled(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> dict[str, float | int]:
    span = interval(counts(pairs), "f1")
    return {**set_scores(pairs).as_dict(), "f1_low": span.low, "f1_high": span.high, **relaxed_scores(pairs)}


def sample(keys: Keys, size: int | None, seed: int) -> NDArray[np.int64]:
    """Places of at most `size` of the texts `keys`, ascending: those with the lowest hash of (seed, text), the earlier of
    equal ones. More texts or other subjects change the choice as little as possible."""
    if size is None or len(keys) <= size:
        return np.arange(len(keys))
    ranks = [hashlib.sha256(f"{seed}:{key:016x}".encode()).digest()[:8] for key in keys.tolist()]
    order = np.argsort(np.frombuffer(b"".join(ranks), ">u8"), kind="stable")
    return np.sort(order[:size])


@dataclass(frozen=True)
class _Selected:
    """The rows to score, and how many test rows were left out because the adapter was trained on them."""

    rows: list[Row]
    trained_on: int
    """Exact copies of trained texts."""
    near_copies: int


def _select(config: StageConfig, inputs: Mapping[str, Artifact]) -> _Selected:
    spec, formatted = config.spec, inputs["format"]
    keys = np.ascontiguousarray(row_index(formatted)["key"])
    tested = scored_rows(formatted, spec.data.split, dated=spec.data.dated)
    trained = near = np.zeros(len(keys), np.bool_)
    if config.key != "base":
        trained = tested & np.isin(keys, read_keys(inputs["finetune"]))
        copies = near_copies_of_trained(inputs["finetune"], formatted, spec.data.split.near_copies)
        near = tested & ~trained & np.isin(keys, copies)
    fresh = np.flatnonzero(tested & ~trained & ~near)
    if not len(fresh):
        raise NothingToScore(_nothing_to_score(config, formatted, int(tested.sum())))
    wanted = np.zeros(len(keys), np.uint8)
    wanted[fresh[sample(keys[fresh], _size(spec.evaluate.max_rows, config.limit), spec.evaluate.seed)]] = 1
    return _Selected(list(read_rows(formatted, wanted.tobytes())), int(trained.sum()), int(near.sum()))


def _size(max_rows: int | None, limit: Limit | None) -> int | None:
    sizes = [size for size in (max_rows, limit.generated if limit else None) if size is not None]
    return min(sizes, default=None)


def _nothing_to_score(config: StageConfig, formatted: Artifact, candidates: int) -> str:
    where = f"evaluate[{config.key}]: no row to score in partition {formatted.key}"
    if candidates:
        return (
            f"{where}: all of its {candidates} test rows stand in the adapter's training data, or are near copies of ads "
            "there, and nothing is scored on what it was trained on. Score it on a partition outside of its training window, "
            "or on a source with other ads."
        )
    split = config.spec.data.split
    rows = formatted.summary.get("rows", "unknown number of")
    return (
        f"{where}: none of its {rows} rows is a test row. Give the source a file `test.jsonl`, or raise data.split.test "
        f"(it is {split.test:g})."
    )


def _lexicon(rows: Sequence[Row], finetuned: Artifact, context: StageContext) -> Answers:
    lexicon = Lexicon(finetuned.json(LEXICON))
    found = [lexicon.extract(row.text) for row in rows]
    context.report(Progress(f"{len(rows)}/{len(rows)} ads", fraction=1.0))
    return Answers([Answer(skills, json.dumps(skills, ensure_ascii=False), True) for skills in found])


def _write(out: Path, rows: Sequence[Row], answers: Sequence[Answer], summary: Summary) -> None:
    with (out / PREDICTIONS).open("w", encoding="utf-8") as file:
        for row, answer in zip(rows, answers, strict=True):
            line: dict[str, Any] = {
                "id": row.id,
                "key": row.key,
                "gold": None if row.skills is None else list(row.skills),
                "predicted": answer.skills,
                "raw": answer.raw,
                "parsed": answer.parsed,
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    (out / METRICS).write_text(json.dumps(summary, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _listed(skills: Sequence[str] | None) -> str | None:
    return None if skills is None else ", ".join(skills)
