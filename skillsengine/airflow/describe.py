"""What Airflow's UI says about an experiment's DAGs, in Markdown."""

from __future__ import annotations

from skillsengine.spec.schema import Experiment

_SCHEDULES = {"partition": "one run a month, when the month is over (UTC)", "none": "by hand"}


def retrain_doc(experiment: Experiment, source: str, digest: str) -> str:
    """The retrain DAG's text. It ends with the spec's digest, so that every edit is a DAG version of its own."""
    e = experiment
    window = f"trains on the {e.data.window} months before the run's own" if e.data.dated else "all of it"
    settings = {
        "data": f"{_code(e.data.source)}, {window}",
        "schedule": _schedule(e),
        "base": f"{_code(e.base.model)}, {_quantization(e)}, on {e.resources.device}",
        "LoRA": f"r {e.lora.r}, alpha {e.lora.alpha}, on {', '.join(e.lora.target_modules)}",
        "training": f"{e.train.epochs:g} epochs of {e.train.effective_batch_size} rows a step, "
        f"learning rate {e.train.learning_rate:g}, {e.train.lr_scheduler}",
        "longest text": f"{e.tokens.max_length} tokens"
        if e.tokens.max_length != "auto"
        else f"the {e.tokens.length_percentile:g}th percentile of the lengths",
        "gate": f"{e.gate.metric} better than the untuned base and the champion",
        "registers as": _code(e.model_name),
    }
    return _document(e, "Trains, scores and registers an adapter.", settings, source, digest)


def scores_doc(experiment: Experiment, source: str, digest: str) -> str:
    """The evaluations DAG's text."""
    e = experiment
    partition = e.effective_schedule == "partition"
    settings = {
        "versions": f"{', '.join(_code(v) for v in e.evaluations.versions)} of {_code(e.model_name)}",
        "data": _code(e.data.source),
        "schedule": _schedule(e) if partition else "by hand",
        "rows": "all" if e.evaluate.max_rows is None else f"a seeded sample of at most {e.evaluate.max_rows}",
    }
    about = "Scores registered versions on one partition; scores that exist are not computed again."
    return _document(e, about, settings, source, digest)


def _document(e: Experiment, about: str, settings: dict[str, str], source: str, digest: str) -> str:
    rows = "\n".join(f"| {name} | {_cell(value)} |" for name, value in settings.items())
    parts = [
        about,
        e.description.strip(),
        f"| | |\n| --- | --- |\n{rows}",
        f"Spec {_code(source)}, digest `{digest[:16]}`",
    ]
    return "\n\n".join(part for part in parts if part)


def _schedule(e: Experiment) -> str:
    schedule = e.effective_schedule
    return _SCHEDULES.get(schedule) or f"{_code(schedule)} (cron, UTC)"


def _quantization(e: Experiment) -> str:
    return "unquantized" if e.base.quantization == "none" else e.base.quantization


def _code(text: str) -> str:
    return f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
