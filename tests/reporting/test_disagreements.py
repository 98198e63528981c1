"""Two answers to the same ads: which ads come first, and what of each text is marked for whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillsengine.reporting.figures.changes import changes
from skillsengine.reporting.figures.disagreements import Ad, ads, disagreements
from skillsengine.reporting.figures.plain import FigureMissing, plain, to_json
from skillsengine.reporting.figures.side_by_side import differences, side_by_side
from tests.reporting.past import Past, metrics

TEXTS = {
    "same": ("SQL daily.", ["SQL"], ["SQL"], ["sql "]),
    "more": ("Excel reports, tact and tact again.", ["Excel reports", "tact"], ["Excel"], ["Excel", "reports", "TACT"]),
    "right": ("Knife skills.", ["Knife skills"], ["Knife skills"], ["skills"]),
    "open": ("A saw.", None, ["saw"], ["hammer"]),
}
"""Id -> text, labels, a's answer, b's answer."""


def rows(side: int) -> list[dict[str, Any]]:
    """Of a (0) or b (1); b was asked for the ads in another order, and for one more."""
    made = [
        {"id": name, "key": f"k-{name}", "gold": told[1], "predicted": told[2 + side]} for name, told in TEXTS.items()
    ]
    return made if side == 0 else [{**made[0], "id": "other"}, *reversed(made)]


def test_first_where_one_is_right_then_by_how_much_more_is_wrong() -> None:
    found = disagreements(rows(0), rows(1))
    assert found.ads == 4
    named = [(rows(0)[each.line_a]["id"], rows(1)[each.line_b]["id"], each.better) for each in found.found]
    assert named == [("right", "right", "a"), ("more", "more", "equal"), ("open", "open", "unlabelled")]
    assert [(each.wrong_a, each.wrong_b, each.apart) for each in found.found] == [(0, 2, 2), (3, 3, 2), (None, None, 2)]
    assert found.of("b") == () and len(found.of(None)) == 3


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    return Past(tmp_path_factory.mktemp("disagreements") / "project")


def shown(past: Past, most: int = 4_000) -> dict[str, Ad]:
    sides = [
        past.publish(
            "evaluate", f"side {side}", {"predictions.jsonl": "".join(json.dumps(row) + "\n" for row in rows(side))}, {}
        )
        for side in (0, 1)
    ]
    texts = past.formatted("x", {name: (text, gold or [], []) for name, (text, gold, *_) in TEXTS.items()})
    return {ad.id: ad for ad in ads(disagreements(rows(0), rows(1)).found, *sides, texts, most)}


def test_both_answers_stand_in_the_text(past: Past) -> None:
    found = shown(past)
    for name, ad in found.items():
        assert "".join(piece.text for piece in ad.pieces) == TEXTS[name][0] and not ad.cut
    marked = [(p.text, p.a, p.b, p.right_a, p.right_b, p.gold) for p in found["more"].pieces]
    assert marked[:3] == [
        ("Excel", True, True, False, False, True),
        (" ", False, False, False, False, True),
        ("reports", False, True, False, False, True),
    ]
    assert [m for m in marked if m[0] == "tact"] == [("tact", False, True, False, True, True)] * 2, (
        "in another spelling"
    )
    assert [(s.skill, s.a, s.b, s.gold, s.in_text) for s in found["open"].skills] == [
        ("saw", True, False, None, True),
        ("hammer", False, True, None, False),
    ]
    assert {piece.gold for piece in found["open"].pieces} == {None}
    cut = shown(past, 8)["more"]
    assert "".join(piece.text for piece in cut.pieces) == "Excel re" and cut.cut
    assert all(skill.in_text for skill in cut.skills), "what stands behind the cut does stand there"
    assert json.loads(to_json(cut)) == plain(cut)


def test_why_no_difference_is_told() -> None:
    with pytest.raises(FigureMissing, match="no ad with labels that both were scored on"):
        differences("a", "b", rows(0)[3:], rows(1))
    other = [{**row, "gold": ["other"]} for row in rows(1)]
    with pytest.raises(FigureMissing, match=r"3 of 3 ads carry different labels .* \(the first: right\)"):
        differences("a", "b", rows(0)[:3], other)
    assert differences("a", "b", rows(0), rows(1))["f1"].ads == 3


def test_side_by_side_and_changes_are_tables(past: Past) -> None:
    first, second = past.version(1, 0.5), past.version(2, 0.5, "2026-04")
    past.cell(first, "2026-04", metrics(0.25, "2026-04", span_ads=3, span_strict_f1=0.4))
    cells = [past.catalog.cells("tiny", row.adapter_digest, "2026-04")[0] for row in (first, second)]
    found = side_by_side("tiny@1", "tiny@2", *cells)
    rows_of = {row.name: row for block in found.blocks for row in block.rows}
    assert rows_of["f1"].a and rows_of["f1"].b and (rows_of["f1"].a.value, rows_of["f1"].b.value) == (0.25, 0.5)
    assert rows_of["span_strict_f1"].b is None, "measured of one of them only"
    for table in (found.table({}), changes(first, second, past.store, past.settings).table()):
        assert {len(line) for line in table.rows} <= {len(table.columns)}
    assert changes(first, second, past.store, past.settings).fields == ()


def test_a_spec_that_is_not_allowed_today_is_told(past: Past) -> None:
    row = past.catalog.versions("tiny")[0]
    row.spec = {**row.spec, "train": {**row.spec["train"], "epochs": -1}}
    with pytest.raises(
        FigureMissing, match=r"the spec that made tiny@1 is not allowed by this skillsengine: train\.epochs"
    ):
        changes(row, row, past.store, past.settings)


def test_the_ads_of_a_query_need_their_texts(past: Past, tmp_path: Path) -> None:
    from skillsengine.reporting.figures.errors import Choice, errors

    row = past.version(5, 0.5, "2026-07")
    (cell,) = past.catalog.cells("tiny", row.adapter_digest, "2026-07")
    assert [ad.id for ad in errors(row, cell, past.store, choice=Choice(query="MONTHLY excel")).ads] == ["clerk"]
    assert errors(row, cell, past.store, choice=Choice(kind="boundary")).wrong_ads == 1
    cell.data_digest = "0" * 64
    with pytest.raises(FigureMissing, match="the ads of 2026-07 are no longer in the store"):
        errors(row, cell, past.store, choice=Choice(query="x"))
