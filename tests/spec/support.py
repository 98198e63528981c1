"""A folder of specs to break, and the table of error messages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import Loaded, load_spec

GOOD = "name: job\ndata: {source: data/ads.jsonl}\n"


@dataclass(frozen=True)
class Folder:
    """`experiments/` in a folder of its own."""

    experiments: Path

    def write(self, text: str | bytes, name: str = "job.yaml") -> Path:
        path = self.experiments / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, text: str | bytes, *overrides: str) -> Loaded:
        return load_spec(self.write(text), overrides=overrides)

    def error(self, text: str | bytes, *overrides: str) -> str:
        """The whole text of the error that `text` gives, its places being those of experiments/job.yaml."""
        try:
            loaded = self.load(text, *overrides)
        except SpecError as error:
            return str(error)
        raise AssertionError(f"loaded without an error: {loaded.experiment}")


@dataclass
class Case:
    """One broken spec of `error_table.txt` and the full text that it must give."""

    title: str
    files: dict[str, str] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    expected: str = ""


def read_table(path: Path) -> list[Case]:
    """The cases of a table: `=== title`, then `--- FILE`, `--- set` and `--- expect`, each with the lines below it."""
    cases: list[Case] = []
    for block in path.read_text(encoding="utf-8").split("=== ")[1:]:
        title, _, body = block.partition("\n")
        case = Case(title)
        for part in ("\n" + body).split("\n--- ")[1:]:
            name, _, text = part.partition("\n")
            if name == "expect":
                case.expected = text.strip("\n")
            elif name == "set":
                case.overrides = text.splitlines()
            else:
                case.files[name] = text + "\n"
        cases.append(case)
    return cases
