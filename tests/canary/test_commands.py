"""One job by the command line, from ads in S3 to a served version, in an installation full of canaries: none gets out.

The same under the real Airflow is tests/e2e/test_canary.py.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from skillsengine.spec.load import resolved
from tests.canary.installation import Planted, plant
from tests.canary.planting import new_secret
from tests.canary.watching import ProcessList
from tests.cli.conftest import Command
from tests.cli.conftest import command as command
from tests.pipeline.project import make_project, tiny_experiment, write_month
from tests.sources.servers import S3
from tests.sources.servers import moto_port as moto_port
from tests.sources.servers import s3 as s3

MONTHS = ("2026-01", "2026-02", "2026-03")
SOURCE = {"source": "s3://ads/jobs/{partition}.jsonl", "window": 2, "connection": "ads-store"}


@dataclass(frozen=True)
class Told:
    """What is there to be searched."""

    planted: Planted
    project: Path
    said: Path
    """A folder with what the commands printed."""

    def hits(self) -> dict[str, set[str]]:
        return self.planted.canaries.in_tree(self.project, self.said, self.planted.person)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", months=()).project


@pytest.fixture
def told(s3: S3, tmp_path: Path, project: Path) -> Iterator[Told]:
    """A project whose ads are in S3, for those who have the connection's keys."""
    for month in MONTHS:
        write_month(tmp_path / "ads.jsonl", month)
        s3.put(f"jobs/{month}.jsonl", (tmp_path / "ads.jsonl").read_bytes())
    key, secret = s3.demand_keys("s3:ListBucket", "s3:GetObject")
    (tmp_path / "person").mkdir()
    planted = plant(tmp_path / "person", s3=(s3.endpoint, key, secret))
    spec = tiny_experiment(data=SOURCE, tracking={"mode": "offline"}, notify={"connection": "team-hook"})
    (project / "experiments" / "tiny.yaml").write_text(yaml.safe_dump(resolved(spec)))
    (tmp_path / "said").mkdir()
    yield Told(planted, project, tmp_path / "said")


