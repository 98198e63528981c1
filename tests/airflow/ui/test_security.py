"""What the pages refuse: nobody, the wrong team, scripts in whatever people write, paths in names, large bodies."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow.ui.shield import MOST_BYTES
from tests.airflow.ui.filling import AirflowTables, Filled, spec_of, verdict

PAGES = (
    "/",
    "/experiments",
    "/experiments/ours",
    "/experiments/ours/live.json",
    "/experiments/ours/compare",
    "/experiments/ours/compare.csv",
    "/experiments/ours/errors",
    "/experiments/ours/errors.json",
    "/experiments/ours/matrix",
    "/experiments/ours/matrix.csv",
    "/experiments/ours/matrix.json",
    "/experiments/ours/matrix/live.json",
    "/experiments/ours/matrix/missing.json",
    "/experiments/ours/report",
    "/experiments/ours/try",
    "/experiments/ours/try/manual__1.json",
    "/dags/ours",
    "/dags/ours.evaluations",
)
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}"
PATHS = (
    "..",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "%2Fetc%2Fpasswd",
    "ours%2f..%2fours",
    "ours%00",
    "OURS",
    "ours.yaml",
    "a" * 101,
    "%c0%ae%c0%ae",
    "ours;x",
    "ours'--",
)


@pytest.fixture
def both(airflow: AirflowTables, project: Path) -> Filled:
    """`ours` of the red team and `theirs` of the blue one, under one model, with blue's champion."""
    filled = Filled(project)
    for name, team in (("ours", "red"), ("theirs", "blue")):
        airflow.experiment(project, name, "register: {model: shared}\n", team=team)
        run = filled.run(name, f"{name}-run", spec=spec_of(project, name), steps={"finetune": ("done", 60.0)})
        filled.version(name, 0.5, run=run, model="shared", verdict=verdict(1), champion=name == "theirs")
    return filled


def test_nobody_gets_a_login_and_no_page(visitor: Any, both: Filled) -> None:
    nobody = visitor(None)
    for path in PAGES:
        answer = nobody.get(path)
        assert answer.status_code == 401 and "shared" not in answer.text and "ann" not in answer.text, path
    login = r'href="/auth/login/?\?next=https%3A%2F%2Fairflow.test%2Fskillsengine%2Fexperiments"'
    assert re.search(login, nobody.get("/experiments").text)
    answer = nobody.get("/experiments/ours/live.json", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()) == (401, {"detail": "Not authenticated"})
    forged = visitor("red")
    forged.client.cookies.set("_token", "a.b.c", domain="airflow.test")
    assert forged.get("/experiments").status_code in (401, 403)


def test_another_team_s_experiments_are_not_there(visitor: Any, both: Filled) -> None:
    red = visitor("red")
    page = red.html("/experiments")
    assert "/experiments/ours" in page and "theirs" not in page and "not visible to you" in page
    for path in (page.replace("ours", "theirs") for page in PAGES if "ours" in page):
        refused, unknown = red.get(path), red.get(path.replace("theirs", "nothing"))
        assert refused.status_code == unknown.status_code == 404, path
        assert refused.text == unknown.text, "a name that is taken looks like one that is free"
    own = red.html("/experiments/ours")
    assert "shared@1" in own and "shared@2" not in own and "1 more was made by experiments that you may not read" in own
    assert red.get("/experiments/ours?version=2").status_code == 404
    everything = visitor("ann").html("/experiments")
    assert "/experiments/ours" in everything and "/experiments/theirs" in everything


