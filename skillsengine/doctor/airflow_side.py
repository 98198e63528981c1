"""What Airflow says of itself over its REST API: its parts, pools, executor, DAGs and import errors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from skillsengine.airflow.broker import ConfigError, default_executor, executor_set
from skillsengine.airflow.client import AirflowClient, AirflowError
from skillsengine.airflow.embedded_state import read_state
from skillsengine.doctor.finding import Finding, listed, ok, problem, unknown
from skillsengine.doctor.patience import NoAnswer, Patience
from skillsengine.pipeline.bounds import pool_of, slots_of
from skillsengine.settings import Settings, without_login
from skillsengine.spec.schema import Experiment

_SUBJECT = "Airflow"
_STEP_SECONDS = 5.0


@dataclass(frozen=True)
class AirflowState:
    """One look at an Airflow."""

    url: str
    """Without a login."""
    embedded: bool = False
    version: str = ""
    health: Mapping[str, Any] = field(default_factory=dict)
    """Part -> its status, as `/api/v2/monitor/health` gives it."""
    pools: Mapping[str, int] = field(default_factory=dict)
    """Pool -> slots; -1 is any number."""
    dags: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Id -> DAG, those too whose file is gone (`is_stale`)."""
    errors: tuple[Mapping[str, Any], ...] = ()
    """Import errors."""
    executor: str | None = None
    """`LocalExecutor`; None where it cannot be told from here."""
    executor_by: str = ""
    """Who says so."""


def look_at_airflow(settings: Settings, patience: Patience) -> tuple[list[Finding], AirflowState | None, str | None]:
    """(findings about Airflow itself, what it says, its address with the login); without an answer only the first."""
    address, embedded = find_address(settings)
    if address is None:
        finding = unknown(
            _SUBJECT,
            "none is known here, so pools, queues and DAGs were not looked at",
            "`make up` (or `skillsengine up`) starts one; SKILLSENGINE_AIRFLOW_URL names yours",
        )
        return [finding], None, None
    shown = without_login(address)
    try:
        state = patience.ask(lambda: _look(address, embedded))
    except (AirflowError, NoAnswer) as error:
        said = str(error) if shown in str(error) else f"{shown}: {error}"
        return [_silent(said, embedded)], None, None
    return list(_health(state)), state, address


def find_address(settings: Settings) -> tuple[str | None, bool]:
    """(address of the Airflow that the environment names, else of the embedded one, whether it is the embedded one)."""
    state = read_state(settings)
    own = state.url if state is not None and state.alive() else None
    if settings.airflow_url:
        return settings.airflow_url, without_login(settings.airflow_url) == own
    return own, own is not None


def examine_pools(state: AirflowState, experiments: Collection[Experiment]) -> Iterator[Finding]:
    """Does each pool that a task asks for exist, with a slot?"""
    askers = _askers(experiments, "pool")
    well = []
    for pool, names in sorted(askers.items()):
        slots = state.pools.get(pool)
        if slots is None:
            yield problem(
                f"pool {pool}",
                f"Airflow has no such pool: tasks of {listed(names)} are never started",
                f'make it (Admin, Pools; or `airflow pools set {pool} 1 ""`), or mend resources.pool',
            )
        elif slots == 0:
            yield problem(
                f"pool {pool}",
                f"it has 0 slots: tasks of {listed(names)} are never started",
                f'give it some (Admin, Pools; or `airflow pools set {pool} 1 ""`)',
            )
        elif wide := _too_wide(experiments, pool, slots):
            most = max(wide.values())
            yield problem(
                f"pool {pool}",
                f"it has {slots} slot{'s' * (slots != 1)}, and a training takes one for each of its GPUs (resources.gpus: "
                f"{most}): those of {listed(list(wide))} are never started",
                f'give the pool as many slots as there are GPUs (`airflow pools set {pool} {most} ""`), or lower '
                "resources.gpus",
            )
        else:
            well.append(f"{pool} ({'any number of' if slots < 0 else slots} slot{'s' * (slots != 1)})")
    if well:
        yield ok("pools", ", ".join(well))


def _too_wide(experiments: Collection[Experiment], pool: str, slots: int) -> dict[str, int]:
    """Experiment -> slots that its training takes, of those that take more than the pool has; -1 are any number."""
    taken = {e.name: slots_of(e, "finetune") for e in experiments if pool_of(e, "finetune") == pool}
    return {name: count for name, count in sorted(taken.items()) if count > slots > 0}


def queues_of(experiments: Collection[Experiment]) -> dict[str, list[str]]:
    """Queue -> the experiments with tasks in it."""
    return _askers(experiments, "queue")


def _askers(experiments: Collection[Experiment], what: str) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for experiment in experiments:
        resources = experiment.resources
        for asking in (resources, *resources.stages.values()):
            if (value := getattr(asking, what)) is not None:
                found.setdefault(value, set()).add(experiment.name)
    return {value: sorted(names) for value, names in found.items()}


def _look(address: str, embedded: bool) -> AirflowState:
    with AirflowClient(address, timeout=_STEP_SECONDS) as client:
        health = client.ask_health()
        executor, said_by = _executor(client, embedded)
        return AirflowState(
            url=client.url,
            embedded=embedded,
            version=client.version(),
            health=health,
            pools={pool["name"]: pool["slots"] for pool in client.pools()},
            dags={dag["dag_id"]: dag for dag in client.dags(stale=True)},
            errors=tuple(client.import_errors()),
            executor=executor,
            executor_by=said_by,
        )


def _executor(client: AirflowClient, embedded: bool) -> tuple[str | None, str]:
    if embedded:
        return "LocalExecutor", "the embedded Airflow"
    shown = client.config("core", "executor")
    if shown:
        return default_executor(shown), "Airflow's configuration"
    try:
        return executor_set(), "the configuration of Airflow in this environment"
    except ConfigError:
        return None, ""  # told with the broker


def _silent(text: str, embedded: bool) -> Finding:
    if embedded:
        return problem(
            _SUBJECT, f"{text}, although its processes run", "`skillsengine status` tells its parts and logs"
        )
    return problem(
        _SUBJECT,
        f"{text}; so pools, queues and DAGs were not looked at",
        "see that it runs, can be reached from here, and lets that login read DAGs and pools; or mend SKILLSENGINE_AIRFLOW_URL",
    )


def _health(state: AirflowState) -> Iterator[Finding]:
    ill = [part for part in ("metadatabase", "scheduler", "dag_processor") if _status(state, part) != "healthy"]
    does = {"scheduler": "no run starts", "dag_processor": "no edit of a spec is seen", "metadatabase": "nothing works"}
    for part in ill:
        yield problem(
            _SUBJECT,
            f"{state.url}: its {part.replace('_', ' ')} is {_status(state, part)}: {does[part]}",
            "`make down`, then `make up`" if state.embedded else "start that part, and look into its log",
        )
    if not ill:
        kind = "the embedded one, " if state.embedded else ""
        yield ok(_SUBJECT, f"{state.url} answers ({kind}{state.version}); scheduler and DAG processor are well")


def _status(state: AirflowState, part: str) -> str:
    return str((state.health.get(part) or {}).get("status") or "missing")
