"""Training rows in the terminal, with what is learned from them marked."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text

from skillsengine.cli.console import out
from skillsengine.pipeline.preview import PreviewedRow

_LEARNED = "bold black on green"


def show_rows(rows: Iterable[PreviewedRow]) -> None:
    """Print rows under a line with their ids and lengths in tokens, and the key to the marks."""
    for row in rows:
        out.rule(Text(f"{row.id} · {row.tokens} tokens, {row.supervised} supervised"))
        out.print(_marked(row.pieces))
    out.rule()
    out.print(Text("marked so", style=_LEARNED), "= supervised: the loss is computed on these tokens alone")


def show_texts(rows: Iterable[tuple[str, str, str]]) -> None:
    """Print rows (id, prompt, answer) whose tokens are not known."""
    for name, prompt, answer in rows:
        out.rule(Text(name))
        out.print(_marked(((prompt, False), (answer, True))))
    out.rule()
    out.print(Text("marked so", style=_LEARNED), "= the answer: what is learned, with the end-of-text token after it")


def _marked(pieces: Iterable[tuple[str, bool]]) -> Text:
    text = Text()
    for piece, learned in pieces:
        text.append(piece, style=_LEARNED if learned else "")
    return text
