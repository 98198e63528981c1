"""An upgrade while runs are going on. The next version is this one as it may be tomorrow: a layout of the catalog more, and an
`evaluate` that scores otherwise."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from skillsengine.pipeline.run import finish_run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import STAGES
from skillsengine.stages import evaluate
from skillsengine.stages.contract import Progress
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.database import connect
from skillsengine.storage.migrate import HEAD, layout
from skillsengine.storage.opening import open_store
from tests.conftest import PROJECT
from tests.pipeline.project import make_project, tiny_experiment

NEXT = f"{int(HEAD) + 1:04}"
MIGRATION = f'''
"""What tomorrow's version keeps beside a run."""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{HEAD}"

def upgrade() -> None:
    op.add_column("runs", sa.Column("tomorrow", sa.Text))
'''
CHANGES = {
    "__init__.py": ('__version__ = "', '__version__ = "9.'),
    "storage/migrate.py": (f'HEAD = "{HEAD}"', f'HEAD = "{NEXT}"'),
    "stages/evaluate.py": (f"\nVERSION = {evaluate.VERSION}\n", f"\nVERSION = {evaluate.VERSION + 1}\n"),
    "pipeline/graph.py": (r'("evaluate",\s+version=)\d+', rf"\g<1>{evaluate.VERSION + 1}"),
}
pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def tomorrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that holds the next version."""
    folder = tmp_path_factory.mktemp("tomorrow")
    package = folder / "skillsengine"
    shutil.copytree(PROJECT / "skillsengine", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "storage" / "migrations" / "versions" / f"v{NEXT}_tomorrow.py").write_text(MIGRATION)
    for name, (old, new) in CHANGES.items():
        text = (package / name).read_text(encoding="utf-8")
        changed, count = re.subn(old, new, text)
        assert count, name
        (package / name).write_text(changed, encoding="utf-8")
    return folder


def start(packages: Path, settings: Settings, *words: str) -> subprocess.Popen[str]:
    """`skillsengine WORDS` by the package in a folder."""
    # Not from the checkout: the current folder goes before PYTHONPATH.
    env = {**os.environ, "PYTHONPATH": f"{packages}{os.pathsep}{PROJECT}", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "skillsengine", *words]
    return subprocess.Popen(
        command, cwd=settings.project, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(packages: Path, settings: Settings, *words: str, code: int = 0) -> str:
    """What it says."""
    with start(packages, settings, *words) as process:
        said = process.communicate()[0]
    assert process.returncode == code, said
    return said


def project_with(folder: Path, epochs: int) -> Settings:
    settings = make_project(folder)
    spec = resolved(tiny_experiment())
    spec["train"] = {**spec["train"], "epochs": epochs, "checkpoint_steps": 5}
    (settings.experiments / "tiny.yaml").write_text(yaml.safe_dump(spec))
    return settings


def cached(said: str) -> set[str]:
    """The stages that a run found done."""
    return {found[1] for found in re.finditer(r"^(\w+)\S* cached", said, re.MULTILINE)}


def adapter(settings: Settings) -> dict[str, str]:
    """File -> sha256 of the one adapter that was trained."""
    store = open_store(settings)
    [digest] = [digest for stage, digest in store.artifacts() if stage == "finetune"]
    made = store.get("finetune", digest)
    assert made is not None and store.verify(made) == []
    return {name: entry.sha256 for name, entry in made.manifest.files.items() if name.startswith("adapter/")}


def test_a_run_that_is_going_on_ends_under_the_version_that_began_it(tmp_path: Path, tomorrow: Path) -> None:
    settings = project_with(tmp_path / "project", epochs=1)
    upgraded: list[str | None] = []

    def upgrade(step: str, progress: Progress) -> None:
        """In the middle of the training the next version's first command upgrades the catalog."""
        if step == "finetune" and progress.metrics and not upgraded:
            run(tomorrow, settings, "runs")
            upgraded.append(layout(connect(settings.catalog_url)))

    catalog = Catalog.open(settings.catalog_url)
    going_on = open_run(tiny_experiment(), dag_id="tiny", run_id="old", settings=settings)
    for stage in STAGES:
        run_stage(going_on, stage, upgrade)
    finish_run(going_on, "success")
    assert upgraded == [NEXT]
    assert (catalog.resolve("tiny", "latest").number, catalog.resolve("tiny", "latest").state) == (1, "ready")

    # Who is started with the old version now is told, and changes nothing.
    refused = run(PROJECT, settings, "run", "experiments/tiny.yaml", code=1)
    assert f"has the layout {NEXT}, and this skillsengine knows layouts up to {HEAD}: a newer skillsengine" in refused
    assert len(catalog.list_runs()) == 1


def test_a_training_that_was_stopped_for_the_upgrade_goes_on_under_the_next_version(
    tmp_path: Path, tomorrow: Path
) -> None:
    settings, undisturbed = (project_with(tmp_path / name, epochs=60) for name in ("project", "undisturbed"))
    run(PROJECT, undisturbed, "run", "experiments/tiny.yaml")
    with start(PROJECT, settings, "run", "experiments/tiny.yaml") as old:
        assert old.stdout is not None
        for line in old.stdout:
            if re.search(r"finetune step (?!0/)\d+/", line):
                break
        old.send_signal(signal.SIGTERM)
        rest = old.stdout.read()
    assert old.returncode == 143, rest

    said = run(tomorrow, settings, "run", "experiments/tiny.yaml")
    [begun] = re.findall(r"resumed from step (\d+)", said)
    assert int(begun) % 5 == 0 and int(begun) > 0
    assert {"format", "profile"} <= cached(said)
    assert adapter(settings) == adapter(undisturbed)
    assert [each["version"] for each in json.loads(run(tomorrow, settings, "versions", "--json"))] == ["tiny@1"]

    # Where a run had ended before the upgrade, only what scores otherwise now runs again.
    again = run(tomorrow, undisturbed, "run", "experiments/tiny.yaml")
    assert {"format", "profile", "finetune"} <= cached(again) and "evaluate" not in cached(again), again
