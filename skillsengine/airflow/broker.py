"""Celery's broker, as Airflow's configuration in this environment tells of it: does it hand out a long task twice?

A broker such as Redis or SQS waits for a worker's word that a task is done, and after its visibility time-out gives the task
to another worker. Airflow's Celery provider (3.26) sets a day where nothing else is said, and lets workers say the word at
the end (`[celery] task_acks_late`). RabbitMQ knows no such time-out; its `consumer_timeout` stands in its own
configuration, and cannot be looked at from here.

Airflow's own parser is not used: its import takes seconds and writes a file, and it runs commands (`broker_url_cmd`) and asks
secrets backends.
"""

from __future__ import annotations

import configparser
import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from skillsengine.spec.schema import STAGES, Experiment, StageResources, format_duration

_PROVIDERS_DEFAULT = timedelta(days=1)
_DEFAULT_URL = "redis://redis:6379/0"
_WITH_VISIBILITY = ("redis://", "rediss://", "sqs://", "sentinel://")
_RABBITMQ = "RabbitMQ: `consumer_timeout`, 30 minutes where nobody set it"
_MARGIN = timedelta(hours=1)
"""A task waits a while in a worker before it starts, and the broker's time runs already."""
_OPTION = "[celery_broker_transport_options] visibility_timeout"


class ConfigError(Exception):
    """Airflow's configuration cannot be read; the text says which part, and the mend."""


@dataclass(frozen=True)
class Broker:
    """When Celery's broker gives a task to a second worker."""

    after: timedelta | None
    """So long after the first one got it; None: never, or unknown."""
    set_by: str = ""
    """Where that stands, for people."""
    unknown: str | None = None
    """Why it cannot be told from here."""


def timeout_problem(experiment: Experiment) -> str | None:
    """One sentence, with the mend, if a stage may run longer than Celery's broker waits for its end; else None.

    None, too, where this environment's configuration of Airflow names no CeleryExecutor, or does not tell.
    """
    try:
        broker = find_broker()
    except ConfigError as error:
        return str(error)
    if broker is None or broker.after is None:
        return None
    fields = _timeouts(experiment)
    field = max(fields, key=lambda name: fields[name])
    longest = fields[field]
    if longest < broker.after:
        return None
    enough = int((longest + _MARGIN).total_seconds())
    return (
        f"{field}: a task may run for {format_duration(longest)}, and after {format_duration(broker.after)} "
        f"({broker.set_by}) Celery's broker gives it to a second worker while the first still runs it. Set {_OPTION} to "
        f"{enough} (seconds) or more for the scheduler and all workers, or lower {field}."
    )


def executor_set() -> str | None:
    """The default executor that this environment's configuration of Airflow names; None where it names none.

    `CeleryExecutor`, without the path of its module. Raises ConfigError.
    """
    return default_executor(_option("core", "executor") or "")


def default_executor(setting: str) -> str | None:
    """The executor that runs what asks for no other, of a value of `[core] executor`; None of an empty one.

    `LocalExecutor,alias:my.module.Other;team=CeleryExecutor` -> `LocalExecutor`: the first one, of no team.
    """
    first = setting.partition(";")[0].strip("=").partition(",")[0].strip()
    return first.rpartition(":")[2].rpartition(".")[2] or None


def find_broker() -> Broker | None:
    """None where this environment's configuration names no CeleryExecutor. Raises ConfigError."""
    if executor_set() != "CeleryExecutor":
        return None
    own = _option("celery", "celery_config_options")
    if own is not None and not own.startswith("airflow.providers.celery."):
        return Broker(None, unknown=f"[celery] celery_config_options names {own}, which is code and is not run here")
    extra = _extra()
    acks_late = extra.get("task_acks_late", _option("celery", "task_acks_late"))
    if acks_late is not None and str(acks_late).strip().lower() in ("false", "f", "0"):
        return Broker(None)  # a task is the worker's as soon as it has it
    options = extra.get("broker_transport_options")
    if isinstance(options, dict):
        given = options.get("visibility_timeout")
    else:
        given = _option("celery_broker_transport_options", "visibility_timeout")
    if given is not None:
        return Broker(_seconds(given), "visibility_timeout")
    url = extra.get("broker_url", _option("celery", "broker_url", _DEFAULT_URL))
    if url is None:
        return Broker(None, unknown="[celery] broker_url comes from a command or a secrets backend, which is not asked")
    if not str(url).startswith(_WITH_VISIBILITY):
        kind = str(url).partition("://")[0]
        return Broker(None, unknown=f"a broker {kind}:// keeps that in its own configuration ({_RABBITMQ})")
    return Broker(_PROVIDERS_DEFAULT, "the default visibility_timeout")


def _timeouts(experiment: Experiment) -> dict[str, timedelta]:
    """Field -> longest run of a stage that it sets. The tasks beside the stages are short."""
    resources = experiment.resources
    stages: dict[str, StageResources] = dict(resources.stages)  # type: ignore[arg-type]  # narrower keys
    own = {name: stage.timeout for name, stage in stages.items() if stage.timeout is not None}
    fields = {f"resources.stages.{name}.timeout": value for name, value in own.items()}
    return fields if len(own) == len(STAGES) else {"resources.timeout": resources.timeout} | fields


def _seconds(value: Any) -> timedelta:
    try:
        return timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{_OPTION}: `{value}` is no number of seconds; write one, such as 180000.") from None


def _extra() -> dict[str, Any]:
    text = _option("celery", "extra_celery_config")
    if not text:
        return {}
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        raise ConfigError("[celery] extra_celery_config is no JSON object; mend it.") from None


def _option(section: str, key: str, default: str | None = None) -> str | None:
    """What the environment, else airflow.cfg, says; None where a command or a secrets backend would have to be asked."""
    variable = f"AIRFLOW__{section}__{key}".upper()
    if variable in os.environ:
        return os.environ[variable]
    if f"{variable}_CMD" in os.environ or f"{variable}_SECRET" in os.environ:
        return None
    parser = _file()
    if parser.has_option(section, key):
        return parser.get(section, key)
    asked = parser.has_option(section, f"{key}_cmd") or parser.has_option(section, f"{key}_secret")
    return None if asked else default


def config_file() -> Path:
    """Where airflow.cfg of this environment is, or would be."""
    home = os.environ.get("AIRFLOW_HOME", "~/airflow")
    return Path(os.path.expandvars(os.environ.get("AIRFLOW_CONFIG", f"{home}/airflow.cfg"))).expanduser()


def _file() -> configparser.RawConfigParser:
    path = config_file()
    parser = configparser.RawConfigParser()
    try:
        if path.exists():
            parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ConfigError(f"{path} cannot be read ({str(error).splitlines()[0]}); mend it.") from error
    return parser