def python(told: Told, name: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, as talkative as it gets; what it prints is kept."""
    command = [sys.executable, "-m", "skillsengine", "--verbose", *words]
    environment: Mapping[str, str] = told.planted.environment | env
    done = subprocess.run(command, cwd=told.project, env=environment, capture_output=True, text=True, check=False)
    (told.said / f"{name}.txt").write_text(done.stdout + done.stderr)
    return done


@pytest.fixture
def inside(told: Told, command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The same in this process, which costs no start."""
    for name in os.environ:
        if name.startswith(("AWS_", "SKILLSENGINE_", "WANDB_", "AIRFLOW_")):
            monkeypatch.delenv(name)
    for name, value in told.planted.env.items():
        monkeypatch.setenv(name, value)
    return command


@pytest.mark.nightly
def test_no_secret_gets_out_of_a_job(told: Told, inside: Command) -> None:
    with ProcessList() as processes:
        done = python(told, "run", "run", "experiments/tiny.yaml")
    assert done.returncode == 0, done.stderr  # with the connection's keys: the store has asked for them
    assert "tiny@1" in done.stdout
    home = told.project / ".skillsengine"
    assert list(home.rglob("*.wandb")) and (home / "catalog.db").stat().st_size > 10_000
    for name, words in {
        "plan": ("plan", "experiments/tiny.yaml", "--json"),
        "resolve": ("resolve", "experiments/tiny.yaml", "--where"),
        "doctor": ("doctor", "experiments/tiny.yaml"),
        "runs": ("runs", "--json"),
        "show": ("show", "tiny@1", "--json"),
        "lineage": ("lineage", "tiny@1", "--json"),
        "report": ("report", "tiny@1", "-o", str(told.said / "report.html")),
        "compile": ("compile", "--out", str(told.said / "dags")),
        "sync": ("sync", "--dry-run"),
    }.items():
        said = inside(*words)
        assert said.out and (said.code == 0 or name == "doctor"), (name, said.err)
        (told.said / f"{name}.txt").write_text(said.out + said.err)
    with ProcessList() as served:
        serve(told)
    assert len(list((told.said / "dags").glob("*.py"))) == 1
    assert "skillsengine --verbose run" in " ".join(processes.lines)
    assert told.hits() == {}
    assert "serve tiny@1" in " ".join(served.lines)
    assert told.planted.canaries.in_texts(processes.texts | served.texts) == {}


def test_no_secret_gets_out_of_a_mistake(told: Told, inside: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors quote what is wrong: an address, a connection, a file. What is secret of it they leave out."""
    secret = told.planted.canaries.add("the catalog's password", new_secret(odd=False))
    store = told.planted.env["AIRFLOW_CONN_ADS_STORE"]
    wrong = told.planted.canaries.add("a wrong key of S3", new_secret())
    right = told.planted.canaries.secrets["the S3 connection's password"]
    short = told.planted.person / "short"
    short.write_text(told.planted.canaries.add("a token of two words", f"{new_secret(odd=False)} two"))
    told.planted.canaries.cages.add(short)
    catalog = f"postgresql://skills:{secret}@127.0.0.1"
    for number, (variable, value, words) in enumerate(
        [
            ("SKILLSENGINE_CATALOG", f"{catalog}:1/catalog", ("runs",)),
            ("SKILLSENGINE_CATALOG", f"{catalog}:port/catalog", ("runs",)),
            ("SKILLSENGINE_CATALOG", f"nodatabase://skills:{secret}@127.0.0.1/c", ("runs",)),
            ("SKILLSENGINE_CATALOG", f"skills:{secret}@127.0.0.1/c", ("runs",)),
            ("SKILLSENGINE_CATALOG", f"{catalog}:1/catalog", ("doctor", "experiments/tiny.yaml")),
            ("SKILLSENGINE_AIRFLOW_URL", f"http://admin:{secret}@127.0.0.1:port", ("doctor", "experiments/tiny.yaml")),
            ("SKILLSENGINE_AIRFLOW_URL", f"admin:{secret}@127.0.0.1", ("pause", "tiny")),
            ("SKILLSENGINE_SERVE_URL", f"http://admin:{secret}@127.0.0.1:1", ("doctor", "experiments/tiny.yaml")),
            ("SKILLSENGINE_SERVE_TOKEN_FILE", str(short), ("doctor", "experiments/tiny.yaml")),
            (
                "AIRFLOW_CONN_ADS_STORE",
                store.replace(right, wrong).replace(right[:20], wrong),
                ("plan", "experiments/tiny.yaml"),
            ),
            ("AIRFLOW_CONN_ADS_STORE", store[:-1], ("plan", "experiments/tiny.yaml")),
            ("AIRFLOW_CONN_ADS_STORE", f"aws://key:{wrong}@:port/", ("plan", "experiments/tiny.yaml")),
            ("SKILLSENGINE_PROJECT", str(told.project), ("serve", "tiny@1", "--token-file", str(short))),
        ]
    ):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            said = inside(*words)
        (told.said / f"{number}.txt").write_text(said.out + said.err)
        assert said.out + said.err, (variable, words)
        assert said.code == 1 or words[0] == "doctor", (variable, words, said)
    assert told.hits() == {}


def serve(told: Told) -> None:
    """Ask a `skillsengine serve` rightly and wrongly; what it answers and logs is kept."""
    token = told.planted.canaries.secrets["serve's token file"]
    words = ("--verbose", "serve", "tiny@1", "--port", "0", "--token-file", str(told.planted.token_file))
    out = told.said / "serve.txt"
    with out.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "skillsengine", *words],
            cwd=told.project, env=told.planted.environment, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            address = _address(server, out)
            with httpx.Client(base_url=address, trust_env=False, timeout=120) as client:
                right = {"Authorization": f"Bearer {token}"}
                assert client.post("/extract", json={"text": "A welder."}, headers=right).status_code == 200
                seen = [
                    client.post("/extract", json={"text": "A welder."}, headers={"Authorization": f"Basic {token}"}),
                    client.post("/extract", content=b"{", headers=right),
                    *(client.get(path, headers=right) for path in ("/docs", "/openapi.json", "/healthz", "/nothing")),
                ]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(120)
    assert [each.status_code for each in seen] == [401, 422, 200, 200, 200, 404]
    (told.said / "answers.txt").write_text("".join(f"{each.headers} {each.text}" for each in seen))
    assert "POST /extract" in out.read_text()  # it does log requests


def _address(server: subprocess.Popen[bytes], out: Path) -> str:
    """Where it listens, once it says so."""
    for _ in range(6000):
        if found := re.search(r"http://127\.0\.0\.1:\d+", out.read_text()):
            return found[0]
        assert server.poll() is None, out.read_text()
        try:
            server.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
    pytest.fail(f"the server does not listen: {out.read_text()}")
