"""The draft: a commented spec in which every guess says why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from skillsengine.draft.bases import BaseDraft
from skillsengine.draft.guess import Guess
from skillsengine.draft.history import History
from skillsengine.draft.look import Sample
from skillsengine.draft.place import Place
from skillsengine.draft.shares import Shares
from skillsengine.draft.yaml_lines import Line, prose, scalar, section
from skillsengine.sources.reading.formats import format_of

_CHARACTERS_A_TOKEN = 3
"""Fewer than any language of our alphabet has on average, so that an answer is not cut off by a guess."""


@dataclass(frozen=True)
class Draft:
    """All that a spec is written from."""

    name: str
    source: str
    """As the spec will say it."""
    place: Place
    guess: Guess
    base: BaseDraft
    sample: Sample
    history: History | None
    """None for a source that is not dated."""
    shares: Shares
    doubts: tuple[str, ...]
    """What somebody should look at before the first run."""
    today: date


def spec_text(draft: Draft) -> str:
    """The whole file. It loads without a problem; who writes it checks that."""
    parts = [_head(draft), _top(draft), section("data", _data(draft)), _base(draft), _learning(draft), _rest(draft)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(draft: Draft) -> list[str]:
    told = prose(
        f"Drafted by `skillsengine new` on {draft.today} from {draft.sample.extent} of {draft.source}. The comments say why "
        "each column was taken. Change what you like; what is not written has a default (docs/spec.md)."
    )
    for doubt in draft.doubts:
        told += ["#", *prose(f"LOOK AT THIS: {doubt}.")]
    return told


def _top(draft: Draft) -> list[str]:
    period, history, lines = draft.guess.period, draft.history, []
    if draft.base.extends:
        lines.append(Line("extends", draft.base.extends, "what experiments on Llama-2 share"))
    lines.append(Line("name", draft.name, "also the file's name and the DAG's"))
    if period is None or history is None:
        lines += [
            Line("schedule", "none", "by hand only"),
            Line("schedule", '"0 3 * * 1"', "Mondays at 3 (UTC): take this line instead, and the next", off=True),
            Line("start_date", f"{draft.today}", off=True),
        ]
    elif history.awaited:
        lines += [
            Line("schedule", "none", f"by hand: a run takes the newest {period} with ads, {history.newest}"),
            Line(
                "schedule",
                "partition",
                f"one run a {period}; take this line once ads of {history.awaited} are there, for which it would wait now",
                off=True,
            ),
            Line("start_date", f"{history.start}", history.start_why),
        ]
    else:
        lines += [
            Line(
                "schedule",
                "partition",
                f"one run a {period}, once it is over (UTC) and its ads are there; `none`: by hand",
            ),
            Line("start_date", f"{history.start}", history.start_why),
            Line(
                "paused",
                "true",
                f"a draft starts nothing by itself; what lets it run: `skillsengine unpause {draft.name}`",
            ),
        ]
    return section("", lines)


def _data(draft: Draft) -> list[Line]:
    guess, dates = draft.guess, draft.guess.dates
    lines = [Line("source", scalar(draft.source), _source_comment(draft))]
    lines.append(Line("text", scalar(guess.text.value), guess.text.why))
    if guess.labels.column is None:
        lines.append(Line("labels", "skills", "no column was found that holds them; training needs labels", off=True))
        lines.append(Line("label_format", "list", "list, json, semicolon or comma", off=True))
    else:
        lines.append(Line("labels", scalar(guess.labels.column.value), guess.labels.column.why))
        lines.append(Line("label_format", guess.labels.label_format.value, guess.labels.label_format.why))
    if guess.id is None:
        lines.append(Line("id", "id", "no column tells all rows apart: file and line serve instead", off=True))
    else:
        lines.append(Line("id", scalar(guess.id.value), guess.id.why))
    if dates is not None:
        off = not dates.active
        lines.append(Line("date_column", scalar(dates.column.value), dates.column.why, off=off))
        lines.append(Line("period", dates.period, dates.period_why, off=off))
    elif guess.period is not None:
        there = f"{len(guess.keys)} of them, {guess.keys[0]} to {guess.keys[-1]}"
        lines.append(Line("period", guess.period, f"by the files' names: {there}"))
    if draft.history is not None:
        lines.append(Line("window", f"{draft.history.window}", draft.history.window_why))
    if draft.shares.why:
        lines.append(Line("split", f"{{test: {draft.shares.test:g}}}", draft.shares.why))
    return lines


def _source_comment(draft: Draft) -> str:
    files = draft.place.files
    kind = format_of(files[0].path.name)
    told = [kind.name] if kind else []
    if len(files) > 1:
        told.append(f"{len(files)} files")
    named = [split for split in ("train", "validation", "test") if any(file.split == split for file in files)]
    if named:
        told.append(f"named {', '.join(named)}, and used as such")
        if "train" in named and (cut := [split for split in ("validation", "test") if split not in named]):
            told.append(f"{' and '.join(cut)}: a hashed share of train")
    elif draft.guess.period is None:
        told.append("a hash of each ad decides: train, validation or test")
    return "; ".join(told)


def _base(draft: Draft) -> list[str]:
    base = draft.base
    lines = [Line("model", scalar(base.model), base.why)]
    if base.extends is None:
        many = "4-bit weights: a quarter of the memory" if base.large else "plain numbers are the fastest on a CPU"
        lines.append(Line("quantization", "nf4" if base.large else "none", many))
    return section("base", lines)


def _learning(draft: Draft) -> list[str]:
    if draft.base.extends is not None:
        return []
    if draft.base.large:
        lora = [Line("r", "32", "the adapter: small matrices beside the frozen weights"), Line("alpha", "64")]
        return section("lora", lora)
    lora = [Line("r", "16", "the adapter: small matrices beside the frozen weights"), Line("alpha", "32")]
    train = [
        Line("epochs", "2", "passes over the training rows"),
        Line("per_device_batch_size", "4"),
        Line("warmup_steps", "5", "the first steps are small ones"),
        Line("learning_rate", "1e-3", "a small adapter on a small model bears, and needs, a high rate"),
        Line("checkpoint_steps", "10", "a killed training repeats at most ten steps"),
    ]
    return [*section("lora", lora), "", *section("train", train)]


def _rest(draft: Draft) -> list[str]:
    lines = []
    if draft.guess.labels.longest:
        room = answer_room(draft.guess.labels.longest)
        told = "room for the longest lists of skills here, and some more"
        lines = section("evaluate", [Line("max_new_tokens", f"{room}", told)])
    if draft.base.extends is not None:
        return lines
    device = [
        Line("device", "cuda" if draft.base.large else "cpu"),
        Line("queue", "gpu" if draft.base.large else "default"),
    ]
    return [*lines, *([""] if lines else []), *section("resources", device)]


def answer_room(characters: int) -> int:
    """Tokens that an answer of so many characters may take: a multiple of 32, from 64 to 1024."""
    return min(max(-(-characters // _CHARACTERS_A_TOKEN // 32) * 32, 64), 1024)
