"""The embedded Airflow's set-up and its supervisor; the real thing is in tests/e2e."""

from __future__ import annotations

import configparser
import importlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from skillsengine.airflow import embedded, embedded_config, supervisor
from skillsengine.airflow.embedded import EmbeddedError
from skillsengine.airflow.embedded_config import environment, write_config
from skillsengine.airflow.embedded_state import State, end_session, read_state, write_state
from skillsengine.airflow.supervisor import Part, Supervisor
from skillsengine.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("SKILLSENGINE_HOME", "SKILLSENGINE_CATALOG", "SKILLSENGINE_DATA_ROOTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "experiments").mkdir()
    (tmp_path / ".skillsengine" / "airflow").mkdir(parents=True)
    return load_settings(tmp_path)


def read_config(settings: Settings, port: int = 8081) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    parser.read(write_config(settings, port))
    return parser


def test_it_is_on_loopback_only_and_everything_follows_the_port(settings: Settings) -> None:
    config = read_config(settings)
    assert config["api"]["host"] == "127.0.0.1" and config["api"]["port"] == "8081"
    assert config["core"]["execution_api_server_url"] == "http://127.0.0.1:8081/execution/"
    assert config["core"]["simple_auth_manager_all_admins"] == "True"
    assert config["core"]["load_examples"] == "False"
    assert supervisor._COMMANDS["scheduler"] == ("scheduler", "--skip-serve-logs"), "no log server on all interfaces"


def test_its_bundles(settings: Settings) -> None:
    bundles = json.loads(read_config(settings)["dag_processor"]["dag_bundle_config_list"])
    assert [bundle["name"] for bundle in bundles] == ["experiments"]
    assert bundles[0]["kwargs"]["project"] == str(settings.project)
    (settings.project / "dags").mkdir()
    bundles = json.loads(read_config(settings)["dag_processor"]["dag_bundle_config_list"])
    assert [bundle["name"] for bundle in bundles] == ["experiments", "platform"]


def test_keys_are_made_once_and_nobody_else_reads_them(settings: Settings) -> None:
    first, second = read_config(settings), read_config(settings, 9000)
    for section, key in (("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret")):
        assert first[section][key] == second[section][key] != ""
    home = settings.home / "airflow"
    assert {(home / name).stat().st_mode & 0o777 for name in ("airflow.cfg", "secrets.json")} == {0o600}


def test_every_option_is_one_that_airflow_knows(settings: Settings) -> None:
    from airflow.configuration import conf

    config = read_config(settings)
    known = {section: set(conf.configuration_description.get(section, {}).get("options", {})) for section in config}
    assert [(s, k) for s in config.sections() for k in config[s] if k not in known[s]] == []


def test_the_callers_environment_does_not_contradict(settings: Settings) -> None:
    base = {
        "PATH": "/bin",
        "WANDB_API_KEY": "k",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://production",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "cat x",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__EMAIL__FROM_EMAIL": "a@b.c",
        "AIRFLOW_HOME": "/elsewhere",
        "NO_PROXY": "example.org",
        "PYTHONPATH": "/x",
    }
    env = environment(settings, 8081, base)
    assert not [name for name in env if name.startswith(("AIRFLOW__DATABASE__SQL", "AIRFLOW__CORE__EXEC"))]
    assert env["AIRFLOW__EMAIL__FROM_EMAIL"] == "a@b.c" and env["WANDB_API_KEY"] == "k"
    assert env["AIRFLOW_HOME"] == str(settings.home / "airflow")
    assert env["SKILLSENGINE_PROJECT"] == str(settings.project)
    assert env["SKILLSENGINE_AIRFLOW_URL"] == "http://127.0.0.1:8081"
    assert env["NO_PROXY"] == "example.org,127.0.0.1,localhost"
    assert env["PYTHONPATH"].startswith("/x:") and "SKILLSENGINE_DATA_ROOTS" not in env


def test_a_named_port_that_is_taken(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"port {port} is taken by another program. Name another one"):
            embedded.up(settings, port)
    assert read_state(settings) is None


def test_the_next_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(embedded, "DEFAULT_PORT", other.getsockname()[1])
        assert embedded._choose_port(None) > other.getsockname()[1]


def test_too_little_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "free_gib", lambda path: 0.3)
    with pytest.raises(EmbeddedError, match=r"only 0\.3 GiB of disk left.*SKILLSENGINE_HOME"):
        embedded.up(settings)


