"""Push a run's version to the Hub, where its spec says so. A step of its own: a Hub that is away costs no version."""

from __future__ import annotations

from typing import Any

from skillsengine.pipeline.plan import PlanError
from skillsengine.pipeline.run import Run
from skillsengine.tracking.hub import push


def run_push(run: Run) -> dict[str, Any]:
    """Push the version that this run registered to `register.hub`; may be repeated.

    Returns {"pushed": bool, "reason"} or {"pushed", "version", "repo", "tag", "commit", "url"}. Raises PushError where the
    Hub does not take it, PlanError where the run has registered nothing yet.
    """
    experiment = run.experiment
    if experiment.register.hub is None:
        return {"pushed": False, "reason": "register.hub is null"}
    if run.options.limit:
        return {"pushed": False, "reason": "a smoke test (--limit) registers nothing"}
    version = run.catalog.find_version(experiment.model_name, run.plan.adapter.digest)
    if version is None or version.path is None:
        raise PlanError(
            f"there is nothing to push to {experiment.register.hub}: this run has not registered its adapter under "
            f"{experiment.model_name} yet. Run stage `register` first."
        )
    done = push(
        run.store.version_folder(version.path, version.artifact_digest).resolve(),
        experiment.register.hub,
        version=version.name,
        private=experiment.register.private,
    )
    told = {"version": version.name, "repo": done.repo, "tag": done.tag, "commit": done.commit, "url": done.url}
    run.catalog.set_run_data(run.id, hub=told)
    return {"pushed": done.new, **told}
