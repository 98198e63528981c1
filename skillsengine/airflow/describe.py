"""What Airflow's UI says about an experiment's DAGs, in Markdown."""

from __future__ import annotations

from skillsengine.spec.schema import Experiment, format_duration


def retrain_doc(experiment: Experiment, source: str, digest: str) -> str:
    """The retrain DAG's text. It ends with the spec's digest, so that every edit is a DAG version of its own."""
    e = experiment
    settings = {
        "data": f"{_data(e)}, {_window(e)}",
        "schedule": _schedule(e),
        "base": f"{_code(e.base.model)}, {_quantization(e)}, on {e.resources.device}",
        "LoRA": e.lora.in_words,
        "training": f"{_plural(e.train.epochs, 'epoch')} of {_plural(e.train.effective_batch_size, 'row')} a step, "
        f"learning rate {e.train.learning_rate:g}, {e.train.lr_scheduler}",
        **({} if e.sweep is None else {"sweep": e.sweep.in_words}),
        "longest text": f"{e.tokens.max_length} tokens"
        if e.tokens.max_length != "auto"
        else f"the {e.tokens.length_percentile:g}th percentile of the lengths",
        "gate": f"{e.gate.metric} surely better than the champion's (the first version: the untuned base's)"
        + (", and a person's approval" if e.gate.approval == "required" else ""),
        "registers as": _code(e.model_name),
    } | _told(e)
    return _document(e, "Trains, scores and registers an adapter.", settings, source, digest)


def scores_doc(experiment: Experiment, source: str, digest: str) -> str:
    """The evaluations DAG's text."""
    e = experiment
    partition = e.effective_schedule == "partition"
    settings = {
        "versions": f"{', '.join(_code(v) for v in e.evaluations.versions)} of {_code(e.model_name)}",
        "baselines": ", ".join(_code(name) for name in e.evaluations.baselines) or "none",
        "data": _data(e),
        "schedule": _schedule(e) if partition else "by hand",
        "rows": "all" if e.evaluate.max_rows is None else f"a seeded sample of at most {e.evaluate.max_rows}",
    } | _told(e)
    about = "Scores registered versions on one partition; scores that exist are not computed again."
    return _document(e, about, settings, source, digest)


def _document(e: Experiment, about: str, settings: dict[str, str], source: str, digest: str) -> str:
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in settings.items())
    parts = [
        f"**{about}**",  # bold, since Airflow's page leaves no room between paragraphs
        e.description.strip(),
        f"| | |\n| --- | --- |\n{rows}",
        f"Spec {_code(source)}, digest `{digest[:16]}`",
    ]
    return "\n\n".join(part for part in parts if part)


def _data(e: Experiment) -> str:
    by = f" by its column {_code(e.data.date_column)}" if e.data.date_column is not None else ""
    return f"{_code(e.data.source)}{by}"


def _window(e: Experiment) -> str:
    if not e.data.dated:
        return "all of it"
    count, period = e.data.window, e.data.period
    return f"trains on the {period if count == 1 else f'{count} {period}s'} before the run's own"


def _schedule(e: Experiment) -> str:
    schedule, period = e.effective_schedule, e.data.period
    if schedule == "none":
        return "by hand"
    if schedule == "partition":
        return f"one run a {period}, when the {period} is over (UTC)"
    return f"{_code(schedule)} (cron, UTC)"


def _told(e: Experiment) -> dict[str, str]:
    """Who hears of a run, and by when it should be done."""
    notify = e.notify
    if notify.connection is None:
        return {}
    to = f" to {', '.join(notify.to)}" if notify.to else ""
    row = {"tells": f"{', '.join(notify.on)} over {_code(notify.connection)}{to}"}
    if notify.deadline is not None:
        row["deadline"] = f"{format_duration(notify.deadline)} after it was due"
    return row


def _plural(count: float, noun: str) -> str:
    return f"{count:g} {noun}{'' if count == 1 else 's'}"


def _quantization(e: Experiment) -> str:
    return "unquantized" if e.base.quantization == "none" else e.base.quantization


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
