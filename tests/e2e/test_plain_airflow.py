"""An Airflow that none of our scripts made: plain `airflow` commands, an empty AIRFLOW_HOME, and what the pages "Add to your
Airflow" and "Notifications" say. Their blocks are read from them, so they cannot say anything else than what is tested here."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.client import AirflowClient
from skillsengine.settings import Settings, without_login
from skillsengine.storage.catalog import Catalog
from tests.conftest import PROJECT
from tests.e2e.conftest import SPEC, Platform, free_port, wait_for
from tests.pipeline.project import make_project
from tests.sinks import PostSink

pytestmark = pytest.mark.nightly

PAGE = PROJECT / "docs" / "add-to-your-airflow.md"
MESSAGES = PROJECT / "docs" / "notifications.md"
BIN = Path(sys.executable).parent
CHAIN = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote", "report")
OWN_DAG = """\
from airflow.sdk import DAG
with DAG("somebody_elses", schedule=None):
    pass
"""


def block(name: str, places: Mapping[str, object], page: Path = PAGE) -> str:
    """A block of a page by the mark above it, with the page's places replaced by ours."""
    (text,) = re.findall(rf"<!-- tested: {name} -->\n```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for place, ours in places.items():
        assert place in text, f"the block `{name}` of {page.name} no longer says {place}"
        text = text.replace(place, str(ours))
    return str(text)


def assignments(text: str) -> dict[str, str]:
    """The variables that a block sets."""
    return dict(word.split("=", 1) for word in shlex.split(text))


@dataclass(frozen=True)
class Plain:
    """A plain Airflow before and while it runs."""

    root: Path
    settings: Settings
    port: int
    env: dict[str, str]
    """What every part finds in its environment; nothing of the test's own but its paths."""

    @property
    def url(self) -> str:
        """With the login that Airflow's simple auth manager made up."""
        made = self.root / "airflow" / "simple_auth_manager_passwords.json.generated"
        password = json.loads(made.read_text(encoding="utf-8"))["admin"]
        return f"http://admin:{password}@127.0.0.1:{self.port}"

    def run(self, command: str, **more: str) -> str:
        """A shell command as an admin types it."""
        done = subprocess.run(
            ["bash", "-euc", command], env=self.env | more, cwd=self.root, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def part(self, *words: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """`airflow WORDS`, ended with what it started when the test is over."""
        log = self.root / f"{words[0]}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(BIN / "airflow"), *words],
                env=self.env | more,
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:  # noqa: SIM105
                process.wait(15)
            except subprocess.TimeoutExpired:
                pass
            try:  # noqa: SIM105
                os.killpg(process.pid, signal.SIGKILL)  # the parts leave children behind
            except ProcessLookupError:
                pass
            process.wait()

    @contextmanager
    def started(self, **more: str) -> Iterator[AirflowClient]:
        """API server, scheduler, DAG processor and triggerer, one after the other as their manual says."""
        self.run("airflow db migrate")
        with ExitStack() as parts:
            parts.enter_context(self.part("api-server", "--port", str(self.port), "--workers", "1"))
            probe = AirflowClient(f"http://127.0.0.1:{self.port}")
            wait_for("the API server", probe.health, 300)
            # Links and notes: the page's optional setting, whose password only exists now.
            told = {name: value.replace("http://LOGIN", self.url) for name, value in more.items()}
            for name in ("scheduler", "dag-processor", "triggerer"):
                parts.enter_context(self.part(name, **told))
            yield parts.enter_context(AirflowClient(self.url))


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    """An empty AIRFLOW_HOME with somebody else's DAG in it, and a project with two specs."""
    home, port = tmp_path / "airflow", free_port()
    (home / "dags").mkdir(parents=True)
    (home / "dags" / "own.py").write_text(OWN_DAG, encoding="utf-8")
    settings = make_project(tmp_path / "skills")
    (settings.experiments / "tiny.yaml").write_text(SPEC.format(name="tiny"), encoding="utf-8")
    weekly = SPEC.format(name="weekly").replace(
        "schedule: none", "schedule: partition\nstart_date: 2026-01-01\npaused: true"
    )
    weekly = weekly.replace("window: 2}", "window: 2, period: week}")
    (settings.experiments / "weekly.yaml").write_text(weekly, encoding="utf-8")
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    env = kept | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "AIRFLOW_HOME": str(home),
        # So that several may run on this machine, without Airflow's examples, and without a network.
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    return Plain(tmp_path, settings, port, env)


def runs_through(plain: Plain, client: AirflowClient, seconds: float = 900.0) -> dict[str, Any]:
    """A run of `tiny` from the trigger to the registered version."""
    platform = Platform(plain.settings, client, 0.0)
    assert client.import_errors() == []
    run_id = client.trigger("tiny")
    run = platform.finish("tiny", run_id, seconds)
    states = platform.states("tiny", run_id)
    logs = {task: client.task_log("tiny", run_id, task, 1)[-20:] for task, state in states.items() if state == "failed"}
    assert states == dict.fromkeys(CHAIN, "success"), logs
    version = Catalog.open(plain.settings.catalog_url).resolve("tiny", "latest")
    assert (version.number, version.state) == (1, "ready")
    return run


def test_with_two_settings_a_folder_of_specs_becomes_dags(plain: Plain) -> None:
    started = time.monotonic()
    named = assignments(block("settings", {"/srv/skills": plain.settings.project}))
    assert set(named) == {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", "SKILLSENGINE_PROJECT"}, "two settings"
    plain.env.update(named)
    assert "skillsengine" in plain.run(block("check", {}))
    places = {"/path/to/skillsengine": PROJECT, "/srv/airflow/dags": plain.root / "airflow" / "dags"}
    plain.run(block("housekeeping", places))
    spec = plain.settings.experiments / "tiny.yaml"
    spec.write_text(f"{spec.read_text(encoding='utf-8')}notify: {{connection: team-hook, deadline: 3s}}\n")
    with PostSink() as posts, plain.started(SKILLSENGINE_AIRFLOW_URL="http://LOGIN") as client:
        here = {'"https"': f'"http", "port": {posts.port}', "hooks.example.com": "127.0.0.1"}
        plain.run(block("hook", here, MESSAGES))
        wait_for("the DAGs", lambda: client.dag("tiny") and client.dag("weekly.evaluations"), 300)
        wait_for("the DAGs of others, which stay", lambda: client.dag("somebody_elses"))
        weekly = client.dag("weekly")
        assert weekly is not None and weekly["is_paused"]
        assert weekly["timetable_description"] == "Once a week, when the week is over"
        up = time.monotonic() - started
        run = runs_through(plain, client)
        assert run["note"].startswith("tiny@1 · 2026-03 · F1: adapter ")
        is_told(posts, plain, run)
        chores_are_done(plain, client)
        breaks_and_is_mended(plain, client)
        is_paused_and_goes_on(plain, client)
    print(
        f"plain Airflow with the bundle: up with its DAGs after {up:.0f} s, {time.monotonic() - started:.0f} s in all"
    )


def is_told(posts: PostSink, plain: Plain, run: Mapping[str, Any]) -> None:
    """The missed deadline and the verdict of a run came by way of the connection that the page makes."""
    assert [post.body["event"] for post in posts.posts] == ["deadline", "verdict"]
    for post in posts.posts:
        assert (post.path, post.headers["x-team"]) == ("/services/T000/B000", "skills")
        assert post.body["run_id"] == run["dag_run_id"]
    late, verdict = (post.body for post in posts.posts)
    assert verdict["url"].startswith(f"http://127.0.0.1:{plain.port}/dags/tiny/runs/"), "without the login"
    assert late["headline"] == "not done after 3s"


def chores_are_done(plain: Plain, client: AirflowClient) -> None:
    """The platform's own DAG, which the page copies, has run once."""
    dag_id = "skillsengine.housekeeping"
    (run,) = wait_for("its first run", lambda: client.runs(dag_id))
    assert Platform(plain.settings, client, 0.0).finish(dag_id, run["dag_run_id"])["state"] == "success"


def breaks_and_is_mended(plain: Plain, client: AirflowClient) -> None:
    """A spec that is dropped later and then breaks, and one that was never right: both are told, all DAGs stay."""
    late, never = (plain.settings.experiments / f"{name}.yaml" for name in ("late", "never"))
    late.write_text(SPEC.format(name="late"), encoding="utf-8")
    wait_for("the late one", lambda: client.dag("late"))
    late.write_text("name: late\nnonsense: 1\n", encoding="utf-8")
    never.write_text(SPEC.format(name="never").replace("window: 2", "window: many"), encoding="utf-8")
    wait_for("both errors", lambda: len(client.import_errors()) == 2)
    errors = {error["filename"]: error["stack_trace"] for error in client.import_errors()}
    assert errors["late.yaml.py"].startswith("spec: experiments/late.yaml:1:1: data: missing")
    assert errors["never.yaml.py"].startswith("spec: experiments/never.yaml:3:54: data.window: expected an int")
    for name in ("late", "tiny", "weekly", "somebody_elses"):
        dag = client.dag(name)
        assert dag is not None and not dag["is_stale"], f"{name} stays"
    assert client.dag("never") is None
    late.write_text(SPEC.format(name="late"), encoding="utf-8")
    never.unlink()
    wait_for("the mend", lambda: not client.import_errors())


def is_paused_and_goes_on(plain: Plain, client: AirflowClient) -> None:
    """`skillsengine pause --all` from a shell that knows Airflow's address, and the command that it prints."""
    address = {"SKILLSENGINE_AIRFLOW_URL": plain.url}
    said = plain.run("skillsengine pause --all", **address)
    undo = "skillsengine unpause late skillsengine.housekeeping tiny"
    assert "paused tiny.evaluations\n" in said and "weekly was paused already\n" in said and undo in said, said
    assert all(dag["is_paused"] for dag in client.dags() if dag["dag_id"] != "somebody_elses")
    assert "somebody_elses" not in said
    looked = plain.run("cd skills; skillsengine doctor experiments/late.yaml experiments/tiny.yaml", **address)
    assert f"{without_login(plain.url)} answers (3.3" in looked and "(LocalExecutor)" in looked, looked
    assert "late, tiny: paused in Airflow, and the spec does not say so" in looked, looked
    plain.run(undo, **address)
    paused = {dag["dag_id"] for dag in client.dags() if dag["is_paused"]}
    assert paused - {"somebody_elses"} == {"weekly", "weekly.evaluations"}, "what was paused before stays so"


def test_compiled_files_in_a_dags_folder_do_the_same(plain: Plain) -> None:
    started = time.monotonic()
    command = block("compile", {"/srv/skills": plain.settings.project, "/srv/airflow": plain.root / "airflow"})
    assert "2 written, 0 unchanged, 0 removed" in plain.run(command)
    assert "0 written, 2 unchanged" in plain.run(command)
    with plain.started() as client:
        wait_for("the DAGs", lambda: client.dag("tiny") and client.dag("weekly.evaluations"), 300)
        assert client.dag("somebody_elses")
        run = runs_through(plain, client)
        assert run["note"] is None
        log = "\n".join(client.task_log("tiny", run["dag_run_id"], "report", 1))
        assert "SKILLSENGINE_AIRFLOW_URL is not set: the note stands in this log and in the catalog only" in log
        (plain.settings.experiments / "weekly.yaml").unlink()
        assert "removed weekly.py" in plain.run(command)
        assert not (plain.root / "airflow" / "dags" / "skills" / "weekly.py").exists()
        assert (plain.root / "airflow" / "dags" / "own.py").read_text() == OWN_DAG
    print(f"plain Airflow with compiled files: {time.monotonic() - started:.0f} s in all")
