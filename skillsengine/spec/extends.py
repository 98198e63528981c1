"""A spec and all that it extends, merged into one tree."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path

from skillsengine.spec.errors import Problem, SpecError
from skillsengine.spec.scalars import found, shorten
from skillsengine.spec.secrets import secrets_in
from skillsengine.spec.source import Broken, Node, Place, Source, merge
from skillsengine.spec.stamp import Stamp
from skillsengine.spec.suggest import closest
from skillsengine.spec.text import printable, read_source
from skillsengine.spec.yaml_text import parse

MAX_FILES = 50
_KEPT = 20_000
"""Characters of the longest text whose tree is kept for the next spec."""


@dataclass
class Reader:
    """Reads files below one `experiments/`, each once, however often it is extended."""

    experiments: Path
    problems: list[Problem] = field(default_factory=list)
    texts: dict[Path, str] = field(default_factory=dict)
    """The files that were read, in that order -> their texts."""
    stamps: dict[Path, Stamp] = field(default_factory=dict)
    """The same files -> the state in which each was read."""
    incomplete: bool = False
    """Whether a file could not be read: what seems to be missing may stand in it."""
    _done: dict[Path, Node | None] = field(default_factory=dict)
    _open: list[Path] = field(default_factory=list)

    def shown(self, path: Path) -> str:
        """How people call a file: from the folder that holds `experiments/`, if it is in there."""
        # As it was typed first, then with links followed.
        for real, folder in ((normal, self.typed_folder), (followed, self.real_folder)):
            absolute = real(path)
            if absolute.is_relative_to(folder):
                return printable(absolute.relative_to(folder.parent).as_posix())
        return printable(str(path))

    @cached_property
    def typed_folder(self) -> Path:
        """`experiments`, absolute, its links left alone."""
        return normal(self.experiments)

    @cached_property
    def real_folder(self) -> Path:
        """`experiments`, absolute, its links followed."""
        return followed(self.experiments)

    def read(self, path: Path, *, part: bool = False) -> Node | None:
        """The merged tree of `path`: what it extends, in order, with its own values on top; None if it has none.

        `part` says that the file may be empty, being laid over a spec.
        """
        real = followed(path)
        if real in self._done:
            return self._done[real]
        self._open.append(real)
        tree = self._own(path, part)
        if tree is None:
            self.incomplete = True
        else:
            tree = self._with_bases(path, tree)
        self._open.pop()
        self._done[real] = tree
        return tree

    def _own(self, path: Path, part: bool) -> Node | None:
        try:
            source, text, stamp = read_source(path, self.shown(path))
        except SpecError as error:
            self.problems.extend(error.problems)
            return None
        self.texts[path], self.stamps[path] = text, stamp
        self.problems.extend(secrets_in(source, text))
        tree, found_wrong = (_parsed if len(text) <= _KEPT else _parsed.__wrapped__)(source, text)
        self.problems.extend(found_wrong)
        start = Place(source)
        if tree is not None and isinstance(tree.value, dict):
            return replace(tree, at=start)
        if found_wrong:
            return None
        if part and (tree is None or tree.value is None):
            return Node({}, start)
        least = f"a spec holds at least\nname: {shorten(path.stem)}\ndata: {{source: data/ads.jsonl}}"
        if part:
            least = "an overlay holds fields of a spec:\ntrain: {epochs: 1}"
        if tree is None or tree.value is None:
            self.problems.append(start.problem("", "the file is empty", least, excerpt=False))
        else:
            message = f"expected a mapping of keys, found {found(tree.value)}"
            self.problems.append(tree.at.problem("", message, least))
        return None

    def _with_bases(self, path: Path, tree: Node) -> Node:
        named = tree.mapping.get("extends")
        own = replace(tree, value={key: node for key, node in tree.mapping.items() if key != "extends"})
        merged: Node | None = None
        for node in self._named(named):
            base = self._base(path, node)
            if base is not None:
                # A name belongs to one file: a spec that forgets its own must not take its base's.
                base = replace(base, value={key: child for key, child in base.mapping.items() if key != "name"})
                merged = base if merged is None else merge(merged, base)
        return own if merged is None else merge(merged, own)

    def _named(self, named: Node | None) -> list[Node]:
        """The entries of `extends`; what is no text is reported."""
        if named is None or isinstance(named.value, Broken):
            return []
        entries = named.value if isinstance(named.value, list) else [named]
        if len(entries) > MAX_FILES:
            self._report(entries[MAX_FILES], f"more than {MAX_FILES} files extend one another")
            entries = entries[:MAX_FILES]
        texts = []
        for node in entries:
            if isinstance(node.value, str) and node.value:
                texts.append(node)
            elif not isinstance(node.value, Broken):
                self._report(node, f"expected a file or a list of files, found {found(node.value)}", _EXAMPLE)
        return texts

    def _report(self, node: Node, message: str, hint: str | None = None) -> None:
        self.problems.append(node.at.problem("extends", message, hint))
        self.incomplete = True

    def _base(self, path: Path, node: Node) -> Node | None:
        text = str(node.value)
        if "\0" in text or len(text) > 1000 or Path(text).is_absolute():
            self._report(node, f"`{shorten(text)}` is not a relative path", _EXAMPLE)
            return None
        target = path.parent / text
        try:
            real = target.resolve()
            missing = not real.is_file()
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "a link that leads to itself"
            self._report(node, f"`{shorten(text)}` cannot be read: {reason}")
            return None
        if not real.is_relative_to(self.real_folder):
            self._report(node, f"`{shorten(text)}` leads out of `{self.experiments.name}/`", _EXAMPLE)
        elif missing and real.exists() and not real.is_dir():
            self._report(node, f"`{shorten(text)}` is no ordinary file", _EXAMPLE)
        elif missing:
            self._report(node, f"there is no file `{shorten(text)}`", self._near(path, text))
        elif real in self._open:
            chain = " -> ".join(self.shown(p) for p in (*self._open[self._open.index(real) :], real))
            self._report(node, f"the files extend one another in a circle: {chain}", "remove one of these `extends`")
        elif len(self._done) + len(self._open) >= MAX_FILES and real not in self._done:
            self._report(node, f"more than {MAX_FILES} files extend one another")
        else:
            return self.read(Path(os.path.normpath(target)))
        return None

    def _near(self, path: Path, text: str) -> str:
        """The file that was probably meant, or where it was looked for."""
        folder = path.parent.resolve()
        files = [p for p in self.real_folder.rglob("*.yaml") if followed(p) not in self._open]
        relative = {Path(os.path.relpath(p, folder)).as_posix(): p for p in files}
        by_name = {p.name: name for name, p in relative.items()}
        near = closest(text, relative) or by_name.get(closest(Path(text).name, by_name) or "")
        return f"did you mean `{near}`?" if near else f"a path is relative to {self.shown(path.parent)}/"


@lru_cache(maxsize=16)
def _parsed(source: Source, text: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """The tree of a text and what is wrong with it; kept, because a thousand specs extend one base. Trees never change."""
    problems: list[Problem] = []
    return parse(source, text, problems), tuple(problems)


def followed(path: Path) -> Path:
    """`path` with its symbolic links followed, as far as they lead anywhere."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # in a circle
        return normal(path)


def normal(path: Path) -> Path:
    """`path`, absolute and without `..`, its symbolic links left alone: what people typed is what they read."""
    return Path(os.path.normpath(path.absolute()))


_EXAMPLE = "a path relative to this file, inside the folder of the specs: extends: _base/llama2.yaml"
