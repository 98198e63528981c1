"""The pages of this project as text: which there are, their code blocks, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block."""

    page: str
    line: int
    language: str
    text: str


def pages() -> list[Path]:
    """Every Markdown page that people read, wherever it stands."""
    tops = [
        *PROJECT.glob("*.md"),
        *(path for name in ("docs", "data", "benchmarks") for path in (PROJECT / name).rglob("*.md")),
    ]
    return sorted(tops)


def name_of(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(name_of(page), text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _BLOCK.finditer(text)
        if found[1] in languages
    ]


def without_blocks(page: Path) -> str:
    return _BLOCK.sub("", page.read_text("utf-8"))


def links(page: Path) -> list[str]:
    return _LINK.findall(without_blocks(page))


def spans(page: Path) -> list[str]:
    """What stands between single backquotes."""
    return _SPAN.findall(without_blocks(page))


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings make, as code hosts name them."""
    found = set()
    for heading in _HEADING.findall(without_blocks(page)):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found
