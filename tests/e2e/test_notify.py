"""Who is told what, under the real Airflow: the report task and the triggerer, over connections that Airflow keeps, to a real
mail server and a real HTTP server on this machine."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from skillsengine.airflow.embedded_state import read_state
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog
from tests.e2e.conftest import SPEC, Platform, ask, wait_for
from tests.sinks import MailSink, PostSink

pytestmark = pytest.mark.nightly

QUOTED = os.environ.get("QUOTE_MESSAGES")
"""A folder to leave the received messages in, for whoever wants to read them."""


def connect(platform: Platform, name: str, extra: dict[str, Any], **fields: Any) -> None:
    ask(platform, "POST", "connections", {"connection_id": name, "extra": json.dumps(extra), **fields})


def hold(platform: Platform, name: str, notify: str) -> str:
    """A run that cannot begin its training before `let_go`, however fast or slow this machine is: it misses its deadline."""
    ask(platform, "POST", "pools", {"name": f"for-{name}", "slots": 0, "include_deferred": False})
    plain, held = "retry_delay: 1s", f"retry_delay: 1s, stages: {{finetune: {{pool: for-{name}}}}}"
    text = SPEC.format(name=name)
    assert plain in text
    path = platform.settings.experiments / f"{name}.yaml"
    path.write_text(text.replace(plain, held) + notify, encoding="utf-8")
    wait_for("its DAG", lambda: platform.client.dag(name))
    return platform.client.trigger(name)


def let_go(platform: Platform, name: str) -> None:
    ask(platform, "PATCH", f"pools/for-{name}", {"pool": f"for-{name}", "slots": 1, "include_deferred": False})


def quote(name: str, text: str) -> None:
    if QUOTED:
        (Path(QUOTED) / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def posts(platform: Platform) -> Iterator[PostSink]:
    with PostSink() as sink:
        extra = {"endpoint": "hooks/s3cret", "headers": {"X-Team": "skills"}}
        connect(platform, "team-hook", conn_type="http", host="127.0.0.1", port=sink.port, extra=extra)
        yield sink


@pytest.fixture(scope="module")
def mails(platform: Platform) -> Iterator[MailSink]:
    with MailSink(login=("skills", "correct horse")) as sink:
        extra = {"from_email": "skills@example.com", "disable_ssl": True, "disable_tls": True}
        fields = {"host": "127.0.0.1", "port": sink.port, "login": "skills", "password": "correct horse"}
        connect(platform, "team-mail", conn_type="smtp", extra=extra, **fields)
        yield sink


def of(posts: PostSink, dag_id: str, event: str) -> list[dict[str, Any]]:
    return [post.body for post in posts.posts if (post.body["dag_id"], post.body["event"]) == (dag_id, event)]


def log_of(platform: Platform, dag_id: str, run_id: str, task: str) -> str:
    return "\n".join(platform.client.task_log(dag_id, run_id, task, 1))


def test_a_run_tells_its_deadline_and_its_verdict_over_http(platform: Platform, posts: PostSink) -> None:
    run_id = hold(platform, "told", "notify: {connection: team-hook, deadline: 30s}\n")
    (late,) = wait_for("the missed deadline", lambda: of(posts, "told", "deadline"), 300)
    let_go(platform, "told")
    assert platform.finish("told", run_id)["state"] == "success"
    (verdict,) = of(posts, "told", "verdict")

    url = f"{platform.client.url}/dags/told/runs/{run_id.replace(':', '%3A').replace('+', '%2B')}"
    for body in (late, verdict):
        assert (body["run_id"], body["url"], body["experiment"]) == (run_id, url, "told")
        assert "s3cret" not in json.dumps(body)
    assert late["headline"] == "not done after 30s"
    assert late["details"][0].startswith("It was queued at 20") and late["details"][0].endswith("its state is running.")
    assert late["details"][-1].startswith("Done: "), late
    assert verdict["partition"] == "2026-03"
    found = Catalog.open(platform.settings.catalog_url).get_run("told", run_id)
    assert found is not None
    assert verdict["verdict"] == found.data["gate"] | {"moved": found.data.get("promoted") == 1}
    post = posts.posts[0]
    assert (post.path, post.headers["x-team"]) == ("/hooks/s3cret", "skills")
    assert f"told the verdict: POST to http://127.0.0.1:{posts.port}: 200" in log_of(platform, "told", run_id, "report")
    assert "s3cret" not in log_of(platform, "told", run_id, "report")
    for name, body in (("deadline", late), ("verdict", verdict)):
        quote(f"http-{name}.json", json.dumps(body, indent=1, ensure_ascii=False))


def test_a_run_tells_its_failure_over_http(platform: Platform, posts: PostSink) -> None:
    platform.add("fails-told", "notify: {connection: team-hook, on: [failure]}\n")
    run_id = platform.client.trigger("fails-told", conf={"partition": "2025-07"})
    assert platform.finish("fails-told", run_id)["state"] == "failed"
    (body,) = of(posts, "fails-told", "failure")
    assert body["subject"] == "[skillsengine] fails-told 2025-07: failed in format"
    assert body["details"][0].startswith("no data for 2025-07 at data/ads/2025-07.jsonl")
    quote("http-failure.json", json.dumps(body, indent=1, ensure_ascii=False))


def test_all_three_come_by_mail(platform: Platform, mails: MailSink) -> None:
    notify = "notify: {{connection: team-mail, to: [ann@example.com, bob@example.com]{more}}}\n"
    platform.add("mailed-too", notify.format(more=""))
    run_id = hold(platform, "mailed", notify.format(more=", deadline: 2s"))
    wait_for("the missed deadline", lambda: mails.mails, 300)
    let_go(platform, "mailed")
    assert platform.finish("mailed", run_id)["state"] == "success"
    failed = platform.client.trigger("mailed-too", conf={"partition": "2025-07"})
    assert platform.finish("mailed-too", failed)["state"] == "failed"
    subjects = [str(mail.message["subject"]) for mail in mails.mails]
    assert subjects[0] == "[skillsengine] mailed: not done after 2s", "a run by hand has no key"
    assert subjects[1].startswith("[skillsengine] mailed 2026-03: mailed@1 ")
    assert subjects[2:] == ["[skillsengine] mailed-too 2025-07: failed in format"]
    for mail, name in zip(mails.mails, ("deadline", "verdict", "failure"), strict=True):
        assert (mail.sender, mail.to) == ("skills@example.com", ("ann@example.com", "bob@example.com"))
        assert f"{platform.client.url}/dags/mailed" in mail.body
        assert b"correct horse" not in mail.raw
        headers = "\n".join(f"{key}: {mail.message[key]}" for key in ("From", "To", "Subject", "Content-Type"))
        quote(f"mail-{name}.txt", f"{headers}\n\n{mail.body}")


def only_task(settings: Settings) -> psutil.Process | None:
    """The process of the task that runs, when that of the task before it is gone."""
    state = read_state(settings)
    assert state is not None
    workers = psutil.Process(state.parts["scheduler"]).children()
    tasks = [child for worker in workers for child in worker.children()]
    return tasks[0] if len(tasks) == 1 else None


def test_a_task_that_is_killed_is_told_by_the_report(platform: Platform, posts: PostSink) -> None:
    long = "train: {epochs: 1000, per_device_batch_size: 4, learning_rate: 0.001, checkpoint_steps: 100000}\n"
    lines = [
        line for line in SPEC.format(name="killed-told").splitlines(keepends=True) if not line.startswith("train:")
    ]
    text = "".join(lines).replace("retry_delay: 1s", "retries: 0")
    path = platform.settings.experiments / "killed-told.yaml"
    path.write_text(f"{text}{long}notify: {{connection: team-hook, on: [failure]}}\n", encoding="utf-8")
    wait_for("its DAG", lambda: platform.client.dag("killed-told"))
    run_id = platform.client.trigger("killed-told")
    wait_for("its training", lambda: platform.states("killed-told", run_id).get("finetune") == "running", 300)
    os.kill(wait_for("its process alone", lambda: only_task(platform.settings)).pid, signal.SIGKILL)
    assert platform.finish("killed-told", run_id)["state"] == "failed"
    (body,) = of(posts, "killed-told", "failure")
    assert body["headline"] == "failed in finetune"
    assert body["details"] == ["see its log; the process was ended before it could say why"]
    quote("http-killed.json", json.dumps(body, indent=1, ensure_ascii=False))


def test_what_cannot_be_sent_fails_no_run_and_is_shown(platform: Platform) -> None:
    platform.add("untold", "notify: {connection: no-such-team, deadline: 2s}\n")
    run_id = platform.client.trigger("untold")
    run = platform.finish("untold", run_id)
    assert run["state"] == "success"
    assert platform.states("untold", run_id)["report"] == "success"
    assert (
        "the verdict is not told: notify.connection: `no-such-team`: Airflow has no such connection. Make it"
        in run["note"]
    )
    row = Catalog.open(platform.settings.catalog_url).get_run("untold", run_id)
    assert row is not None and row.state == "success" and "is not told" in row.note
    said = log_of(platform, "untold", run_id, "report")
    assert "the verdict is not told: notify.connection: `no-such-team`" in said
    triggerer = platform.settings.home / "airflow" / "logs" / "triggerer.log"
    wait_for("the triggerer's log", lambda: "the missed deadline is not told" in triggerer.read_text(), 120)


def test_a_deadline_does_not_make_a_new_version_of_the_dag_at_each_look(platform: Platform) -> None:
    """Airflow gives a deadline an id of its own each time it reads a DAG, and has to recognize it."""
    platform.add("steady", "notify: {connection: team-hook, deadline: 1d}\n")
    # A version without a run would be replaced in place.
    platform.finish("steady", platform.client.trigger("steady", conf={"partition": "2025-07"}))
    parsed = str((platform.client.dag("steady") or {})["last_parsed_time"])
    os.utime(platform.settings.home / "bundle" / "steady.py")
    wait_for("another look", lambda: (platform.client.dag("steady") or {})["last_parsed_time"] > parsed)
    versions = ask(platform, "GET", "dags/steady/dagVersions")["dag_versions"]
    assert [version["version_number"] for version in versions] == [1]
