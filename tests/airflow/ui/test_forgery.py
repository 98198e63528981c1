"""The guard of what changes something, on a small application that has one such route."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Form, Request, Response
from fastapi.testclient import TestClient

from skillsengine.airflow.ui import forgery
from skillsengine.airflow.ui.access import Asking

SAME = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def client(visitor: Any) -> TestClient:
    """Of the user `rita`; `/token` makes a page's token for her, and `/change` says what it was sent."""
    app = FastAPI()

    @app.get("/token")
    def token(request: Request, response: Response, access: Asking) -> str:
        return forgery.token_for(request, response, access.user_id)

    @app.api_route("/change", methods=["GET", "POST", "PUT"], dependencies=[Depends(forgery.unforged)])
    def change() -> str:
        return "changed"

    @app.post("/form", dependencies=[Depends(forgery.unforged)])
    def form(word: Annotated[str, Form()]) -> str:
        return word

    made = TestClient(app, base_url="https://airflow.test")
    made.cookies.update(visitor("rita").client.cookies)
    return made


def test_a_page_s_own_request_gets_through(client: TestClient) -> None:
    token = client.get("/token").json()
    for headers in (SAME, {"origin": "https://airflow.test"}):
        assert client.post("/change", headers={forgery.HEADER: token, **headers}).json() == "changed"
    sent = client.post("/form", data={forgery.FIELD: token, "word": "hello"}, headers=SAME)
    assert sent.json() == "hello", "the guard leaves the form to the route"
    assert client.get("/token").headers.get("set-cookie") is None, "one cookie a browser"


def test_the_cookie_is_for_these_pages_alone(client: TestClient) -> None:
    told = client.get("/token").headers["set-cookie"].lower()
    assert all(word in told for word in ("httponly", "samesite=strict", "secure", "path=/"))


def test_what_may_be_forged_is_refused(client: TestClient, visitor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    token = client.get("/token").json()

    def answer(method: str = "POST", given: str | None = token, **headers: str) -> tuple[int, str]:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if given is not None:
            sent[forgery.HEADER] = given
        told = client.request(method, "/change", headers=sent)
        return told.status_code, str(told.json().get("detail") if told.status_code != 200 else told.json())

    elsewhere = (403, "The request does not come from these pages.")
    for site in ("cross-site", "same-site", "none"):
        assert answer(sec_fetch_site=site, origin="https://airflow.test") == elsewhere
    for origin in ("https://evil.test", "null", "https://airflow.test.evil.test", "https://evil.test/airflow.test"):
        assert answer(origin=origin) == elsewhere, origin
    assert answer() == elsewhere, "neither header"
    for method in ("GET", "PUT"):
        assert answer(method, **{"sec_fetch_site": "same-origin"}) == (405, "Only POST changes anything here.")
    no_token = (403, "The request has no token of these pages. Load the page again.")
    assert answer(given=None, sec_fetch_site="same-origin") == no_token
    told, _, signature = token.rpartition(".")
    forged = f"{told}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    assert answer(given=forged, sec_fetch_site="same-origin") == no_token
    other = TestClient(client.app, base_url="https://airflow.test")
    other.cookies.update(visitor("red").client.cookies)
    foreign = other.get("/token").json()
    assert answer(given=foreign, sec_fetch_site="same-origin") == (
        403,
        "The page was made for somebody else. Load it again.",
    )
    monkeypatch.setattr(forgery, "LIFE_SECONDS", -1)
    assert answer(sec_fetch_site="same-origin")[1].startswith("The page is too old.")


def test_nobody_gets_no_further(client: TestClient) -> None:
    token = client.get("/token").json()
    client.cookies.delete("_token")
    assert client.post("/change", headers={forgery.HEADER: token, **SAME}).status_code == 401
