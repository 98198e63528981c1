"""What databases see differently is the same in a catalog: odd texts, the order of names, what one reader sees."""

from __future__ import annotations

from sqlalchemy import select

from skillsengine.storage.catalog import Catalog
from skillsengine.storage.models import RunRow
from tests.storage.support import pin

_ODD = "nul \x00, half \ud83d, caf\udce9, ünïcode 🦊"
_KEPT = "nul \ufffd, half \ufffd\ufffd\ufffd, caf\ufffd\ufffd\ufffd, ünïcode 🦊"


def test_texts_that_come_from_outside(catalog: Catalog) -> None:
    """Messages quote data and paths: a NUL, and names of files that are no UTF-8."""
    run = pin(catalog, _ODD, spec={_ODD: [_ODD, float("nan"), 1e300, 2**60]})
    assert catalog.finish_run(run.id, "failed", "note", error=_ODD).error is not None
    found = catalog.get_run("job-skills", _ODD)
    assert found is not None and found.id == run.id
    assert (found.run_id, found.error) == (_KEPT, _KEPT)
    assert found.spec == {_KEPT: [_KEPT, None, 1e300, 2**60]}
    assert catalog.last_runs()["job-skills"].note == "note"
    assert catalog.busy_since(run.started) == {}, "the database itself reads the JSON"


def test_sizes_beyond_32_bits(catalog: Catalog) -> None:
    assert catalog.record_artifact("ab", "finetune", None, "/x", 26_000_000_000).bytes == 26_000_000_000


def test_the_order_of_names_is_that_of_their_bytes(catalog: Catalog) -> None:
    for model in ("job_b", "job-a", "joba", "job-c", "job_a"):
        row = catalog.allocate_version(model, "1" * 64, experiment="e", partition=None, run_id=None, spec={})
        catalog.publish_version(model, row.number, "2" * 64, "/v", {}, {})
        for alias in ("b_a", "b-b", "ba"):
            catalog.set_alias("job-a", alias, 1, "test") if model == "job-a" else None
    assert [row.model for row in catalog.versions()] == ["job-a", "job-c", "job_a", "job_b", "joba"]
    assert [row.model for row in catalog.scored_versions(["e"])["e"]] == ["job-a", "job-c", "job_a", "job_b", "joba"]
    assert list(catalog.aliases("job-a")) == ["b-b", "b_a", "ba", "latest"]


def test_letters_of_another_case_are_other_names(catalog: Catalog) -> None:
    assert pin(catalog, "Run").id != pin(catalog, "run").id
    assert catalog.list_runs("JOB-SKILLS") == []


def test_one_reader_sees_one_moment(url: str, catalog: Catalog) -> None:
    pin(catalog, "first")
    other = Catalog.open(url)
    with catalog._db.reading() as session:
        before = len(session.scalars(select(RunRow)).all())
        pin(other, "second")
        assert len(session.scalars(select(RunRow)).all()) == before == 1
    assert len(catalog.list_runs()) == 2
    other.close()
