"""Cleaning steps: what each takes out, and what it must leave alone."""

from __future__ import annotations

import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.spec.schema import CleaningStep, Data
from skillsengine.stages.cleaning import (
    _MANY_MARKS,
    STEPS,
    clean,
    collapse_whitespace,
    decode_entities,
    drop_html,
    normalize_unicode,
)

ALL = Data(source="x").cleaning


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("<p>Cook</p><p>Nights</p>", "\nCook\n\nNights\n"),
        ("a<br>b<BR/>c<br />d", "a\nb\nc\nd"),
        ("<ul><li>TIG welding</li><li class='x'>SQL</li></ul>", "\n\n- TIG welding\n- SQL\n"),
        ("<tr><td>Pay</td><td>30</td></tr>", "\n Pay  30 \n"),
        ("Java<b>Script</b> and <a href=\"https://x.org/?a>b\" title='1 > 2'>more</a>", "JavaScript and more"),
        ("<script type='x'>if (a < b) {}</script>text<style>p {}</style><!-- note <b> -->", "text"),
        ("<SCRIPT>x</Script>İ<!--c-->y", "İy"),
        ('<!DOCTYPE html PUBLIC "-//W3C//DTD"><html>Cook</html>', "\nCook\n"),
        ('<?xml version="1.0"?><?xml:namespace prefix = o ns = "urn:x" />Cook', "Cook"),
        ("<!--[if mso]><p>x</p><![endif]--><![if !supportLists]>· <![endif]>Cook", "· Cook"),
        ("<![CDATA[<p>Cook & more</p>]]>", "\nCook & more\n"),
        (
            '<o:p></o:p><st1:City w:st="on">Leeds</st1:City><noscript>On</noscript><col width=3><nobr>a</nobr>',
            "LeedsOna",
        ),
    ],
)
def test_html_is_dropped(text: str, cleaned: str) -> None:
    assert drop_html(text) == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "<ORGANIZATION> in <LOCATION>, <ADDRESS>, write to <EMAIL>",
        "List<String>, a < b and c > d, x<y",
        "C++ & C#, I <3 welding, p<0.05",
        "cut off <a href='https://x.org",
        "not closed <!-- and <script>alert(1)"[:24],
        "&lt;b&gt;",
        "<!important> and <!doctyped>, <?> <?xmlish>, <![iffy]>, a[b[0]]>c",
        "<date>, <time>, <source>, <my hn username> [at] <company-name>.com, <stealth project>",
    ],
)
def test_what_is_not_html_stays(text: str) -> None:
    assert drop_html(text) == text


@pytest.mark.parametrize(
    "hostile",
    [
        "<a " * 30_000,
        '<a "' * 30_000,
        "<!--" * 30_000,
        "<!doctype " * 30_000,
        "<![if " * 30_000,
        "<![CDATA[" * 30_000,
        "<script>" * 15_000,
        "<p '\"" * 20_000,
        "< " * 50_000,
        "&" * 99_999,
        "e" + "\u0301\u0327" * 50_000,
        "e" + "\u0344" * 10_000 + "\u0301" * 30_000 + "\u0327" * 60_000,
    ],
    ids=lambda text: ascii(text[:8]),
)
def test_hostile_texts_take_no_time(hostile: str) -> None:
    started = time.process_time()
    clean(hostile, ALL)
    assert time.process_time() - started < 5


_PIECES = [
    *(
        "<a",
        "<p",
        "</li",
        "<br",
        "<o:p",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<style",
        ">",
        "/",
        "<",
        '"',
        "'",
        "=",
    ),
    *(
        "&",
        "#",
        "x",
        ";",
        "1",
        "amp",
        " ",
        "\n",
        "\r",
        "\t",
        "\xa0",
        "\u200b",
        "e",
        "\u0301",
        "\u0327",
        "\u0344",
        "\U0001f600",
    ),
    *("word " * 300, '"' + "y" * 999, "<b " * 20),
]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(_PIECES), max_size=2), st.lists(st.sampled_from(_PIECES), min_size=1, max_size=6))
def test_no_repetition_of_anything_takes_long(start: list[str], again: list[str]) -> None:
    unit = "".join(again)
    text = "".join(start) + unit * (30_000 // len(unit) + 1)
    started = time.process_time()
    clean(text, ALL)
    assert time.process_time() - started < 5  # a guard against hanging: a tenth of a second in practice


@given(
    st.lists(st.text("ea\u0301\u0327\u0344\u0316\u05b0\U0001d165", min_size=1, max_size=4), max_size=4),
    st.integers(1, 60),
)
def test_marks_end_in_the_order_of_nfc(parts: list[str], times: int) -> None:
    text = "".join(part * times for part in parts)
    assert normalize_unicode(text) == unicodedata.normalize("NFC", text)


def test_no_mark_is_forgotten() -> None:
    marks = [char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.combining(char)]
    assert len(marks) > 900
    assert all(_MANY_MARKS.fullmatch(mark * 31) for mark in marks)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("R&amp;D, it&#39;s &#x27;SQL&#x27;", "R&D, it's 'SQL'"),
        ("a&nbsp;b", "a\xa0b"),
        ("twice: &amp;amp; &amp;lt;", "twice: & <"),
        ("?a=1&copy=2 AT&T; &notanentity; &", "?a=1&copy=2 AT&T; &notanentity; &"),
        ("&#0; &#xD800;", "\ufffd \ufffd"),
    ],
)
def test_entities_are_decoded(text: str, cleaned: str) -> None:
    assert decode_entities(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Cafe\u0301", "Café"),
        ("o\ufb03ce \ufb02oor", "office floor"),
        ("e\u00ad\u0301", "é"),
        ("a\u00adb\u200bc\ufeff\u202ad", "abcd"),
        ("a\u00a0b\u2003c\u3000d", "a b c d"),
        ("a\u2028b\x85c\r\nd\re", "a\nb\nc\nd\ne"),
        ("a\x00b\x07c\td", "abc\td"),
        ("12 m², ½ day, “quoted”, C♯, 👩‍🔧", "12 m², ½ day, “quoted”, C♯, 👩‍🔧"),
    ],
)
def test_unicode_is_normalized(text: str, cleaned: str) -> None:
    assert normalize_unicode(text) == cleaned


def test_white_space_is_collapsed_and_lines_are_kept() -> None:
    assert collapse_whitespace("  a \t b\r\n\r\n\r\n \n- c \r- d\u00a0e\n\n") == "a b\n\n- c\n- d e"


def test_steps_run_in_the_order_named() -> None:
    twice = "&lt;p&gt;5 &amp;lt; 6&lt;/p&gt;"
    assert clean(twice, ("html", "entities")) == "<p>5 < 6</p>"
    assert clean(twice, ("entities", "html", "whitespace")) == "5 < 6"
    assert clean("<p> a &amp; b", ()) == "<p> a &amp; b"


def test_all_steps_of_the_schema_are_there() -> None:
    assert tuple(STEPS) == ALL


def test_a_clean_ad_stays_as_it_is() -> None:
    ad = "Płatnik & Søn, 38.5 h:\n- TIG welding (135/141)\n\n- C++ <LOCATION>; it's 5 °C"
    assert clean(ad, ALL) == ad


@given(st.text())
def test_cleaned_text_can_be_written_and_cleaning_it_again_changes_nothing(text: str) -> None:
    steps: tuple[CleaningStep, ...] = ("unicode", "whitespace")
    once = clean(text, steps)
    assert clean(once, steps) == once == unicodedata.normalize("NFC", once)
    clean(text, ALL).encode("utf-8")
