"""The DAG in which a person tries a version on one text: one task, on the queue and in the pool of the experiment's scoring.

A DAG of each experiment's own, `<name>.try`, and neither one for all experiments nor a task of another DAG:

- queue and pool are a task's, not a run's: one DAG for all could not go where each experiment's GPUs are;
- Airflow's permissions are those of DAGs: in one for all, everybody who may try something could read all texts;
- among the runs of `<name>.evaluations` a try that fails would look like a score that failed.

It has no schedule, takes no part in pausing an experiment, and takes some milliseconds when the file is parsed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param

from skillsengine.airflow import work
from skillsengine.airflow.dag import STEPS, stage_settings
from skillsengine.airflow.process import die_with_parent
from skillsengine.airflow.request import RequestError
from skillsengine.airflow.tasks import attempt
from skillsengine.pipeline.bounds import MOST_TRIED
from skillsengine.spec.schema import Experiment

SUFFIX = ".try"
"""Behind the experiment's name, which has no dot."""
TASK = "extract"
_ACTIVE_RUNS = 4
"""So that many people who try something leave slots to others."""
_TIMEOUT = timedelta(minutes=30)
"""Most of it is the loading of a large base."""

log = logging.getLogger(__name__)


def build_try(resolved: str, *, project: str) -> DAG:
    """The DAG of one experiment; arguments as of `dag.build`. Raises what that raises."""
    experiment = Experiment.model_validate_json(resolved)
    resources = experiment.resources
    own = stage_settings(experiment, "score")
    model = experiment.model_name
    with DAG(
        f"{experiment.name}{SUFFIX}",
        description=f"Tries a version of {model} on one text.",
        doc_md=f"**Finds the skills of one text with a version of `{model}`**, as the page *Try it* of the experiment asks "
        "for. The text stands in the run's configuration, the answer in the XCom of its task.",
        schedule=None,
        is_paused_upon_creation=False,  # it starts nothing by itself
        max_active_runs=_ACTIVE_RUNS,
        tags=["skillsengine", "try", *experiment.tags],
        default_args={"owner": experiment.owner},
        params={
            "text": Param(
                type="string",
                minLength=1,
                maxLength=MOST_TRIED,
                format="multiline",
                title="Text",
                description="A job ad.",
            ),
            "version": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                title="Version",
                description=f"Number of a version of {model}. Empty: the champion.",
            ),
        },
    ) as dag:
        TryTask(
            task_id=TASK,
            model=model,
            project=project,
            queue=own.get("queue", resources.queue),
            pool=own.get("pool", resources.pool),
            retries=0,  # whoever asks sees it, and can ask again
            execution_timeout=_TIMEOUT,
            weight_rule="absolute",
            priority_weight=resources.priority * STEPS,  # somebody is waiting,
        )
    return dag


class TryTask(BaseOperator):  # type: ignore[misc]  # airflow ships no types
    """Loads the version, and leaves the skills of the run's text as XCom. The text itself is never logged."""

    ui_color = "#e8f4ec"

    def __init__(self, *, model: str, project: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._model, self._project = model, project
        self._parent = os.getppid()

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        die_with_parent(self._parent)
        return attempt(lambda: self._answer(context), context)

    def _answer(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from skillsengine.pipeline.heavy import import_heavy
        from skillsengine.serving.named import find

        params = context["params"]
        unknown = sorted(set(context["dag_run"].conf or {}) - {"text", "version"})
        if unknown:
            raise RequestError(f"conf: unknown key `{unknown[0]}`. This DAG understands text and version.")
        work.quiet()
        settings = work.settings_for(self._project)
        version = find(f"{self._model}@{params.get('version') or 'champion'}", settings)
        began = time.monotonic()
        extractor = import_heavy("skillsengine.serving.load").load_named(version, settings)
        loaded = time.monotonic()
        log.info("loaded %s from %s in %.1f s", version.name, version.folder, loaded - began)
        found = extractor.extract(params["text"])
        seconds = time.monotonic() - loaded
        log.info(
            "%d skills in %.1f s%s", len(found.skills), seconds, "" if found.parsed else "; the list was not whole"
        )
        return {
            "version": version.name,
            "skills": found.skills,
            "parsed": found.parsed,
            "loading_seconds": round(loaded - began, 2),
            "seconds": round(seconds, 2),
        }
