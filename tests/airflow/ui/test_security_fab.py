"""The pages behind FAB's auth manager, with users and roles in its tables: the cases of `test_security`, those of forms that
start runs, and what only rights on single DAGs can ask.

FAB is not in the locks; `.ci/nightly` installs it.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from skillsengine.airflow.ui.shield import MOST_BYTES
from tests.airflow.ui import fab, matrix_reading, test_fills, test_forgery, test_security
from tests.airflow.ui.answered import begin
from tests.airflow.ui.fab import FabVisitor
from tests.airflow.ui.filling import AirflowTables, Filled
from tests.airflow.ui.matrix_reading import runs
from tests.airflow.ui.test_security import PAGES, SCRIPT, foreign_markup
from tests.airflow.ui.test_try import SAME, ask, serialize

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        importlib.util.find_spec("flask_appbuilder") is None,
        reason="apache-airflow-providers-fab is not installed (.ci/nightly does it)",
    ),
]
OURS = [page for page in PAGES if "ours" in page]
TRY = "/experiments/ours/try"

# The same cases as behind Airflow's simple auth manager: what their fixtures ask for is found in this module first.
both, client = test_security.both, test_forgery.client
for _module, _cases in (
    (test_security, "test_"),
    (test_forgery, "test_"),
    (test_fills, "test_what_may_be_forged"),
):
    globals().update({name: case for name, case in vars(_module).items() if name.startswith(_cases)})


@pytest.fixture(scope="module")
def fab_is_set_up(airflow_is_set_up: None) -> Iterator[None]:
    with fab.fab_is_set_up():
        yield


@pytest.fixture
def visitor(fab_is_set_up: None, airflow: AirflowTables, project: Path) -> type[FabVisitor]:
    return FabVisitor


@pytest.fixture
def tried(both: Filled, airflow: AirflowTables, project: Path) -> Filled:
    """`ours` and `theirs`, both with a DAG that answers tries."""
    for name, team in (("ours", "red"), ("theirs", "blue")):
        serialize(airflow, name, project, team)
    return both


@pytest.fixture
def somebody(fab_is_set_up: None) -> Iterator[Any]:
    """Makes a user with these rights, who is gone after the test."""
    made: list[str] = []

    def make(rights: fab.Rights, name: str = "somebody") -> str:
        made.append(name)
        fab.add_user(name, f"role of {name}"[:64], list(rights))
        return name

    yield make
    for name in made:
        fab.delete_user(name, f"role of {name}"[:64])


def statuses(visitor: FabVisitor, pages: list[str] = OURS) -> set[int]:
    return {visitor.get(page).status_code for page in pages}


def post(visitor: FabVisitor, token: str, **headers: str) -> httpx.Response:
    form = {"forgery_token": token, "version": "1", "text": "x"}
    return visitor.client.post(f"{visitor.pages}{TRY}", data=form, headers=SAME | headers)


def token_of(visitor: FabVisitor) -> str:
    (token,) = re.findall(r'name="forgery_token" value="([^"]+)"', visitor.html(TRY))
    return token


def starters(airflow: AirflowTables) -> list[str]:
    """Who started the runs that there are."""
    return [run.triggering_user_name for run in runs(airflow)]


def test_its_login_is_the_way_in(visitor: Any, both: Filled) -> None:
    assert fab.log_in("red").status_code == 201
    wrong = fab.log_in("red", "a guess")
    assert wrong.status_code == 401 and "access_token" not in wrong.text
    red = visitor("red")
    (token,) = red.client.cookies.values()
    head, body, signature = token.split(".")
    for forged in (f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", f"{head}.{body}", "none"):
        red.client.cookies.set("_token", forged, domain="airflow.test")
        assert statuses(red, list(PAGES)) <= {401, 403}, forged


def test_who_has_no_role_sees_nothing(visitor: Any, tried: Filled, airflow: AirflowTables) -> None:
    noah = visitor("noah")
    page = noah.html("/experiments")
    assert "ours" not in page and "theirs" not in page and "shared" not in page
    assert statuses(noah) == {404}
    assert post(noah, token_of(visitor("rita"))).status_code == 403
    assert starters(airflow) == []


@pytest.mark.parametrize("what", ["the role's right", "the user's role", "the user", "the account"])
def test_what_is_taken_away_counts_at_the_next_request(what: str, visitor: Any, tried: Filled, somebody: Any) -> None:
    rights = [*fab.triggers("ours")]
    name = somebody(rights)
    asking = visitor(name)
    token = token_of(asking)
    assert "/experiments/ours" in asking.html("/experiments")
    if what == "the role's right":
        fab.take(f"role of {name}", rights)
    elif what == "the user's role":
        fab.change_user(name, roles=[])
    elif what == "the user":
        fab.change_user(name, active=False)
    else:
        fab.delete_user(name)
    gone = what in ("the user", "the account")
    assert statuses(asking) == ({403} if gone else {404})
    assert post(asking, token).status_code == (403 if gone else 404)
    if gone:
        assert asking.get("/experiments").status_code == 403 and fab.log_in(name).status_code == 401
    else:
        assert "ours" not in asking.html("/experiments")


def test_a_right_to_start_runs_that_is_taken_away(
    visitor: Any, tried: Filled, somebody: Any, airflow: AirflowTables
) -> None:
    name = somebody(fab.triggers("ours"))
    asking = visitor(name)
    token = token_of(asking)
    fab.take(f"role of {name}", [("can_edit", "DAG:ours.try")])
    answer = post(asking, token)
    assert answer.status_code == 403 and "not start runs of ours.try" in answer.text
    assert "<form" not in asking.html(TRY) and starters(airflow) == []


@pytest.mark.parametrize(
    ("rights", "may_try"),
    [
        ([*fab.reads("ours")], False),
        ([*fab.reads("ours"), ("can_create", "DAG Runs")], False),
        ([*fab.triggers("ours", parts=("", ".evaluations"))], False),
        ([*fab.reads("ours"), *fab.triggers("theirs")], False),
        ([*fab.triggers("ours", parts=(".try",))], True),
        ([*fab.reads("ours"), ("can_edit", "DAG:ours.try"), ("can_create", "DAG Run:ours.try")], True),
    ],
    ids=["reads", "no DAG to edit", "the other DAGs", "another's", "this DAG", "this DAG's runs"],
)
def test_only_who_may_start_the_dag_that_answers_may_try(
    rights: fab.Rights, may_try: bool, visitor: Any, tried: Filled, somebody: Any, airflow: AirflowTables
) -> None:
    before = [*fab.triggers("ours")]
    name = somebody(before)
    asking = visitor(name)
    token = token_of(asking)  # whoever may not has no form, so none later
    fab.take(f"role of {name}", before)
    fab.give(f"role of {name}", rights)
    assert ("<form" in asking.html(TRY)) == may_try
    answer = post(asking, token)
    assert answer.status_code == (303 if may_try else 403), answer.text
    assert starters(airflow) == (["somebody"] if may_try else [])


def test_what_others_pasted_is_read_by_who_may_read_those_runs(
    visitor: Any, tried: Filled, somebody: Any, airflow: AirflowTables
) -> None:
    assert ask(visitor("rita"), version=1, text="a secret ad").status_code == 303
    (run,) = runs(airflow)
    here, live = f"{TRY}?run={run.run_id}", f"{TRY}/{run.run_id}.json"
    assert "a secret ad" in visitor("rita").html(here) and visitor("red").get(live).status_code == 200
    rights = [right for right in fab.reads("ours") if right[1] != "DAG:ours.try"]
    less = visitor(somebody(rights))
    assert statuses(less, [here, live]) == statuses(visitor("blue"), [here, live]) == {404}
    assert less.get(TRY).status_code == 200


def test_who_may_read_no_runs_learns_nothing_of_them(visitor: Any, both: Filled, somebody: Any) -> None:
    rights = [right for right in fab.reads("ours", "theirs") if right[1] != "DAG Runs"]
    asking = visitor(somebody(rights))
    for path in ("/experiments", "/experiments/ours", "/dags/theirs", "/experiments?state=success"):
        page = asking.html(path)
        assert "shared@" not in page and "-run" not in page and "0.50" not in page, path
    assert "not visible to you" in asking.html("/experiments") and "name: ours" in asking.html("/experiments/ours")
    assert "/experiments/ours" not in asking.html("/experiments?state=never")
    assert statuses(asking, [page for page in OURS if page.count("/") > 2]) == {404}


def test_versions_of_runs_that_one_may_not_read(visitor: Any, both: Filled, somebody: Any) -> None:
    rights = [right for right in fab.reads("ours", "theirs") if right[1] != "DAG Runs"]
    page = visitor(somebody([*rights, ("can_read", "DAG Run:ours")])).html("/experiments/ours")
    assert "shared@1" in page and "shared@2" not in page and "1 more was made by experiments" in page


def test_who_may_read_no_code_sees_no_spec(visitor: Any, both: Filled, somebody: Any) -> None:
    rights = [right for right in fab.reads("ours") if right[1] != "DAG Code"]
    page = visitor(somebody(rights)).html("/experiments/ours")
    assert "shared@1" in page and "name: ours" not in page and "data.source" not in page


def test_a_right_on_a_part_opens_no_experiment(visitor: Any, both: Filled, somebody: Any) -> None:
    asking = visitor(somebody([*fab.RUNS_AND_CODE, ("can_read", "DAG:ours.evaluations"), ("can_read", "DAG:our")]))
    assert statuses(asking) == {404} and "shared" not in asking.html("/experiments")


def test_forged_requests_start_nothing(visitor: Any, tried: Filled, airflow: AirflowTables) -> None:
    rita, ann = visitor("rita"), visitor("ann")
    token, other = token_of(rita), token_of(ann)
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"}):
        assert post(rita, token, **headers).status_code == 403, headers
    assert post(rita, "").status_code == post(rita, other).status_code == post(ann, token).status_code == 403
    assert post(visitor(None), token).status_code == 401
    rita.client.cookies.delete("_skillsengine")
    assert post(rita, token).status_code == 403, "of another browser"
    assert ask(rita, version=1, text="x" * (MOST_BYTES + 1)).status_code == 413
    assert starters(airflow) == []
    assert ask(rita, version=1).status_code == 303 and starters(airflow) == ["rita"]


def test_the_matrix_asks_for_the_right_on_the_dag_that_scores(
    visitor: Any, filled: Filled, somebody: Any, airflow: AirflowTables
) -> None:
    button = "Fill what is missing"
    name = somebody(fab.triggers("skills"), "reader")
    reader = visitor(name)
    page = reader.html(matrix_reading.PAGE)
    fab.take(f"role of {name}", [("can_edit", "DAG:skills.evaluations")])
    assert "who may finds a button here" in reader.html(matrix_reading.PAGE)
    refused = matrix_reading.press(reader, 1, page=page)
    assert (
        refused.status_code == 403
        and "not start runs of skills.evaluations" in refused.text
        and starters(airflow) == []
    )
    one = visitor(somebody(fab.triggers("skills", parts=(".evaluations",))))
    assert button in one.html(matrix_reading.PAGE)
    answer = matrix_reading.press(one, 1)
    assert answer.status_code == 303 and starters(airflow) == ["somebody"]


def test_a_user_s_name_is_no_markup(visitor: Any, filled: Filled, somebody: Any, airflow: AirflowTables) -> None:
    hostile = visitor(somebody(fab.triggers("skills"), SCRIPT))
    assert matrix_reading.press(hostile, 1).status_code == 303
    (run,) = runs(airflow)
    run.state = "success"
    airflow.session.commit()
    page = visitor("ann").html(matrix_reading.PAGE)
    assert "alert(1)" in page, "the note of the run names who asked"
    assert foreign_markup(page) == []


def test_an_ad_is_no_markup(visitor: Any, airflow: AirflowTables, project: Path) -> None:
    past = begin(airflow, project)
    serialize(airflow, "tiny", project, "red")
    ads = {f"ad-{SCRIPT}": (f"Wanted: {SCRIPT} and tact.", [SCRIPT], ["tact", SCRIPT[:20]])}
    wrong = [
        {
            "id": f"ad-{SCRIPT}",
            "key": "k",
            "missed": [SCRIPT],
            "invented": ["tact"],
            "boundary": [[SCRIPT, SCRIPT[:20]]],
        }
    ]
    past.version(3, 0.3, "2026-06", ads=ads, errors=wrong)
    rita, shown = visitor("rita"), []
    for path in ("", "/errors?version=3", "/compare?a=2&b=3", "/matrix", "/try"):
        page = rita.html(f"/experiments/tiny{path}")
        shown += [path] if "alert(1)" in page else []
        assert foreign_markup(page) == [], path
    assert shown == ["/errors?version=3"], "the only page that shows ads of a single version"
