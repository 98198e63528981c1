"""Versions and aliases: numbers without doubles, `latest` that is right, a champion that nobody moves by accident."""

from __future__ import annotations

import random

import pytest

from skillsengine.storage.catalog import Catalog, CatalogError, VersionRow
from tests.storage.support import Clock, at_once


def allocate(catalog: Catalog, adapter: str, model: str = "job-skills", run_id: int | None = None) -> VersionRow:
    return catalog.allocate_version(
        model, adapter, experiment="job-skills", partition="2026-06", run_id=run_id, spec={"name": "job-skills"}
    )


def publish(catalog: Catalog, number: int, model: str = "job-skills") -> VersionRow:
    return catalog.publish_version(model, number, f"artifact{number}", f"/store/{number}", {"f1": 0.5}, {"data": "x"})


def ready(catalog: Catalog, count: int, model: str = "job-skills") -> None:
    for index in range(count):
        publish(catalog, allocate(catalog, f"adapter{index + 1}", model).number, model)


def test_a_version_is_pending_and_then_ready(catalog: Catalog, clock: Clock, run_id: int) -> None:
    row = allocate(catalog, "adapter1", run_id=run_id)
    assert (row.name, row.number, row.state, row.run_id) == ("job-skills@1", 1, "pending", run_id)
    assert allocate(catalog, "adapter1").number == 1
    assert catalog.alias("job-skills", "latest") is None
    clock.forward(60)
    row = publish(catalog, 1)
    assert (row.state, row.artifact_digest, row.path, row.metrics) == ("ready", "artifact1", "/store/1", {"f1": 0.5})
    assert (row.spec, row.lineage, row.published) == ({"name": "job-skills"}, {"data": "x"}, clock.time)
    assert catalog.aliases("job-skills") == {"latest": 1}
    assert allocate(catalog, "adapter2").number == 2
    assert allocate(catalog, "adapter1", model="other").number == 1
    assert [(v.model, v.number) for v in catalog.versions()] == [("job-skills", 1), ("job-skills", 2), ("other", 1)]
    assert len(catalog.versions("other")) == 1


def test_a_ready_version_never_changes(catalog: Catalog) -> None:
    ready(catalog, 1)
    row = catalog.publish_version("job-skills", 1, "another", "/elsewhere", {}, {})
    assert (row.artifact_digest, row.path) == ("artifact1", "/store/1")
    assert catalog.resolve("job-skills", "1").path == "/store/1"


def test_processes_that_race_get_different_numbers(catalog: Catalog) -> None:
    def work(index: int) -> list[int]:
        mine = [f"adapter{index}-{i}" for i in range(5)] + [f"shared{i}" for i in range(5)]
        random.Random(index).shuffle(mine)
        return [allocate(catalog, adapter).number for adapter in mine]

    at_once(6, work)
    versions = catalog.versions("job-skills")
    assert [version.number for version in versions] == list(range(1, 36))
    assert len({version.adapter_digest for version in versions}) == 35


def test_latest_is_the_highest_ready_number_whatever_the_order(catalog: Catalog) -> None:
    for index in range(3):
        allocate(catalog, f"adapter{index}")
    publish(catalog, 2)
    assert catalog.alias("job-skills", "latest") == 2
    publish(catalog, 1)
    assert catalog.alias("job-skills", "latest") == 2
    publish(catalog, 3)
    assert catalog.alias("job-skills", "latest") == 3
    moves = catalog.alias_moves("job-skills", "latest")
    assert [(move.old_number, move.number, move.reason) for move in moves] == [
        (None, 2, "job-skills@2 was registered"),
        (2, 3, "job-skills@3 was registered"),
    ]


def test_processes_that_publish_at_once_leave_latest_right(catalog: Catalog) -> None:
    for index in range(12):
        allocate(catalog, f"adapter{index}")
    at_once(6, lambda index: [publish(catalog, number).number for number in (index + 1, index + 7)])
    assert catalog.alias("job-skills", "latest") == 12


def test_a_champion_moves_with_its_history(catalog: Catalog) -> None:
    ready(catalog, 3)
    assert catalog.set_alias("job-skills", "champion", 1, "beats the base", expect=None) is True
    assert catalog.set_alias("job-skills", "champion", 3, "F1 .61 against .58", expect=1) is True
    assert catalog.set_alias("job-skills", "champion", 3, "repeated", expect=1) is False
    assert catalog.set_alias("job-skills", "champion", 2, "back: 3 was wrong") is True
    assert catalog.alias("job-skills", "champion") == 2
    assert [(move.old_number, move.number) for move in catalog.alias_moves("job-skills", "champion")] == [
        (None, 1),
        (1, 3),
        (3, 2),
    ]
    assert catalog.aliases("job-skills") == {"champion": 2, "latest": 3}
    assert catalog.alias("unknown", "champion") is None
    assert catalog.aliases("unknown") == {}


