"""The real Airflow, whose environment, connections and files are full of canaries: none gets out of a run, nor of a failed one.

The same by the command line, on every commit, is tests/canary/test_commands.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.canary.installation import Planted, plant
from tests.canary.planting import new_secret
from tests.canary.watching import ProcessList
from tests.e2e.conftest import SPEC, Platform, ask, started, wait_for
from tests.e2e.test_notify import connect
from tests.pipeline.project import write_month
from tests.sinks import MailSink, PostSink
from tests.sources.servers import S3
from tests.sources.servers import moto_port as moto_port
from tests.sources.servers import s3 as s3

pytestmark = pytest.mark.nightly

TASKS = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote", "report")
OFFLINE = "mode: disabled"


@pytest.fixture
def used(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Planted, PostSink]]:
    """Canaries in the environment that the Airflow starts in. Its own connections are made through its API."""
    for month in ("2026-01", "2026-02", "2026-03"):
        write_month(tmp_path / "ads.jsonl", month)
        s3.put(f"jobs/{month}.jsonl", (tmp_path / "ads.jsonl").read_bytes())
    (tmp_path / "person").mkdir()
    with MailSink() as mails, PostSink() as posts:
        keys = s3.demand_keys("s3:ListBucket", "s3:GetObject")
        planted = plant(tmp_path / "person", s3=(s3.endpoint, *keys), ports={"mail": mails.port, "hook": posts.port})
        for name in os.environ:
            if name.startswith(("AWS_", "AIRFLOW_", "WANDB_")):
                monkeypatch.delenv(name)
        for name, value in planted.env.items():
            monkeypatch.setenv(name, value)
        yield planted, posts


def add(platform: Platform, name: str, connection: str) -> None:
    text = SPEC.format(name=name).replace(OFFLINE, "mode: offline")
    source = text.index('"data/ads/')
    text = text.replace(
        '"data/ads/{partition}.jsonl"', f'"s3://ads/jobs/{{partition}}.jsonl", connection: {connection}'
    )
    assert text.index('"s3://ads') == source and "mode: offline" in text
    path = platform.settings.experiments / f"{name}.yaml"
    path.write_text(text + "gate: {min_gold_skills: 1}\nnotify: {connection: team-hook}\n", encoding="utf-8")
    wait_for(f"the DAG of {name}", lambda: platform.client.dag(name))


def test_no_secret_gets_out_of_a_run_in_airflow(used: tuple[Planted, PostSink], tmp_path: Path) -> None:
    planted, posts = used
    canaries = planted.canaries
    store = json.loads(planted.env["AIRFLOW_CONN_ADS_STORE"])
    with started(tmp_path / "platform") as platform, ProcessList() as processes:
        home, client = platform.settings.home, platform.client
        kept = {name: value for name, value in store.items() if name not in ("extra", "password")}
        extra = store["extra"] | {
            "kept_secret": canaries.add("the extra of a connection in Airflow", new_secret(odd=False))
        }
        connect(platform, "kept-store", extra, password=store["password"], **kept)
        wrong = canaries.add("a wrong password in Airflow", new_secret())
        connect(platform, "wrong-store", store["extra"], password=wrong, **kept)

        add(platform, "canary", "kept-store")
        run_id = client.trigger("canary")
        assert platform.finish("canary", run_id, 1800)["state"] == "success"
        add(platform, "refused", "wrong-store")
        failed = client.trigger("refused")
        assert platform.finish("refused", failed, 1800)["state"] == "failed"

        # What people read over the API: everything of both runs.
        told = {}
        for dag_id, run in (("canary", run_id), ("refused", failed)):
            base = f"dags/{dag_id}/dagRuns/{run}/taskInstances"
            told |= {path: json.dumps(ask(platform, "GET", path)) for path in (base, f"dags/{dag_id}/details")}
            told[f"the text of {dag_id}"] = client.source(dag_id)
            for task in TASKS:
                told[f"{base}/{task}"] = json.dumps(ask(platform, "GET", f"{base}/{task}"))
                told[f"{base}/{task}/xcomEntries"] = json.dumps(ask(platform, "GET", f"{base}/{task}/xcomEntries"))
        for path in ("importErrors", "eventLogs", "variables", "assets/events"):
            told[path] = json.dumps(ask(platform, "GET", path))
    assert posts.posts  # the hook's secrets have gone where they are for
    assert "rendered_fields" in json.dumps(told) and "kept-store" in told["eventLogs"]
    assert canaries.in_texts(told) == {}
    assert canaries.in_texts(processes.texts) == {}

    # What it has written: its database (XComs, rendered fields, serialized DAGs, audit log), logs, DAG files, catalog, store.
    assert (home / "airflow" / "airflow.db").stat().st_size > 100_000
    assert list(home.rglob("*.wandb")) and list((home / "bundle").rglob("canary.py"))
    assert list((home / "airflow" / "logs").rglob("dag_id=refused/**/*.log"))
    assert canaries.in_tree(platform.settings.project, planted.person) == {}

    # Airflow's own keys stand in its two private files alone.
    own = json.loads((home / "airflow" / "secrets.json").read_text())
    for name, key in own.items():
        canaries.add(f"Airflow's {name}", key)
    for path in (home / "airflow" / "airflow.cfg", home / "airflow" / "secrets.json"):
        assert path.stat().st_mode & 0o077 == 0
        canaries.cages.add(path)
    assert canaries.in_tree(platform.settings.project) == {}
    assert canaries.in_texts(told | processes.texts) == {}
