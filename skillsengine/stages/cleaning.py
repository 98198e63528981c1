"""The named cleaning steps of `data.cleaning`: each a function str -> str that leaves plain text as it is.

Skills must stay verbatim, so no step rewrites words: case, spelling and typographic quotes are the ad's own.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable
from html.entities import html5
from typing import get_args

from skillsengine.spec.schema import CleaningStep

_BLOCKS = (
    "article|aside|blockquote|body|br|caption|center|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|h1|h2|h3|h4|h5|h6|head|"
    "header|hr|html|main|nav|ol|option|p|pre|section|select|table|tbody|tfoot|thead|title|tr|ul"
)
_INLINE = (
    "a|abbr|acronym|b|bdi|big|button|cite|code|col|colgroup|del|dfn|em|font|i|iframe|img|input|ins|kbd|label|link|mark|meta|"
    "nobr|noscript|o:p|picture|q|s|samp|small|span|st1:[a-z]+|strike|strong|sub|summary|sup|svg|textarea|tt|u|var|video|wbr"
)
# Only names of HTML elements are tags: `a < b`, `List<String>` and placeholders such as <ORGANIZATION> are text. The
# element `address` is missing on purpose: ads do not use it, and <ADDRESS> is a common placeholder.
# Attributes are bounded, so that an unclosed tag in a long text cannot make the search quadratic.
_ATTRIBUTES = r"""(?:\s(?:[^<>"']++|"[^"]{0,1000}+"|'[^']{0,1000}+'){0,60}+|\s[^<>]*+)?"""
_TAG = re.compile(rf"</?(li|td|th|{_BLOCKS}|{_INLINE}){_ATTRIBUTES}/?>", re.IGNORECASE)
# Not lower() and find(): lower() can change a text's length (`İ`), and the places found would be wrong.
_DROPPED = [
    (re.compile(opening, re.IGNORECASE), re.compile(closing, re.IGNORECASE))
    for opening, closing in (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"))
]
# What else stands between `<` and `>`: the first line of a page, and what Word leaves in what is pasted from it.
_DECLARATION = re.compile(r"<(?:!doctype\s|\?xml[\s:]|!\[(?:if\s|endif\b))[^<>]*+>", re.IGNORECASE)
_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_PLAIN: dict[int, str | None] = {
    **{code: " " for code in range(0x3001) if unicodedata.category(chr(code)) == "Zs"},
    **dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)]),  # control characters, lone surrogates
    # Zero-width and soft marks, marks of writing direction. The joiners U+200C and U+200D stay: they spell words.
    **dict.fromkeys([0xAD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A), 0xFEFF]),
    **dict.fromkeys([0x0A, 0x0B, 0x0C, 0x85, 0x2028, 0x2029], "\n"),
    **{code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)},  # ligatures
}
del _PLAIN[0x09], _PLAIN[0x0A], _PLAIN[0x20]
_NOT_PLAIN = re.compile(f"[{''.join(map(re.escape, map(chr, sorted(_PLAIN))))}]")
# More marks on one letter than any language writes. `unicodedata.normalize` sorts marks by moving each past all others: 80,000
# of them in a row took it 13 seconds, and a row may be a hundred times as long. What is ahead in the pattern saves most of the
# characters a test for 900 marks.
_MARKS = "".join(char for char in map(chr, range(0x300, 0x20000)) if unicodedata.combining(char))
_MANY_MARKS = re.compile(f"(?![\x00-\u02ff])[{_MARKS}]{{31,}}")
_OTHER_SPACE = re.compile("[" + "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c not in " \n") + "]")


def drop_html(text: str) -> str:
    """Take out the tags, comments, declarations, scripts and style sheets of HTML; blocks become lines, list items `- ` lines.

    Character references such as `&amp;` stay for the step `entities`. Known limitation: a tag that the text cuts off
    (`<a href="http`) stays.
    """
    for opening, closing in _DROPPED:
        text = _drop_between(text, opening, closing)
    if "<![CDATA[" in text:  # as feeds wrap an ad
        text = text.replace("<![CDATA[", "").replace("]]>", "")
    return _TAG.sub(_in_place_of, _DECLARATION.sub("", text))


def _drop_between(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """Without the parts from `opening` to `closing`; a part that is not closed stays."""
    kept, position = [], 0
    while (start := opening.search(text, position)) and (end := closing.search(text, start.end())):
        kept.append(text[position : start.start()])
        position = end.end()
    return "".join([*kept, text[position:]])


def _in_place_of(tag: re.Match[str]) -> str:
    name, closes = tag[1].lower(), tag[0].startswith("</")
    if name == "li":
        return "" if closes else "\n- "
    if name in ("td", "th"):
        return " "
    return "\n" if name in _BLOCKS.split("|") else ""


def decode_entities(text: str) -> str:
    """`&amp;` -> `&`, `&#x27;` -> `'`, `&nbsp;` -> a no-break space.

    References without their semicolon stay, since `?a=1&copy=2` is an address. A second pass reads what was encoded
    twice.
    """
    for _ in range(2):
        text = _ENTITY.sub(_character, text)
    return text


def _character(reference: re.Match[str]) -> str:
    if reference[1].startswith("#"):
        return html.unescape(reference[0])
    # Not html.unescape: it reads the beginning of an unknown name, `&notes;` as `¬es;`.
    return html5.get(reference[0][1:], reference[0])


def normalize_unicode(text: str) -> str:
    """Compose accents (NFC), spell out ligatures, make all spaces plain, drop invisible and control characters.

    Not NFKC: it would turn `m²` into `m2` and `½` into `1⁄2`.
    """
    plain = _NOT_PLAIN.sub(_plain, text.replace("\r\n", "\n").replace("\r", "\n"))
    # Composed last: an invisible mark can stand between a letter and its accent.
    if unicodedata.is_normalized("NFC", plain):
        return plain
    return unicodedata.normalize("NFC", _MANY_MARKS.sub(_sorted_marks, plain))


def _sorted_marks(run: re.Match[str]) -> str:
    """Marks in the order that NFC gives them, so that it has nothing left to sort."""
    marks = "".join(unicodedata.normalize("NFD", char) for char in run[0])
    return "".join(sorted(marks, key=unicodedata.combining))


def _plain(char: re.Match[str]) -> str:
    return _PLAIN[ord(char[0])] or ""


def collapse_whitespace(text: str) -> str:
    """One space for every run of spaces and tabs, none at the ends of lines, at most one empty line in a row."""
    text = _OTHER_SPACE.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    # Not regular expressions for runs: they stop at each single space and line break, which took most of the stage's time.
    while "  " in text:
        text = text.replace("  ", " ")
    text = text.replace(" \n", "\n").replace("\n ", "\n")
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.strip()


STEPS: dict[CleaningStep, Callable[[str], str]] = {
    "html": drop_html,
    "entities": decode_entities,
    "unicode": normalize_unicode,
    "whitespace": collapse_whitespace,
}
if set(STEPS) != set(get_args(CleaningStep)):
    raise TypeError("the cleaning steps of skillsengine.stages.cleaning and of the spec's schema differ")


def clean(text: str, steps: Iterable[CleaningStep]) -> str:
    """`text` after the named steps, in their order."""
    for step in steps:
        text = STEPS[step](text)
    return text
