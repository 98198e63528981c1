"""Tables as files that a browser keeps: those that are too long to stand in the page itself."""

from __future__ import annotations

from starlette.responses import Response

from skillsengine.reporting.figures.plain import Table, to_json


def csv_file(table: Table, stem: str) -> Response:
    """`stem` is of letters that may stand in a header, such as the name of an experiment."""
    return _file(table.csv(), "text/csv; charset=utf-8", f"{stem}.csv")


def json_file(table: Table, stem: str) -> Response:
    return _file(to_json(table), "application/json", f"{stem}.json")


def _file(text: str, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, media_type=kind, headers=headers)