def test_the_problem_of_a_spec_without_a_dag_is_its_team_s(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    airflow.import_error("secretplan", "experiments/secretplan.yaml:1:1: name: x", team="blue")
    assert "secretplan" in visitor("blue").html("/experiments")
    assert "secretplan" in visitor("blue").html("/experiments/secretplan")
    assert "secretplan" not in visitor("red").html("/experiments")
    assert visitor("red").get("/experiments/secretplan").status_code == 404


class _Elements(HTMLParser):
    """Every element with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def foreign_markup(page: str) -> list[Any]:
    """Elements that would load, run or restyle something, and that no page of ours has."""
    found: list[Any] = []
    for tag, attributes in _Elements(page).found:
        script = tag == "script" and attributes.get("type") != "application/json"
        address = str(attributes.get("href", "")).strip().lower()
        if (
            tag in ("img", "iframe", "object", "embed", "base", "style")
            or any(name.startswith("on") or name == "style" for name in attributes)
            or (script and not str(attributes.get("src", "")).startswith("/skillsengine/"))
            or address.startswith(("javascript:", "http", "//"))
        ):
            found.append((tag, attributes))
    return found


def test_nothing_that_people_write_becomes_markup(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    quoted = "'" + SCRIPT.replace("'", "''") + "'"
    more = (
        f"description: {quoted}\nowner: {quoted}\ntags: [{quoted}]\n"
        f'prompt: {{template: "{{text}} <script>alert(1)</script>"}}\nbase: {{model: "</script><script>alert(1)</script>"}}\n'
    )
    airflow.experiment(project, "hostile", more, description=SCRIPT, owners=SCRIPT)
    airflow.import_error("hostile", f"experiments/hostile.yaml:1:1: {SCRIPT}", has_good=True)
    airflow.import_error(SCRIPT.replace("/", "_"), f"experiments/{SCRIPT}: {SCRIPT}")
    filled = Filled(project)
    run = filled.run(
        "hostile",
        f"r{SCRIPT}",
        spec=spec_of(project, "hostile"),
        steps={"finetune": ("failed", 1.0)},
        state="failed",
        note=SCRIPT,
        partition=SCRIPT,
        error=SCRIPT,
    )
    filled.version("hostile", 0.5, run=run, champion=True, verdict=verdict(1, SCRIPT, SCRIPT), partition=SCRIPT)
    filled.version("hostile", 0.6, run=run, partition=SCRIPT)
    ann = visitor("ann")
    for path in ("/experiments", f"/experiments?q={SCRIPT}&owner={SCRIPT}", "/experiments/hostile", "/dags/hostile"):
        page = ann.html(path)
        assert "{{7*7}}" in page or "?q=" in path, "shown, and not run as a template"
        assert foreign_markup(page) == [], path


def test_no_path_gets_through_a_name(visitor: Any, both: Filled) -> None:
    ann = visitor("ann")
    for name in PATHS:
        for path in (
            f"/experiments/{name}",
            f"/experiments/{name}/live.json",
            f"/experiments/{name}/compare",
            f"/experiments/{name}/errors",
            f"/dags/{name}",
        ):
            answer = ann.get(path)
            assert answer.status_code in (404, 307), (path, answer.status_code)
            assert "root:" not in answer.text


def test_static_files_stay_in_their_folders(visitor: Any) -> None:
    nobody = visitor(None)
    for folder in ("static", "figures"):
        for name in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "..\\app.py"):
            assert nobody.get(f"/{folder}/{name}").status_code in (404, 401), name
    answer = nobody.get("/static/pages.js?v=1")
    assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]


def test_large_bodies_are_refused_whether_they_tell_their_size_or_not(visitor: Any, both: Filled) -> None:
    ann = visitor("ann")
    told = ann.client.post(f"{ann.pages}/experiments", content=b"x" * (MOST_BYTES + 1))
    assert told.status_code == 413 and "larger than 64 KB" in told.text
    assert ann.client.post(f"{ann.pages}/experiments", content=b"x").status_code == 405


def test_a_body_that_comes_in_pieces_is_counted() -> None:
    from skillsengine.airflow.ui.shield import Shield

    taken = 0

    async def reads_all(scope: Any, receive: Any, send: Any) -> None:
        nonlocal taken
        while True:
            message = await receive()
            taken += len(message["body"])

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"x" * 10_000, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Shield(reads_all)({"type": "http", "headers": [], "method": "POST", "path": "/"}, receive, send))
    assert sent[0]["status"] == 413 and taken <= MOST_BYTES


def test_every_answer_trusts_the_browser_with_little(visitor: Any, both: Filled) -> None:
    ann = visitor("ann")
    for path in (*PAGES, "/experiments/nothing", "/nowhere", "/experiments?page=0"):
        headers = ann.get(path).headers
        assert headers["cache-control"] == "no-store", path
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'self'" in policy and "unsafe" not in policy, path
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer", path
    assert "set-cookie" not in ann.get("/experiments").headers


def test_what_nobody_foresaw_tells_nothing_of_itself(
    visitor: Any, both: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skillsengine.airflow.ui import all_experiments

    def breaks(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(all_experiments, "listing", breaks)
    answer = visitor("ann").get("/experiments")
    assert answer.status_code == 500 and "hunter2" not in answer.text and "The log of the API server" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert visitor("ann").get("/openapi.json").status_code == visitor("ann").get("/docs").status_code == 404


def test_below_a_base_path_every_address_has_it(visitor: Any, both: Filled) -> None:
    page = visitor("ann", "/team").html("/experiments/ours")
    addresses = [
        str(attributes[name])
        for _, attributes in _Elements(page).found
        for name in ("href", "src", "action", "data-live")
        if attributes.get(name) and not str(attributes[name]).startswith(("#", "?", "data:"))
    ]
    assert addresses and all(address.startswith("/team/") for address in addresses), addresses
    assert "/team/dags/ours/runs/ours-run" in addresses
