"""A merged tree -> Experiment, or everything that is wrong with it, each at the place where it was written."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from skillsengine.masking import names_secret
from skillsengine.spec import allowed
from skillsengine.spec.errors import Problem
from skillsengine.spec.scalars import found, resolve, shorten
from skillsengine.spec.schema import Experiment
from skillsengine.spec.secrets import SECRET_KEY
from skillsengine.spec.source import Broken, Node, Part, Place, dotted, find, leaves, plain
from skillsengine.spec.suggest import closest
from skillsengine.spec.trials import trials

MAX_PROBLEMS = 200
_WRITTEN_ONLY = "extends"
# What stands in for a required field that is missing or wrong, while the rules that join fields are checked.
_STAND_INS: dict[tuple[str, ...], str] = {("name",): "x", ("data", "source"): "x"}

_Path = tuple[Part, ...]
_Errors = list[Any]


def validate(data: Any) -> tuple[Experiment | None, _Errors]:
    """(the experiment, []) or (None, pydantic's errors).

    Strict JSON rules: a text in quotes is no number, `true` is no 1, while lists become tuples and texts dates.
    """
    try:
        return Experiment.model_validate_json(json.dumps(data), strict=True), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def check(root: Node, *, incomplete: bool = False) -> tuple[Experiment | None, list[Problem]]:
    """(the experiment, []) or (None, all problems).

    `incomplete` says that a part of the spec could not be read: what seems to be missing is not reported then.
    """
    data = plain(root)
    broken = [path for path, node in leaves(root) if isinstance(node.value, Broken)]
    experiment, errors = validate(data)
    checker = _Checker(root, incomplete, frozenset(broken), {dotted(path) for path in broken})
    for error in errors:
        if len(checker.problems) >= MAX_PROBLEMS:
            break
        checker.report(error)
    if errors and not incomplete:
        checker.report_rules(data, errors)
    if experiment is not None and experiment.sweep is not None:
        checker.report_trials(experiment)
    return (None if broken or checker.problems else experiment), list(checker.problems.values())


@dataclass
class _Checker:
    root: Node
    incomplete: bool
    broken: frozenset[_Path]
    removed: set[str]
    """Dotted paths of the fields that are wrong, whose defaults stand in for them."""
    problems: dict[tuple[_Path, str], Problem] = field(default_factory=dict)
    """(path, kind of problem) -> problem: a union that fits in no arm is one problem, not one an arm."""

    def report(self, error: Any) -> None:
        path, schema = locate(error["loc"])
        if any(path[:end] in self.broken for end in range(len(path) + 1)):
            return
        kind = error["type"]
        if kind == "missing":
            if not self.incomplete:
                self._add(path, kind, self._around(path), "missing", allowed.hint(schema or {}), excerpt=len(path) > 1)
        elif kind == "extra_forbidden" or error["loc"][-1:] == ("[key]",):
            self._unknown(path)
        elif kind == "value_error":
            self._rule(path, error)
        elif schema is not None:  # what stands under an unknown key says nothing more
            self._wrong(path, schema)

    def report_rules(self, data: Any, errors: _Errors) -> None:
        """The rules that join fields, which pydantic looks at only when every field is right by itself.

        Fields that are wrong are taken out (their defaults apply) and the rest is looked at again.
        """
        data = copy.deepcopy(data)
        for path in self.broken:
            _remove(data, path)
        for _ in range(4):
            for error in errors:
                path, _schema = locate(error["loc"])
                self.removed.add(dotted(path))
                _remove(data, path)
            for path, value in _STAND_INS.items():
                if _fill(data, path, value):
                    self.removed.add(dotted(path))
            experiment, errors = validate(data)
            if experiment is not None:
                return
            for error in errors:
                if error["type"] == "value_error":
                    self.report(error)

    def report_trials(self, experiment: Experiment) -> None:
        """The combinations of a sweep that are no spec, each at the sweep's value that is nearest to the broken rule.

        The values are right by themselves, so what is left are the rules that join fields.
        """
        for trial in trials(experiment):
            for error in validate(trial.spec.model_dump(mode="json"))[1]:
                path, _schema = locate(error["loc"])
                text = _text(error)
                name, _, rest = text.partition(": ")
                about = dotted((*path, name)) if rest else dotted(path)
                # Nearest is what the rule is about, then what it names, then what stands in its section.
                named, section = set(re.findall(r"\w+", text)), about.partition(".")[0]
                key = max(
                    trial.places,
                    key=lambda swept: (
                        swept == about,
                        swept.rpartition(".")[2] in named,
                        swept.startswith(f"{section}."),
                    ),
                )
                place = ("sweep", key, trial.places[key])
                node = find(self.root, place)
                message = f"the trial {trial.label}: {about}: {rest or text}"
                self._add(place, text, node.at if node else self._around(place), message, None)

    def _add(
        self, path: _Path, kind: str, place: Place, message: str, hint: str | None, *, excerpt: bool = True
    ) -> None:
        self.problems.setdefault((path, kind), place.problem(dotted(path), message, hint, excerpt=excerpt))

    def _around(self, path: _Path) -> Place:
        """The key of the nearest section around `path` that was written; the file's start at the top."""
        for end in range(len(path) - 1, 0, -1):
            node = find(self.root, path[:end])
            if node:
                return node.key or node.at
        return self.root.at

    def _unknown(self, path: _Path) -> None:
        node = find(self.root, path)
        place = (node.key or node.at) if node else self._around(path)
        schema = allowed.root_schema()
        for part in path[:-1]:
            schema = allowed.step(schema, part) or {}
        self._add(path, "unknown", place, "unknown key", _meant(path, schema))

    def _rule(self, path: _Path, error: Any) -> None:
        """A rule of the schema's own. Its text may begin with what it is about: the field (`schedule: ...`, `lora.r: ...`), or
        the item of a list (`[2]: ...`)."""
        text = _text(error)
        if path == ("sweep",) and any(name.startswith("sweep.") for name in self.removed):
            return  # what is left of it is not what was meant
        if set(re.findall(r"\w+(?:\.\w+)*", text)) & self.removed:
            return  # it speaks of a field that is wrong, and may be kept once that one is mended
        schema = allowed.root_schema()
        for part in path:
            schema = allowed.step(schema, part) or {}
        name, colon, rest = text.partition(": ")
        if colon and _has_field(schema, name.split(".")):
            path, text = (*path, *name.split(".")), rest
        elif colon and (index := re.fullmatch(r"\[(\d+)\]", name)):
            path, text = (*path, int(index[1])), rest
        node = find(self.root, path)
        if self.incomplete and node is None:
            return
        scalar = node is not None and not isinstance(node.value, (dict, list)) and text is not rest
        message = f"{text} (found {found(node.value)})" if node is not None and scalar else text
        place = node.at if node else self._around(path)
        self._add(path, "rule", place, message, None, excerpt=bool(node) or len(path) > 1)

    def _wrong(self, path: _Path, schema: allowed.Schema) -> None:
        node = find(self.root, path)
        value = node.value if node else None
        default = allowed.default_of(schema)
        about = f"{allowed.meaning_of(schema)} ({default})" if default else allowed.meaning_of(schema)
        message = f"expected {allowed.expected(schema)}, found {found(value)}"
        rows = [*_mend(value, schema), *([about] if about else [])]
        self._add(path, "wrong", node.at if node else self._around(path), message, "\n".join(rows) or None)


def locate(loc: Iterable[Part]) -> tuple[_Path, allowed.Schema | None]:
    """(path, schema) that pydantic's `loc` stands for, without its marks for the arms of unions and for keys.

    The last part of an unknown key is kept; its schema is None.
    """
    schema: allowed.Schema | None = allowed.root_schema()
    path: list[Part] = []
    parts = list(loc)
    for index, part in enumerate(parts):
        if schema is None:
            break
        child = allowed.step(schema, part)
        if child is None and (allowed.keys(schema) or index == 0):
            path.append(part)
            schema = None
        elif child is not None:
            path.append(part)
            schema = child
    return tuple(path), schema


def _has_field(schema: allowed.Schema, names: Sequence[str]) -> bool:
    """Whether a section has a field at this path."""
    inner = allowed.keys(schema).get(names[0])
    return inner is not None and (len(names) == 1 or _has_field(inner, names[1:]))


def _text(error: Any) -> str:
    return str(error["ctx"]["error"])


def _meant(path: _Path, schema: allowed.Schema) -> str:
    """What an unknown key was probably meant to be."""
    word, known = str(path[-1]), dict(allowed.keys(schema))
    # `max_new_token` names no secret but a field without its last letter; a bare `token` does.
    if names_secret(word) and (word == "token" or f"{word}s" not in known):
        return SECRET_KEY
    if path[0] == "sweep" and "." in word and allowed.is_field(word):
        paths = ", ".join(path for path in known if "." in path)
        return f"tried out can be what changes the adapter and is read by `finetune` alone: {paths}"
    near = closest(word, [*known, _WRITTEN_ONLY] if len(path) == 1 else known)
    if near == _WRITTEN_ONLY:
        return "did you mean `extends`? (a file, or a list of files)"
    if near:
        return f"did you mean `{near}`? {allowed.hint(known[near], meaning=False)}"
    for section, part in allowed.root_schema()["properties"].items():
        if word in allowed.keys(part) and section != path[0]:
            return f"did you mean `{section}.{word}`? {allowed.hint(allowed.keys(part)[word], meaning=False)}"
    return "allowed here: " + ", ".join(known)


def _mend(value: Any, schema: allowed.Schema) -> list[str]:
    """How to write what was probably meant."""
    options = allowed.options(schema)
    kinds = {option.get("type") for option in options}
    words = [
        str(word) for option in options for word in option.get("enum", [option["const"]] if "const" in option else [])
    ]
    if isinstance(value, str):
        near = closest(value, words)
        if near:
            return [f"did you mean `{near}`?"]
        number = resolve(value.replace("_", "").strip())
        if kinds & {"integer", "number"} and isinstance(number, (int, float)) and not isinstance(number, bool):
            return [f"a number is written without quotes or `_`: {shorten(value.replace('_', '').strip())}"]
        if "boolean" in kinds and value.lower() in ("yes", "on", "y", "no", "off", "n", "true", "false"):
            return [f"write `{'true' if value.lower() in ('yes', 'on', 'y', 'true') else 'false'}`"]
        if "array" in kinds:
            return [f"a list is written in brackets: [{shorten(value)}]"]
    elif isinstance(value, (bool, int, float)) and "array" in kinds:
        return [f"a list is written in brackets: [{value}]"]
    elif isinstance(value, (bool, int, float)) and "string" in kinds and not words:
        return ["a text that looks like a number, or like true or false, needs quotes"]
    elif isinstance(value, (dict, list)) and "string" in kinds and "array" not in kinds:
        return ["a text that begins with `{` or `[` needs quotes"]
    elif value is None and "object" in kinds:
        return ["write its keys beneath it, further in, or remove the line"]
    return []


def _remove(data: Any, path: _Path) -> None:
    """Take the field at `path` out of plain data; for something in a list, the whole list."""
    index = next((i for i, part in enumerate(path) if isinstance(part, int)), len(path))
    if index == 0:
        return  # a rule that joins top-level fields: nothing of it can be taken out
    *around, last = path[:index]
    for part in around:
        data = data.get(part) if isinstance(data, dict) else None
    if isinstance(data, dict):
        data.pop(last, None)


def _fill(data: Any, path: tuple[str, ...], value: str) -> bool:
    """Put `value` at `path` where nothing stands. Returns whether it did."""
    for part in path[:-1]:
        if not isinstance(data.get(part), dict):
            data[part] = {}
        data = data[part]
    if path[-1] in data:
        return False
    data[path[-1]] = value
    return True
