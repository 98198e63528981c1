"""YAML text -> Experiment: `extends`, interpolation, overrides, and all problems of a spec in one pass."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skillsengine.spec.check import check
from skillsengine.spec.errors import Problem, SpecError
from skillsengine.spec.extends import Reader, followed, normal
from skillsengine.spec.interpolate import interpolate
from skillsengine.spec.overlay import lay_over
from skillsengine.spec.overrides import apply, parse_override
from skillsengine.spec.scalars import shorten
from skillsengine.spec.schema import NAME_PATTERN, Experiment
from skillsengine.spec.secrets import secret_values, told_once
from skillsengine.spec.source import Node, Place, Source, Sources
from skillsengine.spec.stamp import Stamp
from skillsengine.spec.text import printable

FOLDER = "experiments"


@dataclass(frozen=True)
class Loaded:
    """A spec that was read and found right."""

    experiment: Experiment
    sources: Sources
    """Where every value was written."""
    text: str
    """The text of the spec's own file, without a byte order mark."""
    files: Mapping[Path, Stamp]
    """The spec's own file, then all that it extends, then the overlay and what that extends -> the state that was read."""
    trusted: bool
    """Whether `data.source` or `base.model` was named on the command line, which may point anywhere."""


def load_spec(
    path: Path, *, overrides: Sequence[str] = (), experiments: Path | None = None, overlay: Path | None = None
) -> Loaded:
    """Read one spec. `overrides` are `a.b=c` of the command line; `experiments` is the folder that `extends` stays in
    (by default the nearest folder of that name around the spec, else the spec's own). The values of the file `overlay`
    (`Settings.overlay`) are laid over the spec and what it extends; overrides win over both.

    Raises SpecError with every problem, of the file, of what it extends, of the overlay and of the overrides.
    """
    experiments = experiments or experiments_of(path)
    reader = Reader(experiments)
    misplaced = _no_spec(path, reader)
    if misplaced:
        raise SpecError([misplaced])
    problems = reader.problems
    root = lay_over(reader.read(path), overlay, reader)
    if root is None:
        for text in overrides:
            parse_override(text, problems)
        raise SpecError(_sorted(problems, reader))
    root, trusted = apply(root, overrides, problems)
    root = interpolate(root, problems)
    problems.extend(secret_values(root, problems))
    experiment, found = check(root, incomplete=reader.incomplete)
    other_name = _other_name(root, path)
    if other_name:
        problems.append(other_name)
        found = [problem for problem in found if problem.path != "name"]
    problems += found
    sources = Sources(root)
    if problems or experiment is None:
        raise SpecError(_sorted(problems, reader))
    return Loaded(experiment, sources, reader.texts[path], reader.stamps, trusted)


def resolved(experiment: Experiment) -> dict[str, Any]:
    """The whole experiment, defaults included, as plain JSON data: `Experiment.model_validate` reads it back equal."""
    return experiment.model_dump(mode="json")


def find_specs(experiments: Path) -> list[Path]:
    """The files below `experiments/` that are specs, sorted: `*.yaml`, with no part that begins with `_` or `.`."""
    return [path for path in candidates(experiments) if path.suffix == ".yaml"]


def check_specs(experiments: Path, *, overlay: Path | None = None) -> dict[Path, Loaded | SpecError]:
    """Load every spec below `experiments/`, each under the overlay. Two specs of one name (also by case) are an error of both.

    A file with another ending of YAML (`.yml`) is reported, since nothing would ever read it.
    """
    results: dict[Path, Loaded | SpecError] = {}
    for path in candidates(experiments):
        result = check_spec(path, experiments, overlay=overlay)
        if result is not None:
            results[path] = result
    for path, others in clashes(results, experiments).items():
        results[path] = clash(path, results[path], others, experiments)
    return results


