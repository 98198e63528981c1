"""The embedded Airflow's configuration: one machine, one user, loopback only, SQLite.

It is written to `<home>/airflow/airflow.cfg`, so that `AIRFLOW_HOME=<home>/airflow airflow ...` talks to it too.
"""

from __future__ import annotations

import base64
import configparser
import importlib.metadata
import io
import json
import os
import secrets
import shutil
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import psutil

import skillsengine
from skillsengine.settings import Settings

HOST = "127.0.0.1"
SQLITE_CONNECT_ARGS = {"timeout": 60}
"""Seconds that a writer waits for another one, instead of failing with "database is locked"."""
API_CONNECT_ARGS = {"timeout": 5}
"""The same for the API server, where whoever waits may stand in the way of the one that is waited for.

Airflow writes its audit log in the event loop (`action_logging`), and a request that holds SQLite's write lock needs that loop
to commit: the two wait for each other until the time is over. The clients try again what then failed.
"""

_GIB = 1 << 30
_SECRETS = "secrets.json"


def airflow_home(settings: Settings) -> Path:
    return settings.home / "airflow"


def log_folder(settings: Settings) -> Path:
    return airflow_home(settings) / "logs"


def write_config(settings: Settings, port: int) -> Path:
    """Write `airflow.cfg`, readable by its owner only, and return its path."""
    home = airflow_home(settings)
    parser = configparser.RawConfigParser()
    parser.read_dict(_options(settings, port, _keys(home)))
    text = io.StringIO()
    parser.write(text)
    _write_plugin(home / "plugins")
    path = home / "airflow.cfg"
    _write_private(
        path, "# Written by skillsengine at each start of the embedded Airflow; edits are lost.\n" + text.getvalue()
    )
    return path


