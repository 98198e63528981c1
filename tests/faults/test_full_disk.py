"""A disk that is full from one moment of a run on: the error says what, where and the mend, nothing half-written is visible,
and once there is room the same command goes on and ends as if nothing had been."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

from skillsengine.pipeline.backup import snapshots
from tests.faults.installation import Ended, Installation, Whole, check
from tests.faults.moments import Moment, fill
from tests.faults.recorded import Row, keep
from tests.sources.servers import S3

pytestmark = pytest.mark.nightly

STORE = "skillsengine.storage.store"
GOES_ON = "the error names the disk; once there is room, the same command goes on"
ARTIFACT = r"the disk is full: the \w+ artifact [0-9a-f]{12} could not be made, writing under \S+ failed \("
CHECKPOINT = r"no room to write the (checkpoint of step 8|adapter) in \S+: 0 MB are free on that disk\. Free some"
CATALOG = r"the catalog sqlite:\S+/catalog\.db does not answer: .*: free some space on its disk"


def full(installation: Installation, moment: Moment, disk: Path, *words: str) -> Ended:
    """The command ends with an error that is no traceback; then there is room again."""
    command = words or ("run", str(installation.spec))
    ended = installation.start(*command, happens=[partial(fill, moment, disk)]).ended()
    (disk / "filler").unlink()
    assert ended.code == 1 and "Traceback" not in ended.said, ended.said
    store = installation.store
    for stage, digest in store.artifacts():
        artifact = store.get(stage, digest)
        assert artifact is not None and store.verify(artifact) == [], "nothing half-written is visible"
    assert [each.name for each in store.leftovers() if each.name.startswith("building/")] == []
    return ended


WRITING = {
    Moment("skillsengine.stages.format:run"): ARTIFACT,
    Moment("skillsengine.stages.checkpoints:Checkpoints.write", 2): CHECKPOINT,
    Moment("skillsengine.stages.finetune:save_adapter"): CHECKPOINT,
    Moment(f"{STORE}:Store.publish", 5): ARTIFACT,
    Moment(f"{STORE}:Store.publish", 9): ARTIFACT,
}
"""What is written next -> what the error says. The fifth artifact is the adapter, the ninth the version."""


@pytest.mark.parametrize(("moment", "said"), WRITING.items(), ids=map(str, WRITING))
def test_of_the_store(installation: Installation, whole: Whole, small_disk: Path, moment: Moment, said: str) -> None:
    installation.home = small_disk / "home"
    installation.env = {"SKILLSENGINE_CATALOG": f"sqlite:///{installation.project}/catalog.db"}
    ended = full(installation, moment, small_disk)
    assert re.search(said, ended.said) and str(small_disk) in ended.said, ended.said
    assert "SKILLSENGINE_HOME" in ended.said
    (run,) = installation.catalog.list_runs()
    assert run.state == "failed" and re.search(said, run.error or "")
    again = installation.run()
    assert again.code == 0, again.said
    keep(Row("a full disk under the store, at each writing step", GOES_ON, check(installation, whole)))


@pytest.mark.parametrize(
    "moment",
    [
        Moment("skillsengine.storage.patient:PatientCatalog.start_step", 5),
        Moment("skillsengine.stages.checkpoints:Checkpoints.write", 2),
        Moment("skillsengine.storage.patient:PatientCatalog.publish_version"),
    ],
    ids=str,
)
def test_of_the_catalog(installation: Installation, whole: Whole, small_disk: Path, moment: Moment) -> None:
    installation.env = {
        "SKILLSENGINE_CATALOG": f"sqlite:///{small_disk}/catalog.db",
        "SKILLSENGINE_CATALOG_WAIT": "1",
    }
    installation.catalog.close()  # its tables are there
    ended = full(installation, moment, small_disk)
    assert re.search(CATALOG, ended.said), ended.said
    again = installation.run()
    assert again.code == 0, again.said
    keep(Row("a full disk under the catalog (SQLite)", GOES_ON, check(installation, whole)))


@pytest.mark.parametrize("moment", [Moment("skillsengine.stages.checkpoints:Checkpoints.write", 2)], ids=str)
def test_of_all(installation: Installation, whole: Whole, small_disk: Path, moment: Moment) -> None:
    """Store and catalog on one disk: what failed first is told, not that the catalog could not be told."""
    installation.home = small_disk / "home"
    installation.env = {"SKILLSENGINE_CATALOG_WAIT": "1"}
    ended = full(installation, moment, small_disk)
    assert re.search(CHECKPOINT, ended.said) or re.search(CATALOG, ended.said), ended.said
    again = installation.run()
    assert again.code == 0, again.said
    keep(Row("a full disk under store and catalog", GOES_ON, check(installation, whole)))


def test_of_the_cache(installation: Installation, whole: Whole, small_disk: Path, s3: S3) -> None:
    """The store is in a bucket; another machine fetches the adapter into its cache."""
    installation.env = {
        "SKILLSENGINE_STORE": s3.address("skills"),
        "SKILLSENGINE_CATALOG": f"sqlite:///{installation.project}/catalog.db",
    }
    assert installation.start("run", str(installation.spec), "--until", "finetune").ended().code == 0
    installation.home = small_disk / "home"
    fetching = Moment("skillsengine.storage.object_store:FetchedFiles._fetch")
    ended = full(installation, fetching, small_disk)
    assert re.search(
        r"the disk is full: s3://ads/skills/artifacts/\S+ could not be fetched, writing under \S+/home/cache failed \(",
        ended.said,
    ), ended.said
    again = installation.run()
    assert again.code == 0, again.said
    keep(Row("a full disk under the cache of a store in a bucket", GOES_ON, check(installation, whole)))


@pytest.mark.parametrize(
    "moment",
    [
        Moment("skillsengine.storage.catalog:Catalog.save_to"),
        Moment("skillsengine.pipeline.backup:_keep", 3),
        Moment("skillsengine.pipeline.backup:write_durably"),
    ],
    ids=str,
)
def test_of_a_backup(installation: Installation, small_disk: Path, moment: Moment) -> None:
    assert installation.start("run", str(installation.spec), "--until", "finetune").ended().code == 0
    kept = small_disk / "kept"
    assert installation.start("backup", str(kept)).ended().code == 0
    (first,) = snapshots(kept)
    run = installation.run()
    assert run.code == 0, run.said
    ended = full(installation, moment, small_disk, "backup", str(kept))
    assert f"the backup in {kept} was not made: " in ended.said and "free some space, then try again" in ended.said
    assert [each.name for each in snapshots(kept)] == [first.name]
    assert list(kept.glob("*/.part-*")) == [], "what was begun takes no room"
    again = installation.start("backup", str(kept)).ended()
    assert again.code == 0 and len(snapshots(kept)) == 2, again.said
    keep(Row("a full disk under a backup", "the error names it, earlier snapshots count; the next one is whole"))
