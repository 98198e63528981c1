"""Cleaning on real ads: what each step takes out of them, and what people wrote that must survive.

The ads of `history/hn` came off a web site: the readers of it left one page's tags, soft hyphens, zero-width spaces and line
separators in, and took the rest out. So they are also tried as the site's API gives them and as a job board's page.
"""

from __future__ import annotations

import html
import json
import time
import unicodedata
from html.entities import html5
from html.parser import HTMLParser
from itertools import cycle
from pathlib import Path

import pytest

from skillsengine.spec.schema import CleaningStep, Data
from skillsengine.stages.cleaning import STEPS, clean, decode_entities, drop_html
from skillsengine.stages.labels import verbatim
from tests.conftest import SHARED

pytestmark = pytest.mark.shared

ALL = Data(source="x").cleaning
_BULLETS = ("* ", "- ", "• ", "· ", "– ")


def read(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def ads() -> dict[str, str]:
    """id -> text of all 6,480."""
    files = sorted((SHARED / "history" / "hn").glob("*.jsonl"))
    return {str(row["id"]): str(row["job_description"]) for file in files for row in read(file)}


@pytest.fixture(scope="module")
def cleaned(ads: dict[str, str]) -> dict[str, str]:
    started = time.process_time()
    texts = {name: clean(text, ALL) for name, text in ads.items()}
    assert time.process_time() - started < 30  # a guard against hanging: 0.3 s in practice
    return texts


@pytest.mark.parametrize(
    ("step", "name", "before", "after"),
    [
        ("html", "hn-6478140", "San Francisco\n<br>\nWHO WE ARE\n<br>\n", "San Francisco\n\n\nWHO WE ARE\n\n\n"),
        ("html", "hn-6478140", '\n<b>Use Subject Line "ToMo Senior ', '\nUse Subject Line "ToMo Senior '),
        ("html", "hn-6478140", "<EMAIL><br>\n</div>", "<EMAIL>\n\n\n"),
        ("unicode", "hn-6995181", "receive proﬁt for", "receive profit for"),
        ("unicode", "hn-6141409", "-- \xadincluding two-\xadthir", "-- including two-thir"),
        ("unicode", "hn-8827520", "monitors, \u200bgood chairs", "monitors, good chairs"),
        ("unicode", "hn-6144816", "expected to: \u2028\nParticipate", "expected to: \n\nParticipate"),
        ("unicode", "hn-9474879", "space heaters\u200a—\u200aall in", "space heaters — all in"),
        ("unicode", "hn-10319321", "purchases.\u2002\nRequirements", "purchases. \nRequirements"),
        ("unicode", "hn-10314885", "<URL>\n\ufeff", "<URL>\n"),
        ("unicode", "hn-11406782", "anywhere”\x9d access", "anywhere” access"),
        ("whitespace", "hn-10319321", "purchases.\u2002\nRequirements", "purchases.\nRequirements"),
    ],
)
def test_what_a_step_takes_out(ads: dict[str, str], step: CleaningStep, name: str, before: str, after: str) -> None:
    assert before in ads[name]
    done = STEPS[step](ads[name])
    assert before not in done and after in done


@pytest.mark.parametrize(("step", "touched"), [("html", 1), ("entities", 0), ("unicode", 110), ("whitespace", 1176)])
def test_a_step_touches_no_ad_without_what_it_takes_out(ads: dict[str, str], step: CleaningStep, touched: int) -> None:
    changed = {name for name, text in ads.items() if STEPS[step](text) != text}
    assert len(changed) == touched
    if step == "html":
        assert changed == {"hn-6478140"}


class _Tags(HTMLParser):
    """Another reader of HTML than ours: what it takes for tags, comments and references."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)
        self.found: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.add(tag)

    def handle_endtag(self, tag: str) -> None:
        self.found.add(tag)

    def handle_comment(self, data: str) -> None:
        self.found.add("<!--")

    def handle_decl(self, decl: str) -> None:
        self.found.add("<!")

    def handle_charref(self, name: str) -> None:
        self.found.add(f"&#{name};")

    def handle_entityref(self, name: str) -> None:
        if f"{name};" in html5 and f"&{name};" in self.rawdata:
            self.found.add(f"&{name};")


_ELEMENTS = """
    a abbr article aside b big blockquote body br button center cite code dd del div dl dt em font footer form h1 h2 h3 h4 h5
    h6 head header hr html i iframe img input ins kbd label li link main mark meta nav ol option p pre q s samp script
    section select small span strike strong style sub sup svg table tbody td textarea tfoot th thead title tr tt u ul var
    video wbr <!-- <!
"""


def left_of_html(text: str) -> set[str]:
    return {found for found in _Tags(text).found if found in _ELEMENTS.split() or found.startswith("&")}


def test_nothing_unreadable_is_left(cleaned: dict[str, str]) -> None:
    for name, text in cleaned.items():
        assert not left_of_html(text), name
        kinds = {(unicodedata.category(char), char) for char in set(text) - {" ", "\n"}}
        strange = {char for kind, char in kinds if kind in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp")}
        assert not strange - {"\u200c", "\u200d"}, name  # the joiners spell words and emoji
        assert "  " not in text and " \n" not in text and "\n " not in text and "\n\n\n" not in text, name
        assert text == text.strip() == unicodedata.normalize("NFC", text), name


def test_the_reader_of_html_finds_what_it_should() -> None:
    assert left_of_html("<!DOCTYPE html>a <br>b</p><!-- c -->&amp;&#39; <URL> a < b <my name> &c. R&D") == {
        "<!",
        "br",
        "p",
        "<!--",
        "&amp;",
        "&#39;",
    }


_NEEDED = """
    C++ C# F# .NET node.js <3 R&D AT&T Q&A M&A && || -> => <= >= <URL> <EMAIL> <PHONE> <at> <dot> <-> @ # $ % ~ ` { } [ ] \\
    ★ ☆ ☢ ♥ ♫ • ● ▪ → ’ “ ” – — … £ € ™ ® é ü ö ß å Ø ł ń Ō Ü 创 新 工 场 ½ ³ − ± ≥ § » ┋ █
"""


def test_what_people_need_survives(ads: dict[str, str], cleaned: dict[str, str]) -> None:
    before, after = "\n".join(ads.values()), "\n".join(cleaned.values())
    there = {needed: before.count(needed) for needed in _NEEDED.split()}
    assert all(there.values())
    assert {needed: after.count(needed) for needed in _NEEDED.split()} == there
    for said in (
        "< 150ms rtt",
        "> 500mbps",
        "home<==>office >10km",
        "we <3 BIG DATA",
        "<my hn username>",
    ):
        assert said in before and said in after


_VISIBLE = {
    **{code: None for code in range(0x10000) if unicodedata.category(chr(code))[0] in "CZ"},
    **{code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)},  # ligatures: ﬁ, ﬂ
}


def _letters(text: str) -> str:
    """Without spaces and invisible characters."""
    return unicodedata.normalize("NFC", text.translate(_VISIBLE))


def test_every_letter_and_sign_of_every_ad_survives_but_tags(ads: dict[str, str], cleaned: dict[str, str]) -> None:
    differ = {name for name, text in ads.items() if _letters(text) != _letters(cleaned[name])}
    assert differ == {"hn-6478140"}


def test_cleaning_again_changes_nothing(cleaned: dict[str, str]) -> None:
    assert all(clean(text, ALL) == text for text in cleaned.values())
    for step in STEPS:
        assert all(STEPS[step](text) == text for text in cleaned.values()), step


@pytest.mark.parametrize("folder", ["hn", "skillspan"])
def test_labels_stay_verbatim(folder: str) -> None:
    for file in sorted((SHARED / "history" / folder).glob("*.jsonl")):
        for row in read(file):
            skills = row["skills"]
            assert isinstance(skills, list)
            assert verbatim(skills, clean(str(row["job_description"]), ALL), ALL)[1] == 0, row["id"]


def as_the_api_gives_it(text: str) -> str:
    """As the site that these ads come from encodes a comment."""
    encoded = html.escape(text, quote=False).replace("'", "&#x27;").replace('"', "&quot;").replace("/", "&#x2F;")
    return encoded.replace("\n", "<p>")


def test_ads_as_the_sites_api_gives_them_come_out_as_they_were_written(cleaned: dict[str, str]) -> None:
    for name, text in cleaned.items():
        served = as_the_api_gives_it(text)
        assert "&#x2F;" in served or "/" not in text
        assert decode_entities(drop_html(served)) == text, name
        assert clean(served, ALL) == text, name


def as_a_page(text: str) -> str:
    """As a job board shows it: paragraphs, lists, styled words, links, scripts."""
    styles = cycle(
        [
            ("<strong>", "</strong>"),
            ('<span style=\'font-family:"Arial",sans-serif; mso-fareast: "x > y"\'>', "</span>"),
            ('<a href="https://example.org/?a=1&amp;b=2&copy=3" rel=nofollow>', "</a>"),
            ("<FONT SIZE=2 COLOR='#333'>", "</FONT>"),
            ("<em class=x><u>", "</u></em>"),
        ]
    )
    lines = []
    for line in text.split("\n"):
        bullet = next((mark for mark in _BULLETS if line.startswith(mark)), "")
        words = [html.escape(word) for word in line[len(bullet) :].split(" ")]
        for place in range(0, len(words), 5):
            opening, closing = next(styles)
            words[place] = f"{opening}{words[place]}{closing}"
        inner = "&nbsp;".join(words) if len(words) < 4 else " ".join(words)
        lines.append(f"<li class='b'>{inner}</li>" if bullet else f'<p\n  data-x="1">{inner}<br/></p>\r\n')
    return (
        '<!DOCTYPE html><html><head><title></title><style type="text/css">p > a { color: red }</style>'
        '<script async>if (a < b && c > d) { document.write("<p>Apply now</p>") }</script></head><body><!-- <b>ad</b> -->'
        f"<div id=main>{''.join(lines)}</div></body></html>"
    )


def test_ads_as_a_job_boards_page_come_out_line_by_line(cleaned: dict[str, str]) -> None:
    for name, text in list(cleaned.items())[::5]:
        page = clean(as_a_page(text), ALL)
        bullets = [next((mark for mark in _BULLETS if line.startswith(mark)), "") for line in text.split("\n")]
        lines = [
            f"- {line[len(mark) :]}" if mark else line for mark, line in zip(bullets, text.split("\n"), strict=True)
        ]
        assert [line for line in page.split("\n") if line] == [line for line in lines if line], name
        assert not left_of_html(page), name


def test_pages_that_were_encoded_as_a_whole_need_the_entities_first(cleaned: dict[str, str]) -> None:
    for name, text in list(cleaned.items())[::50]:
        encoded = html.escape(as_the_api_gives_it(text))
        assert "<p>" in clean(encoded, ALL) or "\n" not in text
        assert clean(encoded, ("entities", "html", "unicode", "whitespace")) == text, name


def test_placeholders_of_anonymized_ads_are_no_tags() -> None:
    marks = {"<ORGANIZATION>", "<LOCATION>", "<ADDRESS>", "<NAME>"}
    seen: set[str] = set()
    for file in sorted((SHARED / "skillspan" / "document").glob("*.jsonl")):
        for row in read(file):
            text = str(row["job_description"])
            done = clean(text, ALL)
            assert clean(done, ALL) == done
            seen |= {mark for mark in marks if mark in text}
            assert all(text.count(mark) == done.count(mark) for mark in marks), row["id"]
    assert seen == marks
