"""The path of a source as a pattern: `{partition}` stands for a key, `*`, `?` and `[...]` for letters of one name."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from functools import cached_property

from skillsengine.sources.errors import SourceError
from skillsengine.sources.keys import KEY_PATTERN, parse_key
from skillsengine.spec.schema import Period

PLACEHOLDER = "{partition}"
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Match:
    """How a file belongs to a source."""

    key: str | None
    """Its partition, where its path says it."""
    in_folder: bool
    """Whether the source names its folder; else it names the file itself."""


@dataclass(frozen=True)
class Pattern:
    """What a source's path means, part by part. Raises SourceError for `**`."""

    path: str
    """With `/` between its parts."""
    period: Period = "month"

    def __post_init__(self) -> None:
        if "**" in self.path:
            raise SourceError(
                f"data.source: `**` in {self.path} is not read. Write one `*` for each folder between, such as ads/*/*.csv."
            )

    @property
    def dated(self) -> bool:
        return PLACEHOLDER in self.path

    @property
    def wild(self) -> bool:
        """Whether it may mean files of several names."""
        return _WILD.search(self.path) is not None

    @property
    def means_folder(self) -> bool:
        """Whether a folder that it names is read: `ads/{partition}` and `ads/*/` do, and `ads/*` means files alone."""
        return self.path.endswith("/") or not _WILD.search(self.path.rpartition("/")[2])

    @cached_property
    def parts(self) -> tuple[str, ...]:
        return tuple(part for part in self.path.split("/") if part and part != ".")

    @cached_property
    def fixed(self) -> int:
        """How many leading parts are what they are; the last one never counts."""
        loose = (index for index in range(len(self.parts)) if not self.is_plain(index))
        return min(next(loose, len(self.parts)), max(len(self.parts) - 1, 0))

    @property
    def stem(self) -> str:
        """The letters with which the first part that is not `fixed` begins."""
        rest = self.parts[self.fixed] if self.parts else ""
        return re.split(rf"{re.escape(PLACEHOLDER)}|{_WILD.pattern}", rest, maxsplit=1)[0]

    @property
    def literal(self) -> bool:
        """Whether it names one place."""
        return not self.dated and not self.wild

    def is_plain(self, index: int) -> bool:
        """Whether the part at place `index` is what it is."""
        return PLACEHOLDER not in self.parts[index] and not _WILD.search(self.parts[index])

    def at(self, key: str) -> str:
        """The path of one partition."""
        return self.path.replace(PLACEHOLDER, key)

    def name(self, index: int, name: str, key: str | None = None) -> tuple[bool, str | None]:
        """(whether `name` can stand at place `index`, the key so far): `key` is what the parts before have said."""
        found = self._names[index].fullmatch(name)
        if found is None:
            return False, key
        said = found.groupdict().get("key")
        if said is None:
            return True, key
        return key in (None, said) and self._is_key(said), said

    def match(self, path: str) -> Match | None:
        """Whether the file at `path` (parts joined by `/`) belongs to the source: named by it, or in a folder it names."""
        names, key = path.split("/"), None
        below = len(names) - len(self.parts)
        if below not in ((0, 1) if self.means_folder else (0,)) or (self.path.endswith("/") and below == 0):
            return None
        for index in range(len(self.parts)):
            fits, key = self.name(index, names[index], key)
            if not fits:
                return None
        return Match(key, in_folder=bool(below))

    @cached_property
    def _names(self) -> tuple[re.Pattern[str], ...]:
        return tuple(self._regex(part) for part in self.parts)

    def _regex(self, part: str) -> re.Pattern[str]:
        # The first placeholder of a name is captured; every other one must say the same.
        found = fnmatch.translate(part) if _WILD.search(part) else re.escape(part)
        key = KEY_PATTERN[self.period].strip("^$")
        found = found.replace(re.escape(PLACEHOLDER), f"(?P<key>{key})", 1)
        hidden = "" if part.startswith(".") or not _WILD.match(part) else r"(?!\.)"
        return re.compile(hidden + found.replace(re.escape(PLACEHOLDER), "(?P=key)"))

    def _is_key(self, text: str) -> bool:
        try:
            parse_key(text, self.period)
        except SourceError:
            return False  # looks like one, and is none: 2025-W53
        return True
