"""The reference of all fields is made from the schema, and the committed one is the present one."""

from __future__ import annotations

from pathlib import Path

from skillsengine.spec.reference import reference, section_of
from skillsengine.spec.schema import Experiment, Section


def fields(model: type[Section], prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            names += fields(section, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def test_every_field_is_listed_with_its_meaning() -> None:
    rows = {line.split("`")[1]: line for line in reference().splitlines() if line.startswith("| `")}
    for name in fields(Experiment):
        assert not rows[name].endswith("|  |"), f"{name} has no docstring"


def test_the_committed_reference_is_the_present_one(project: Path) -> None:
    told = "docs/spec.md is not what the schema says: run `python -m skillsengine.spec.reference > docs/spec.md`"
    assert (project / "docs" / "spec.md").read_text() == reference(), told