def test_a_champion_that_somebody_else_moved(catalog: Catalog) -> None:
    ready(catalog, 3)
    catalog.set_alias("job-skills", "champion", 2, "by hand")
    for expect, said in ((1, "version 1"), (None, "set nowhere")):
        with pytest.raises(CatalogError) as caught:
            catalog.set_alias("job-skills", "champion", 3, "better", expect=expect)
        assert str(caught.value) == (
            f"job-skills@champion is version 2 and not {said}, as was assumed when version 3 was chosen: somebody "
            "moved it since. Compare the versions again (clear the run's gate), then move it."
        )
    assert catalog.alias("job-skills", "champion") == 2


def test_one_of_several_challengers_wins(catalog: Catalog) -> None:
    ready(catalog, 6)

    def work(index: int) -> bool:
        try:
            return catalog.set_alias("job-skills", "champion", index + 1, "race", expect=None)
        except CatalogError:
            return False

    answers = at_once(6, work)
    assert answers.count(True) == 1
    assert catalog.alias("job-skills", "champion") == answers.index(True) + 1
    assert len(catalog.alias_moves("job-skills", "champion")) == 1


def test_what_an_alias_cannot_be(catalog: Catalog) -> None:
    ready(catalog, 2)
    allocate(catalog, "unready")
    with pytest.raises(CatalogError, match="`latest` follows the newest version by itself and cannot be set"):
        catalog.set_alias("job-skills", "latest", 1, "no")
    for name in ("7", "", "Champion", "a b", "a" * 101):
        with pytest.raises(CatalogError, match=f"`{name}` cannot be an alias: it begins with a lower-case letter"):
            catalog.set_alias("job-skills", name, 1, "no")
    for number in (3, 9):
        with pytest.raises(
            CatalogError, match=rf"@champion cannot move to version {number}: job-skills has the versions"
        ):
            catalog.set_alias("job-skills", "champion", number, "no")
    with pytest.raises(CatalogError, match="there is no model `other`; registered are job-skills"):
        catalog.set_alias("other", "champion", 1, "no")


def test_a_reference_is_a_number_or_an_alias(catalog: Catalog) -> None:
    ready(catalog, 2)
    catalog.set_alias("job-skills", "champion", 1, "first")
    assert catalog.resolve("job-skills", "2").number == 2
    assert catalog.resolve("job-skills", "champion").number == 1
    assert catalog.resolve("job-skills", "latest").number == 2
    found = catalog.find_version("job-skills", "adapter2")
    assert found is not None
    assert found.number == 2
    assert catalog.find_version("job-skills", "nothing") is None


def test_a_wrong_reference_hears_what_there_is(catalog: Catalog) -> None:
    def said(model: str, ref: str) -> str:
        with pytest.raises(CatalogError) as caught:
            catalog.resolve(model, ref)
        return str(caught.value)

    assert said("job-skills", "1") == (
        "job-skills@1 does not exist: there is no model `job-skills`; "
        "nothing is registered yet: run an experiment first."
    )
    allocate(catalog, "adapter0")
    assert said("job-skills", "latest") == (
        "job-skills@latest does not exist: no version of job-skills is ready yet: "
        "its first `register` has not finished."
    )
    publish(catalog, 1)
    catalog.set_alias("job-skills", "champion", 1, "first")
    allocate(catalog, "adapter-pending")
    there = "job-skills has the versions 1 and the aliases champion (1), latest (1)."
    assert said("job-skills", "2") == f"job-skills@2 is not ready: its `register` stage has not finished. {there}"
    assert said("job-skills", "champoin") == (
        f"job-skills@champoin does not exist: {there} Did you mean job-skills@champion?"
    )
    assert said("job-skils", "1").endswith("there is no model `job-skils`; registered are job-skills.")
    assert said("job-skills", "9" * 30).startswith(f"job-skills@{'9' * 30} does not exist")
    for index in range(11):
        publish(catalog, allocate(catalog, f"more{index}").number)
    assert "has the versions ..., 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 and" in said("job-skills", "99")


def test_names_and_numbers_are_checked(catalog: Catalog) -> None:
    for name in ("", "../x", "Big", "a" * 101):
        with pytest.raises(CatalogError, match="cannot name a model: it takes lower-case letters"):
            allocate(catalog, "adapter", model=name)
    allocate(catalog, "adapter")
    with pytest.raises(CatalogError, match=r"job-skills@5 was never allocated: no version of job-skills is ready yet"):
        publish(catalog, 5)
