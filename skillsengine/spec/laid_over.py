"""Values from outside, such as those of Airflow's trigger form, laid over a resolved spec and checked like the spec itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from skillsengine.spec.check import check
from skillsengine.spec.compare import compare
from skillsengine.spec.errors import Problem, SpecError
from skillsengine.spec.schema import Experiment
from skillsengine.spec.source import Node, Place, Source, parts_of, put


def lay_values_over(experiment: Experiment, values: Mapping[str, Any], shown: str) -> Experiment:
    """`experiment` with `values` (dotted path -> plain JSON data) in it. `shown` is what people call the place of the values.

    References are resolved already: a field that the spec takes from another one (`${lora.r}`) keeps its value.

    Raises SpecError with every problem: of the values, and of the spec's own values that do not go with them.
    """
    if not values:
        return experiment
    place = Place(Source(shown, numbered=False))
    root = _tree(experiment.model_dump(mode="json"), place)
    for path, value in values.items():
        root = put(root, parts_of(path), _tree(value, place))
    laid, problems = check(root)
    if laid is None:
        raise SpecError([_told(problem, experiment, values) for problem in problems])
    return laid


def differences(before: Experiment, after: Experiment) -> list[str]:
    """What differs, a text for each field: `train.epochs: 3.0 -> 1.0`."""
    return [str(change) for change in compare(before.model_dump(mode="json"), after.model_dump(mode="json"))]


def _tree(value: Any, place: Place) -> Node:
    if isinstance(value, dict):
        return Node({str(key): _tree(child, place) for key, child in value.items()}, place, place)
    if isinstance(value, list):
        return Node([_tree(child, place) for child in value], place)
    return Node(value, place, place)


def _told(problem: Problem, experiment: Experiment, values: Mapping[str, Any]) -> Problem:
    """A problem of a value that nobody gave names those that were given: alone, the spec is right."""
    if problem.path in values:
        return problem
    given = ", ".join(f"{path}: {value}" for path, value in values.items())
    said = f"`{experiment.name}` alone is right: this value of its spec does not go with {given}"
    return replace(problem, hint="\n".join(filter(None, (problem.hint, said))))