def check_spec(path: Path, experiments: Path, *, overlay: Path | None = None) -> Loaded | SpecError | None:
    """One of the `candidates`, read; None if it was taken away since the folder was listed."""
    try:
        return load_spec(path, experiments=experiments, overlay=overlay)
    except SpecError as error:
        return error if os.path.lexists(path) else None


def clashes(paths: Iterable[Path], experiments: Path) -> dict[Path, str]:
    """The specs that share their name with another one, also by case -> the others, as people call them."""
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        if path.suffix == ".yaml":
            by_stem[path.stem.casefold()].append(path)
    reader = Reader(experiments)
    return {
        path: ", ".join(reader.shown(other) for other in same if other != path)
        for same in by_stem.values()
        if len(same) > 1
        for path in same
    }


def clash(path: Path, result: Loaded | SpecError, others: str, experiments: Path) -> SpecError:
    """That a spec has the name of `others`, and what else is wrong with it."""
    message, hint = f"{others} has the same name", "an experiment is named as its file: rename one of them"
    if isinstance(result, Loaded):
        return SpecError([result.sources.problem("name", message, hint)])
    problem = Place(Source(Reader(experiments).shown(path))).problem("name", message, hint)
    return SpecError([problem, *result.problems])


def experiments_of(path: Path) -> Path:
    """The nearest folder `experiments` around `path`, or the folder that `path` stands in."""
    return next((folder for folder in path.absolute().parents if folder.name == FOLDER), path.absolute().parent)


def candidates(experiments: Path) -> list[Path]:
    """The files below `experiments/` that are specs or seem to be meant as specs, sorted."""
    return sorted(
        path
        for path in experiments.rglob("*")
        if path.suffix.lower() in (".yaml", ".yml") and not _hidden(path, experiments) and not _is_folder(path)
    )


def _is_folder(path: Path) -> bool:
    """Whether `path` may hold specs; all else is read, and told if it is no file: a pipe, a link to nothing."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _hidden(path: Path, experiments: Path) -> bool:
    inside = path.relative_to(experiments) if path.is_relative_to(experiments) else Path(path.name)
    return any(part.startswith(("_", ".")) for part in inside.parts)


def _no_spec(path: Path, reader: Reader) -> Problem | None:
    """Why a file is no spec by its name alone."""
    place, typed = Place(Source(reader.shown(path))), normal(path)
    if _hidden(typed, reader.typed_folder):
        message = "not a spec: files and folders that begin with `_` or `.` hold what specs extend"
        return place.problem("", message, "check a spec that extends it")
    if path.suffix != ".yaml":
        return place.problem("", "a spec's file ends in .yaml", f"rename it to {printable(path.stem)}.yaml")
    if typed.is_relative_to(reader.typed_folder) and not followed(path).is_relative_to(reader.real_folder):
        message = f"a link that leads out of `{reader.experiments.name}/`"
        return place.problem("", message, "copy the file here: whoever may add a spec must not read other files by it")
    return None


def _other_name(root: Node, path: Path) -> Problem | None:
    """That a spec is not called as its file."""
    node = root.mapping.get("name")
    name = node.value if node else None
    if node is None or not isinstance(name, str) or name == path.stem:
        return None
    message = f"`{shorten(name)}` is not the file's name `{shorten(printable(path.stem))}`"
    if re.fullmatch(NAME_PATTERN, path.stem):
        return node.at.problem("name", message, f"write `name: {path.stem}`, or rename the file")
    return node.at.problem("name", message, f"rename the file: a name is like {NAME_PATTERN}")


def _sorted(problems: Sequence[Problem], reader: Reader) -> list[Problem]:
    """By file (the spec's own first, then what it extends, the overlay, the overrides), line and column."""
    order = {reader.shown(path): index for index, path in enumerate(reader.texts)}

    def rank(problem: Problem) -> tuple[int, int, int]:
        last = len(order) + (problem.line is None)
        return order.get(problem.file, last), problem.line or 0, problem.column or 0

    return sorted(told_once(problems), key=rank)
