"""`approve`: where the spec says `gate.approval: required`, a person decides in Airflow whether a version becomes the champion.

Airflow's own human-in-the-loop task: the question stands under the run's required actions, the task holds no worker slot
meanwhile, and the answer is kept with who gave it. A refusal skips nothing (as ApprovalOperator would): `promote` runs in any
case, and says what came of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator

from skillsengine.airflow import work
from skillsengine.airflow.form import Kind
from skillsengine.airflow.notify.outcome import tell_waiting
from skillsengine.airflow.process import die_with_parent
from skillsengine.airflow.report import about_run
from skillsengine.airflow.request import read_request
from skillsengine.airflow.tasks import attempt
from skillsengine.spec.schema import Experiment

if TYPE_CHECKING:
    from skillsengine.pipeline.run import Run

log = logging.getLogger(__name__)

APPROVE, REFUSE = "Approve", "Refuse"
_RETRIES = 3


class ApproveTask(HITLOperator):  # type: ignore[misc]  # airflow ships no types
    """Asks where the verdict is to promote, and is done at once where it is not. No answer in time is a refusal by nobody.

    Known limitation: an answer within the second in which the question is posted may be lost, as the scheduler then takes the
    task for one that died (Airflow 3.3): it asks again, which is what its retries are for.
    """

    template_fields: Sequence[str] = ()  # a `{{…}}` in a spec stays what it is
    ui_color = "#f4ecdf"

    def __init__(self, *, experiment: Experiment, project: str, kind: Kind, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Promote a version of {experiment.model_name}?",
            options=[APPROVE, REFUSE],
            defaults=REFUSE,
            response_timeout=experiment.gate.approval_timeout,
            retries=max(experiment.resources.retries, _RETRIES),
            **kwargs,
        )
        self._experiment, self._project, self._kind = experiment, project, kind
        # Known when the worker parses the file, so that a supervisor that dies before the task begins is noticed.
        self._parent = os.getppid()

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Raises Airflow's signal that the task waits for an answer; `execute_complete` goes on then."""
        die_with_parent(self._parent)
        if not attempt(lambda: self._prepare(context), context):
            return {"asked": False}
        super().execute(context)
        raise AssertionError("unreachable: Airflow's operator waits by raising")

    def _prepare(self, context: Mapping[str, Any]) -> bool:
        """Whether there is something to ask; the question is set then."""
        from skillsengine.pipeline.approval import question, to_approve

        run = self._open(context)
        verdict = to_approve(run)
        if verdict is None:
            log.info("nobody is asked: there is nothing to promote, or the run's spec wants no approval")
            return False
        self.subject, self.body = question(run, verdict)
        self.response_timeout = run.experiment.gate.approval_timeout
        tell_waiting(self._experiment, about_run(self._experiment, context, run), run, verdict)
        return True

    def execute_complete(self, context: Mapping[str, Any], event: dict[str, Any]) -> dict[str, Any]:
        """What Airflow calls with the answer."""
        super().execute_complete(context, event)
        user = event.get("responded_by_user")
        approved = event["chosen_options"] == [APPROVE]
        return attempt(lambda: self._keep(context, approved, _name(user)), context)

    def _keep(self, context: Mapping[str, Any], approved: bool, by: str | None) -> dict[str, Any]:
        from skillsengine.pipeline.approval import record_approval

        record_approval(self._open(context), approved=approved, by=by)
        log.info("%s", "nobody answered in time" if by is None else f"{'approved' if approved else 'refused'} by {by}")
        return {"asked": True, "approved": approved, "by": by}

    def _open(self, context: Mapping[str, Any]) -> Run:
        request = read_request(context, self._experiment, self._kind)
        return work.open_for(request, self._experiment, work.settings_for(self._project), self._kind)


def _name(user: Any) -> str | None:
    """Who answered; None after the timeout."""
    if not user:
        return None
    named = user if isinstance(user, Mapping) else vars(user)
    return str(named.get("name") or named.get("id"))