def environment(settings: Settings, port: int, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the parts, and through them the tasks, find in their environment.

    `AIRFLOW__…` variables of the caller pass, but not where they would contradict the embedded set-up: a shell that
    is set up for another Airflow must not point this one at that one's database.
    """
    own = {
        f"AIRFLOW__{section}__{key}".upper()
        for section, values in _options(settings, port, {}).items()
        for key in values
    }
    env = {name: value for name, value in base.items() if name not in own and _without_suffix(name) not in own}
    package = str(Path(skillsengine.__file__).resolve().parent.parent)
    if package not in map(sysconfig.get_path, ("purelib", "platlib")):
        # `up` from a checkout, which may not be installed: the parts must find the same package.
        paths = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path]
        env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys((*paths, package)))
    loopback = [HOST, "localhost"]
    for name in ("NO_PROXY", "no_proxy"):  # the parts talk to each other, never through a proxy
        env[name] = ",".join(dict.fromkeys((*filter(None, env.get(name, "").split(",")), *loopback)))
    env |= {
        "AIRFLOW_HOME": str(airflow_home(settings)),
        "AIRFLOW_CONFIG": str(airflow_home(settings) / "airflow.cfg"),
        "SKILLSENGINE_PROJECT": str(settings.project),
        "SKILLSENGINE_HOME": str(settings.home),
        "SKILLSENGINE_CATALOG": settings.catalog_url,
        "SKILLSENGINE_AIRFLOW_URL": f"http://{HOST}:{port}",
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
        "PYTHONUNBUFFERED": "1",
    }
    if settings.data_roots:
        env["SKILLSENGINE_DATA_ROOTS"] = os.pathsep.join(map(str, settings.data_roots))
    return env


def _without_suffix(name: str) -> str:
    return name.removesuffix("_CMD").removesuffix("_SECRET")


def _options(settings: Settings, port: int, keys: Mapping[str, str]) -> dict[str, dict[str, str]]:
    home, url = airflow_home(settings), f"http://{HOST}:{port}"
    return {
        "core": {
            "executor": "LocalExecutor",
            "mp_start_method": "fork",
            "auth_manager": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "simple_auth_manager_all_admins": "True",
            "execution_api_server_url": f"{url}/execution/",
            "load_examples": "False",
            "dags_folder": str(home / "dags"),
            "plugins_folder": str(home / "plugins"),
            "parallelism": "4",
            "default_pool_task_slot_count": str(_slots()),
            "default_timezone": "utc",
            # The name is only shown; asking the network for the full one can hang where there is none.
            "hostname_callable": "socket.gethostname",
            "fernet_key": keys.get("fernet", ""),
            "min_serialized_dag_update_interval": "0",
            # Every file of our folders is one of DAGs; looking into each for the word at every refresh was a third of the work.
            "dag_discovery_safe_mode": "False",
        },
        "database": {
            "sql_alchemy_conn": f"sqlite:///{home / 'airflow.db'}",
            "sql_alchemy_connect_args": "skillsengine.airflow.embedded_config.SQLITE_CONNECT_ARGS",
            "sql_alchemy_connect_args_async": "skillsengine.airflow.embedded_config.SQLITE_CONNECT_ARGS",
        },
        "api": {
            "host": HOST,
            "port": str(port),
            "base_url": url,
            "workers": "1",
            "secret_key": keys.get("api", ""),
            "instance_name": "skillsengine",
        },
        "api_auth": {"jwt_secret": keys.get("jwt", "")},
        "logging": {
            "base_log_folder": str(home / "logs"),
            "dag_processor_child_process_log_directory": str(home / "logs" / "dag_processor"),
            "colored_console_log": "False",
            "uvicorn_logging_level": "WARNING",
            # Every look into experiments/ is worth several lines to Airflow.
            "namespace_levels": "airflow.dag_processing=WARNING airflow.timetables=WARNING",
        },
        "scheduler": {
            "enable_health_check": "False",
            # Between two tasks of a run stands a look of the scheduler: a second each time is as long as a short task takes.
            # Half of it costs a processor two seconds a minute more at rest.
            "scheduler_idle_sleep_time": "0.5",
            "task_instance_heartbeat_timeout": "120",
            "orphaned_tasks_check_interval": "60",
        },
        # A busy machine answers late: a task must not be given up because three heartbeats went unheard.
        "workers": {"max_failed_heartbeats": "20", "execution_api_timeout": "30"},
        "dag_processor": {
            "dag_bundle_storage_path": str(home / "bundles"),
            "dag_bundle_config_list": json.dumps(_bundles(settings)),
            # A changed file is parsed at once because its mtime is newer; this is for files that did not change: four times
            # a day, since a thousand of them are 200 seconds of a processor.
            "min_file_process_interval": "21600",
            "bundle_refresh_check_interval": "1",
            "refresh_interval": "3",
            "print_stats_interval": "0",
            "dag_file_processor_timeout": "120",
            "parsing_processes": "1",
        },
    }


def _bundles(settings: Settings) -> list[dict[str, object]]:
    found: list[dict[str, object]] = [
        {
            "name": "experiments",
            "classpath": "skillsengine.airflow.bundle.ExperimentsBundle",
            "kwargs": {"project": str(settings.project), "path": str(settings.home / "bundle"), "refresh_interval": 3},
        }
    ]
    if (settings.project / "dags").is_dir():
        found.append(
            {
                "name": "platform",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(settings.project / "dags"), "refresh_interval": 30},
            }
        )
    return found


def _slots() -> int:
    """Tasks at a time: training takes 4 to 9 GB, so a small machine does one after another. The pool can be edited in
    the UI."""
    memory: int = psutil.virtual_memory().total
    return max(1, min(2, memory // (10 * _GIB)))


def _keys(home: Path) -> dict[str, str]:
    """The keys that the parts share, made once."""
    path = home / _SECRETS
    if path.exists():
        return {str(name): str(value) for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    keys = {
        "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "api": secrets.token_urlsafe(32),
        "jwt": secrets.token_urlsafe(64),
    }
    _write_private(path, json.dumps(keys))
    return keys


def _write_plugin(folder: Path) -> None:
    """A checkout that is not installed has no entry point by which Airflow would find our plugin; a file stands in for it."""
    path = folder / "skillsengine_plugin.py"
    if importlib.metadata.entry_points(group="airflow.plugins", name="skillsengine"):
        path.unlink(missing_ok=True)  # twice the same plugin is an error to Airflow
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "from skillsengine.airflow.plugin import SkillsenginePlugin  # noqa: F401 - Airflow finds it by its class\n",
        encoding="utf-8",
    )


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def free_gib(path: Path) -> float:
    """Free space of the disk that `path` is, or will be, on."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / _GIB
