"""What follows from a run's scores: the gate's verdict, a person's approval where the spec wants one, the champion's move.

Every call may be repeated, in another process too: what was decided stands in the catalog.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from skillsengine.pipeline.approval import CHAMPION, lacking, named, stays
from skillsengine.pipeline.execute import Observer
from skillsengine.pipeline.gate import decide
from skillsengine.pipeline.gate_evidence import gather
from skillsengine.pipeline.plan import PlanError
from skillsengine.pipeline.run import Run
from skillsengine.pipeline.shown import show_alias, tracked
from skillsengine.storage.catalog import AliasMoved

log = logging.getLogger(__name__)

_TRIES = 4
"""How often a run tries to move a champion that others move meanwhile; then somebody should look."""
_SMOKE_TEST = "a smoke test (--limit) registers nothing"


def run_gate(run: Run, observer: Observer | None = None) -> dict[str, Any]:
    """Compute and store the verdict; "no" is an answer, not a failure.

    Returns what `gate.decide` does with "number" and "champion", that of the version judged and of the present champion.
    An approval of before is void. Raises PlanError where the version or a cell is missing and cannot be made.
    """
    if run.options.limit:
        return {"verdict": "keep", "reason": _SMOKE_TEST}
    verdict = _judge(run, observer)
    run.catalog.set_run_data(run.id, gate=verdict, approval=None, promotion=None)
    return verdict


def run_promote(run: Run, observer: Observer | None = None) -> dict[str, Any]:
    """Move `champion` if the stored verdict says so, and where the spec wants an approval, a person too.

    Where the champion has moved since the verdict (another gate was faster, or a person moved it), the version is compared
    with the new one first. Returns {"moved", "reason"} and, where it moved, "version". A backfilled run never promotes.
    """
    outcome = _promote(run, observer)
    if not run.options.limit:
        run.catalog.set_run_data(run.id, promotion=outcome)
    return outcome


def _promote(run: Run, observer: Observer | None) -> dict[str, Any]:
    model = run.experiment.model_name
    for _ in range(_TRIES):
        data = run.catalog.run_by_id(run.id).data
        verdict = data.get("gate")
        if verdict is None:
            return {"moved": False, "reason": "there is no verdict to act on"}
        if reason := stays(run, verdict) or lacking(run, data):
            return {"moved": False, "reason": reason}
        number, why = int(verdict["number"]), str(verdict["reason"])
        if run.experiment.gate.approval == "required":
            why += f"; approved by {data['approval']['by']}"
        try:
            run.catalog.set_alias(model, CHAMPION, number, reason=why, expect=verdict["champion"])
        except AliasMoved as moved:
            log.info("%s Comparing again.", moved)
            run.catalog.set_run_data(run.id, gate=_judge(run, observer, verdict))
            continue
        run.catalog.set_run_data(run.id, promoted=number)
        show_alias(run.catalog.resolve(model, str(number)), CHAMPION, run.settings, run.run_id, why)
        return {"moved": True, "reason": why, "version": f"{model}@{number}"}
    return {
        "moved": False,
        "reason": f"{model}@{CHAMPION} has moved each of the {_TRIES} times that this run compared with it: see who moves it "
        f"(`skillsengine show {model}@{CHAMPION}`), then clear the task `gate`, or run the experiment again",
    }


def _judge(run: Run, observer: Observer | None, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The verdict on the run's version, against the champion that there is now; `before` is one that the champion's move
    has made void."""
    catalog, model = run.catalog, run.experiment.model_name
    version = catalog.find_version(model, run.plan.adapter.digest)
    if version is None:
        raise PlanError(f"{model}: this run's adapter is not registered: run stage `register` of this run first.")
    now = catalog.alias(model, CHAMPION)
    verdict: dict[str, Any] = {"number": version.number, "champion": now, "metric": run.experiment.gate.metric}
    if now == version.number:
        reason = f"{version.name} is the champion already"
        return verdict | {"verdict": "keep", "reason": reason, "scores": {}}
    champion = catalog.resolve(model, str(now)) if now is not None else None
    verdict |= decide(run.experiment.gate, gather(run, version, champion, observer))
    if before is not None:
        moved = f"{named(model, before['champion'])}, then {named(model, now)}"
        verdict["reason"] = f"compared again, as the champion moved meanwhile ({moved}): {verdict['reason']}"
    catalog.set_verdict(model, version.number, verdict)
    _track(run, verdict)
    return verdict


_COLUMNS = ("partition", "challenger", "opponent", "rows", "gold_skills")


def _track(run: Run, verdict: Mapping[str, Any]) -> None:
    """The verdict as a small W&B run beside those of the stages; never a reason to fail."""
    judged = f"gate:{run.plan.adapter.digest}:{verdict['champion']}"
    with tracked(run.experiment, run.settings.home, run.run_id, "gate", judged, run.partition) as tracker:
        scores = {key: value for key, value in verdict["scores"].items() if key != "partitions"}
        parts = [[part[column] for column in _COLUMNS] for part in verdict["scores"].get("partitions", ())]
        tracker.table("partitions", list(_COLUMNS), parts)
        tracker.summary(
            {**scores, **{key: verdict[key] for key in ("verdict", "reason", "number", "champion", "metric")}}
        )
