"""What must hold of the images' recipe. That its steps run is tools/chroot_build.py's to show (see docs/docker.md)."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pathspec
import pytest

from tests.conftest import PROJECT
from tools.dockerfile import Instruction, Stage, chain, read_stages
from tools.lock import PYTHONS

TARGETS = ("control", "worker")


@pytest.fixture(scope="module")
def stages() -> dict[str, Stage]:
    return read_stages(PROJECT / "Dockerfile")


def steps(stages: dict[str, Stage], target: str, keyword: str = "") -> list[Instruction]:
    """What builds a target, in order."""
    return [step for stage in chain(stages, target) for step in stage.instructions if keyword in ("", step.keyword)]


def sources(stages: dict[str, Stage]) -> Iterator[str]:
    """What is copied out of the project."""
    for stage in stages.values():
        for step in stage.instructions:
            if step.keyword == "COPY" and "from" not in step.options:
                yield from step.words[:-1]


def environment(stages: dict[str, Stage], target: str) -> dict[str, str]:
    pairs = (word.partition("=") for step in steps(stages, target, "ENV") for word in step.words)
    return {name: value for name, _, value in pairs}


def test_two_images_each_a_stage_that_nothing_stands_on(stages: dict[str, Stage]) -> None:
    parents = {stage.parent for stage in stages.values()}
    assert set(TARGETS) == stages.keys() - parents - {"wheel", *(f"{target}-sbom" for target in TARGETS)}


def test_the_base_is_a_tagged_python_that_the_lock_is_for(stages: dict[str, Stage]) -> None:
    outside = {stage.parent for stage in stages.values()} - stages.keys()
    assert len(outside) == 1
    image, _, tag = outside.pop().partition(":")
    assert image == "python"
    assert tag.startswith(f"{PYTHONS[0]}-")
    assert "latest" not in (PROJECT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", TARGETS)
def test_it_runs_as_nobody_special(stages: dict[str, Stage], target: str) -> None:
    last = stages[target].instructions[-1]
    assert last.keyword == "USER", "nothing after it may run as root, and nothing before it needs to be left to chance"
    assert int(last.text) >= 1000
    made = [step.text for step in steps(stages, target, "RUN") if "useradd" in step.text]
    assert len(made) == 1
    assert f"--uid {last.text} " in made[0]


@pytest.mark.parametrize("target", TARGETS)
def test_process_one_reaps_and_the_check_asks_it(stages: dict[str, Stage], target: str) -> None:
    assert steps(stages, target, "ENTRYPOINT")[-1].words == ["/usr/bin/tini", "--"]
    checks = steps(stages, target, "HEALTHCHECK")
    assert [step.text for step in checks] == ['CMD ["healthcheck"]']
    copied = [step for step in steps(stages, target, "COPY") if step.words[-1] == "/usr/local/bin/healthcheck"]
    assert [step.options["chmod"] for step in copied] == [["755"]]


def test_the_check_has_time_to_say_why(stages: dict[str, Stage]) -> None:
    from tests.docker.test_healthcheck import healthcheck

    told = steps(stages, "control", "HEALTHCHECK")[0].options
    assert healthcheck.SECONDS < int(told["timeout"][0].removesuffix("s")) < int(told["interval"][0].removesuffix("s"))


def test_everything_copied_is_there_and_reaches_the_engine(stages: dict[str, Stage]) -> None:
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    ignored = pathspec.GitIgnoreSpec.from_lines(lines)
    for source in sources(stages):
        path = PROJECT / source
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        sent = [file for file in files if not ignored.match_file(file.relative_to(PROJECT))]
        assert sent, f"COPY {source}: nothing of it is there, or .dockerignore keeps it away"
        assert not [file for file in sent if file.suffix == ".pyc"]


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".git/config",
        ".venv/bin/python",
        ".skillsengine/catalog.db",
        "data/own/ads.jsonl",
        "wandb/key",
        "netrc",
        "experiments/.env",
        "skillsengine/__pycache__/cli.cpython-311.pyc",
        "tests/tiny.py",
    ],
)
def test_what_the_engine_never_sees(path: str) -> None:
    lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert pathspec.GitIgnoreSpec.from_lines(lines).match_file(path)


@pytest.mark.parametrize("target", TARGETS)
def test_the_locks_used_are_copied_first(stages: dict[str, Stage], target: str) -> None:
    there: set[str] = set()
    for step in steps(stages, target):
        if step.keyword == "COPY":
            there |= {Path(word).name for word in step.words[:-1] if word.startswith("locks/")}
        elif step.keyword == "RUN":
            assert set(re.findall(r"locks/([\w.-]+)", step.text)) <= there
    assert f"py311-{target}.txt" in there


def test_the_control_plane_installs_its_own_lock_alone(stages: dict[str, Stage]) -> None:
    installs = [step.text for step in steps(stages, "control", "RUN") if "pip install" in step.text]
    assert len(installs) == 3
    assert "--no-deps -r locks/py311-control.txt && pip check" in re.sub(r"\s+", " ", installs[0])
    assert "--no-deps -r locks/py311-fab.txt && pip check" in re.sub(r"\s+", " ", installs[1])
    assert "--no-deps /wheels/*.whl" in installs[2]
    assert "worker" not in " ".join(installs)


def test_the_worker_has_no_login_to_ask_for(stages: dict[str, Stage]) -> None:
    assert "fab" not in " ".join(step.text for step in steps(stages, "worker", "RUN"))


@pytest.mark.parametrize("target", TARGETS)
def test_an_edit_of_the_code_installs_no_library_again(stages: dict[str, Stage], target: str) -> None:
    order = steps(stages, target)
    libraries = max(at for at, step in enumerate(order) if step.keyword == "RUN" and "-r locks/" in step.text)
    before = [word for step in order[:libraries] if step.keyword == "COPY" for word in step.words[:-1]]
    assert before
    assert all(word.startswith(("locks/", "docker/")) for word in before)


@pytest.mark.parametrize("target", TARGETS)
def test_no_secret_is_built_in(stages: dict[str, Stage], target: str) -> None:
    names = [*environment(stages, target), *(step.text for step in steps(stages, target, "ARG"))]
    assert not [name for name in names if re.search(r"KEY|TOKEN|SECRET|PASSWORD|CONN", name)]


@pytest.mark.parametrize("target", TARGETS)
def test_airflow_finds_the_experiments(stages: dict[str, Stage], target: str) -> None:
    told = environment(stages, target)
    project = told["SKILLSENGINE_PROJECT"]
    copied = {
        str(Path(project, step.words[-1]))
        for step in stages[target].instructions
        if step.keyword == "COPY" and "from" not in step.options
    }
    assert {f"{project}/dags", f"{project}/experiments", f"{project}/data/demo"} == copied
    bundles = json.loads(told["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    for bundle in bundles:
        module, _, name = bundle["classpath"].rpartition(".")
        made = getattr(importlib.import_module(module), name)
        assert made.__name__ == name
    assert bundles[1]["kwargs"]["path"] in copied


@pytest.mark.parametrize("target", TARGETS)
def test_all_that_is_written_goes_to_the_volume(stages: dict[str, Stage], target: str) -> None:
    volume = steps(stages, target, "VOLUME")[-1].text
    told = environment(stages, target)
    homes = {name: told[name] for name in ("SKILLSENGINE_HOME", "AIRFLOW_HOME", "HF_HOME") if name in told}
    assert ("HF_HOME" in homes) == (target == "worker")
    assert all(Path(home).is_relative_to(volume) for home in homes.values())
    made = next(step.text for step in steps(stages, target, "RUN") if "useradd" in step.text)
    assert f"--home-dir {volume} --create-home" in made


@pytest.mark.parametrize("target", TARGETS)
def test_the_image_holds_the_list_of_its_packages(stages: dict[str, Stage], target: str) -> None:
    """Made of the environment that the image has, by a program that it has not."""
    made = stages[f"{target}-sbom"]
    libraries = {"control": "login-libraries", "worker": "worker-libraries"}[target]
    assert made.parent == stages[target].parent == libraries
    [run] = [step.text for step in made.instructions if step.keyword == "RUN"]
    assert "/opt/sbom/bin/pip install --no-cache-dir --no-deps -r locks/sbom.txt" in run
    assert run.endswith(
        "cyclonedx-py environment --output-reproducible --of JSON -o /opt/sbom.cdx.json /opt/venv/bin/python"
    )
    [copy] = [step for step in stages[target].instructions if step.keyword == "COPY" and "from" in step.options]
    assert (copy.options["from"], copy.words) == ([made.name], ["/opt/sbom.cdx.json", "./sbom.cdx.json"])
    assert not [step for step in steps(stages, target, "RUN") if "sbom" in step.text]


def test_hadolint_finds_nothing() -> None:
    command = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([command, "--format", "json", PROJECT / "Dockerfile"], capture_output=True, text=True)
    assert json.loads(done.stdout) == []
    assert done.returncode == 0
