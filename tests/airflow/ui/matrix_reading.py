"""What a reader does with the page The matrix: its table taken apart, its button pressed."""

from __future__ import annotations

import re
from typing import Any

import httpx

from tests.airflow.ui.filling import AirflowTables
from tests.airflow.ui.test_all_experiments import text_of
from tests.airflow.ui.visiting import Visitor

PAGE = "/experiments/skills/matrix"
SAME = {"sec-fetch-site": "same-origin"}


def table(page: str) -> dict[str, list[tuple[str, str]]]:
    """Head of each row of the matrix -> (class, text) of its cells."""
    rows = {}
    for row in re.findall(r"<tr>(<th scope=\"row\">.*?)</tr>", page, re.DOTALL):
        head, rest = row.split("</th>", 1)
        cells = re.findall(r"<td(?: class=\"([^\"]*)\")?>(.*?)</td>", rest, re.DOTALL)
        rows[text_of(head).removeprefix("Fill what is missing of ")] = [(css, text_of(inner)) for css, inner in cells]
    return rows


def columns(page: str) -> list[str]:
    return re.findall(r'<span class="vh">(20[^<]*)</span></th>', page)


def press(visitor: Visitor, *versions: int, page: str | None = None, **more: str) -> httpx.Response:
    """As the page's form does."""
    page = page or visitor.html(PAGE)
    (token,) = re.findall(r'name="forgery_token" value="([^"]+)"', page)[:1] or ["none"]
    form = {"forgery_token": token, "version": [str(number) for number in versions], "from": "", "to": ""} | more
    return visitor.client.post(f"{visitor.pages}{PAGE}/fill", data=form, headers=SAME)


def runs(airflow: AirflowTables) -> list[Any]:
    from airflow.models.dagrun import DagRun

    airflow.session.expire_all()
    return list(airflow.session.query(DagRun).order_by(DagRun.id))
