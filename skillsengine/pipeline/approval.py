"""A person's part in a promotion: what is asked, what was answered, and what lacks for the champion to move."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skillsengine.pipeline.run import Run
from skillsengine.spec.schema import format_duration

CHAMPION = "champion"


def to_approve(run: Run) -> dict[str, Any] | None:
    """The verdict that a person is to be asked about, which the run remembers; None where nothing would come of an approval.

    A run asks about one verdict only: Airflow shows the question of a cleared task with the text that it had at first.
    """
    data = run.catalog.run_by_id(run.id).data
    verdict: dict[str, Any] | None = data.get("gate")
    if run.options.limit or verdict is None or run.experiment.gate.approval == "none" or stays(run, verdict):
        return None
    if data.get("asked") not in (None, verdict["reason"]):
        return None
    run.catalog.set_run_data(run.id, asked=verdict["reason"])
    return verdict


def question(run: Run, verdict: Mapping[str, Any]) -> tuple[str, str]:
    """(headline, Markdown) of what a person is asked."""
    model, scores = run.experiment.model_name, verdict["scores"]
    name, champion = f"{model}@{verdict['number']}", named(model, verdict["champion"])
    rows = [*scores["partitions"]]
    if len(rows) > 1:
        rows.append({**scores, "partition": "together"})
    table = [
        f"| scored on | ads | gold skills | {verdict['metric']} of {name} | of {champion} |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {row['partition']} | {row['rows']} | {row['gold_skills']} | {row['challenger']:.3f} | {row['opponent']:.3f} |"
            for row in rows
        ),
    ]
    wait = format_duration(run.experiment.gate.approval_timeout)
    told = (
        f"Gate: **{verdict['verdict']}**. {verdict['reason']}.",
        "\n".join(table),
        f"*Approve* makes {name} the champion. *Refuse*, or no answer within {wait}, leaves the champion as it is. "
        f"`skillsengine show {name}` tells more.",
    )
    return f"Promote {name}?", "\n\n".join(told)


def record_approval(run: Run, *, approved: bool, by: str | None) -> None:
    """Keep what a person said to the present verdict; `by` is None where nobody answered in time."""
    verdict = run.catalog.run_by_id(run.id).data.get("gate") or {}
    told = {"approved": approved, "by": by, "number": verdict.get("number"), "champion": verdict.get("champion")}
    run.catalog.set_run_data(run.id, approval=told)


def stays(run: Run, verdict: Mapping[str, Any]) -> str | None:
    """Why the verdict moves nothing, whatever a person says; None where it does."""
    model = run.experiment.model_name
    if verdict["verdict"] != "promote":
        return str(verdict["reason"])
    if run.trigger == "backfill":
        return "a backfilled retrain registers but never promotes"
    if run.catalog.alias(model, CHAMPION) == verdict["number"]:
        return f"{model}@{verdict['number']} is the champion already"
    return None


def lacking(run: Run, data: Mapping[str, Any]) -> str | None:
    """Why a promotion lacks the approval that the spec wants, by the run's `data`; None where it has it, or needs none."""
    gate, model = run.experiment.gate, run.experiment.model_name
    verdict, approval, asked = data["gate"], data.get("approval"), data.get("asked")
    if gate.approval == "none":
        return None
    by_hand = f"`skillsengine promote {model}@{verdict['number']}` makes it the champion by hand"
    again = f"start a new run to be asked again (what is done is cached), or {by_hand}"
    required = "gate.approval is required, and"
    if approval is None and asked not in (None, verdict["reason"]):
        return f"{required} this run's question was about another verdict: {again}. Gate: {verdict['reason']}"
    if approval is None:
        return f"{required} nobody was asked in this run: {by_hand}. Gate: {verdict['reason']}"
    if approval["by"] is None:
        waited = format_duration(gate.approval_timeout)
        return f"{required} nobody answered within {waited}: {by_hand}. Gate: {verdict['reason']}"
    if not approval["approved"]:
        return f"refused by {approval['by']}. Gate: {verdict['reason']}"
    if (approval["number"], approval["champion"]) != (verdict["number"], verdict["champion"]):
        return (
            f"{approval['by']} approved it against {named(model, approval['champion'])}, and "
            f"{named(model, verdict['champion'])} is the champion since: {again}. Gate: {verdict['reason']}"
        )
    return None


def named(model: str, number: int | None) -> str:
    """`job-skills@7`; without a number what a first version is compared with."""
    return f"{model}@{number}" if number is not None else "the untuned base"