def test_a_start_that_fails_shows_the_last_lines_of_the_logs(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = settings.home / "airflow" / "logs" / "old.log"
    stale.parent.mkdir()
    stale.write_text("from another day\n")
    os.utime(stale, (1, 1))
    # A database that is none.
    (settings.home / "airflow" / "airflow.db").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(EmbeddedError) as caught:
        embedded.up(settings)
    assert str(caught.value).startswith("Airflow did not start.\n--- ")
    assert "file is not a database" in str(caught.value) and "from another day" not in str(caught.value)
    assert read_state(settings) is None and not embedded.status(settings).running


def test_nothing_runs_yet(settings: Settings, tmp_path: Path) -> None:
    assert embedded.status(settings) == embedded.Status(running=False)
    assert embedded.down(settings) is False
    assert not embedded.down(load_settings_of(tmp_path / "fresh"))


def load_settings_of(folder: Path) -> Settings:
    (folder / "experiments").mkdir(parents=True)
    return load_settings(folder)


def part(tmp_path: Path, name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> Part:
    """A part that runs `code` instead of Airflow."""
    script = tmp_path / f"{name}.py"
    script.write_text(code)

    class Scripted(Part):
        def start(self) -> None:
            with self.log.open("ab") as out:
                self.process = subprocess.Popen([sys.executable, str(script)], stdout=out, process_group=0)
            self.started = time.monotonic()

    return Scripted(name, tmp_path / f"{name}.log")


def test_parts_start_in_order_are_started_again_and_end_in_reverse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="skillsengine.supervisor")
    sleeps = "import time\ntime.sleep(60)"
    api, worker = part(tmp_path, "api", sleeps, monkeypatch), part(tmp_path, "worker", sleeps, monkeypatch)
    answers = iter([False, False, True])
    seen: list[list[bool]] = []
    loop = Supervisor([api, worker], lambda: next(answers), lambda parts: seen.append([p.alive() for p in parts]))
    thread = threading.Thread(target=loop.run)
    thread.start()
    wait_until(lambda: worker.alive())
    assert seen[0] == [True, False], "the API server is up before anything else starts"
    assert worker.process
    first = worker.process.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: worker.process is not None and worker.process.pid != first and worker.alive())
    assert worker.restarts == 1 and "worker: ended with -9; starts again in 2 s" in caplog.text
    pids = [p.process.pid for p in (api, worker) if p.process]
    loop.stop_soon(signal.SIGTERM, None)
    thread.join(30)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    ends = [record.getMessage() for record in caplog.records if record.getMessage().endswith(": ended")]
    assert ends == ["worker: ended", "api: ended"]


def test_a_supervisor_whose_home_was_removed_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = part(tmp_path, "api", "import time\ntime.sleep(60)", monkeypatch)
    wanted = iter([True, True, False])
    assert Supervisor([api], lambda: True, lambda parts: None, lambda: next(wanted)).run() == 0
    assert not api.alive()


def test_an_api_server_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api = part(tmp_path, "api", "raise SystemExit(3)", monkeypatch)
    monkeypatch.setattr(supervisor, "_LONGEST_PAUSE", 0.1)
    assert Supervisor([api], lambda: False, lambda parts: None).run() == 1
    assert "api ended 4 times before it answered; giving up" in caplog.text


def test_a_part_that_does_not_listen_is_killed_with_what_it_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_GRACE_SECONDS", 0.5)
    deaf = part(
        tmp_path,
        "deaf",
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.fork() or os.getpid(), flush=True)\ntime.sleep(60)",
        monkeypatch,
    )
    deaf.start()
    wait_until(lambda: deaf.log.exists() and len(deaf.log.read_text().split()) == 2)
    pids = [int(pid) for pid in deaf.log.read_text().split()]
    deaf.stop()
    wait_until(lambda: not any(psutil.pid_exists(p) and psutil.Process(p).status() != "zombie" for p in pids))


def test_a_long_log_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_LOG_BYTES", 100)
    talks = part(tmp_path, "talks", "", monkeypatch)
    talks.log.write_text("x" * 200)
    talks.cut_log()
    assert talks.log.read_text() == "" and (tmp_path / "talks.log.1").read_text() == "x" * 200


def test_what_a_killed_supervisor_left_behind_is_ended(settings: Settings) -> None:
    code = "import os, time\nchild = os.fork()\nprint(os.getpid(), flush=True) if child else None\ntime.sleep(60)"
    leader = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert leader.stdout
    leader.stdout.readline()
    state = State(leader.pid, psutil.Process(leader.pid).create_time(), 8080)
    write_state(settings, state)
    assert state.alive() and len(state.members()) == 2
    leader.kill()
    leader.wait()
    assert not state.alive() and len(state.members()) == 1
    assert embedded.down(settings) is False
    assert state.members() == [] and read_state(settings) is None


def test_a_process_that_got_the_same_number_is_left_alone(settings: Settings) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    try:
        reused = State(other.pid, psutil.Process(other.pid).create_time() + 1000, 8080)
        assert not reused.alive() and reused.members() == []
        end_session(reused, 0)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def wait_until(true: object, seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < until, "it did not come true in time"
        time.sleep(0.05)


def test_sqlite_waits_for_other_writers(settings: Settings) -> None:
    named = read_config(settings)["database"]["sql_alchemy_connect_args"]
    assert named == "skillsengine.airflow.embedded_config.SQLITE_CONNECT_ARGS"
    assert embedded_config.SQLITE_CONNECT_ARGS["timeout"] >= 30


def test_the_api_server_waits_less_for_them_than_those_who_ask_it(settings: Settings) -> None:
    """tests/e2e/test_busy_database.py shows why."""
    named = supervisor._ENVIRONMENTS["api-server"]["AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS"]
    module, _, name = named.rpartition(".")
    patience = int(read_config(settings)["workers"]["execution_api_timeout"])
    assert getattr(importlib.import_module(module), name)["timeout"] < patience / 2
