"""The command that uses an adapter: extract the skills of ads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.text import Text as Line

from skillsengine.cli.console import err, fail, out, settings_for
from skillsengine.cli.meter import Meter
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.serving.answers import after, answer_line, open_answers
from skillsengine.serving.named import Named, find
from skillsengine.serving.stream import AHEAD, in_order
from skillsengine.serving.texts import Kind, Text, Texts, Unread
from skillsengine.settings import Settings
from skillsengine.spec.text import printable

_TOLD = 10
"""Rows that cannot be read are told one by one up to here, and then counted."""
_BROKEN_PIPE = 141
"""Exit code of what writes into a closed pipe."""

Version = Annotated[
    str,
    typer.Argument(
        metavar="MODEL@REF", help="REF is a number or an alias: champion, latest. Or the folder of a version."
    ),
]
BatchSize = Annotated[
    int,
    typer.Option(
        min=1, metavar="N", help="Texts that are read at once. More need more memory; the answers are the same."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda. Default: what the adapter was trained on.")]


def add_to(app: typer.Typer) -> None:
    app.command()(extract)


def extract(
    reference: Version,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="A text with one ad; JSON lines, CSV or Parquet with many; a folder of such files; or - for standard input.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the answers there, line by line.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="With -o: go on after the last answer in FILE.")] = False,
    text_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Field of the ad in a row. Default: as in the training data.")
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option("--format", help="text (one ad) or jsonl, where neither the name nor the first letter tells."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, also of one ad in a terminal.")] = False,
    batch_size: BatchSize = 8,
    device: Device = None,
) -> None:
    """Find the skills that ads ask for, with a registered adapter.

    Prints a line of JSON for each ad, in their order and as soon as it is answered: id, file, line, version, skills, and
    parsed, which is false where the answer was no whole list. Of one text in a terminal it prints the skills.

    Example: `skillsengine extract job-skills-demo@champion ads.jsonl -o skills.jsonl`
    """
    if resume and output is None:
        raise fail("--resume goes on with a file of answers: name it with -o FILE.")
    settings = settings_for()
    version = find(reference, settings)
    texts = Texts(
        sources,
        text_field=text_field or version.text_field,
        id_field=version.id_field,
        kind=kind,
        stdin=sys.stdin.buffer,
    )
    listed = texts.single and output is None and not as_json and _in_terminal()
    with ExitStack() as stack:
        file: IO[str] = sys.stdout
        last = None
        if output is not None:
            file, last = open_answers(output, resume=resume, version=version.name)
            stack.enter_context(file)
        command = _Extract(version, settings, texts, file, output, listed)
        command.run(after(iter(texts), last), batch_size, device)


class _Extract:
    """One call of the command, with what it counts."""

    def __init__(
        self, version: Named, settings: Settings, texts: Texts, file: IO[str], output: Path | None, listed: bool
    ) -> None:
        self._version, self._settings, self._texts = version, settings, texts
        self._file, self._output, self._listed = file, output, listed
        self._unread = self._notes = 0
        self._meter = Meter("ad", bar=output is not None or not _in_terminal())

    def run(self, texts: Iterator[Text | Unread], batch_size: int, device: str | None) -> None:
        # By name: only here a model is loaded.
        extractor = import_heavy("skillsengine.serving.load").load_named(
            self._version, self._settings, device=device, batch_size=batch_size
        )
        try:
            with self._meter:
                for text, found in in_order(extractor, texts, self._tell, ahead=AHEAD * batch_size):
                    self._write(text, found)
        except BrokenPipeError as error:
            # Nobody reads on, as after `| head`. What Python would still write at its end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(_BROKEN_PIPE) from error
        except KeyboardInterrupt as error:
            self._sum_up("interrupted: ", f" -o {self._output} --resume goes on from there" if self._output else "")
            raise typer.Exit(130) from error
        self._sum_up()
        if self._unread:
            raise fail(f"{self._unread} could not be read (see above); everything else is answered.")

    def _write(self, text: Text, found: Any) -> None:
        self._note()
        if self._listed and text.line is None:
            self._meter.done += 1
            for skill in found.skills or ["(no skills found)"]:
                out.print(Line(printable(skill)))
            return
        try:
            self._file.write(answer_line(self._version.name, text, found))
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise fail(
                f"{self._output or 'standard output'}: cannot be written ({error.strerror}). What is there stays: make room, "
                "and go on with -o FILE --resume."
            ) from error
        self._meter.one(text.share)

    def _tell(self, unread: Unread) -> None:
        self._note()
        self._unread += 1
        if self._unread <= _TOLD:
            err.print(Line.assemble(("not read: ", "red"), printable(unread.told)))
        elif self._unread == _TOLD + 1:
            err.print("(further ones are only counted)")

    def _note(self) -> None:
        """What the readers have found out since."""
        for note in self._texts.notes[self._notes :]:
            err.print(f"note: {note}", markup=False)
        self._notes = len(self._texts.notes)

    def _sum_up(self, before: str = "", behind: str = "") -> None:
        self._note()
        if not self._texts.single or self._meter.done > 1:
            where = f" · {self._output}" if self._output else ""
            err.print(f"{before}{self._meter.total()}{where}{behind}", markup=False)


def _in_terminal() -> bool:
    """Whether people read what is printed."""
    return sys.stdout.isatty()
