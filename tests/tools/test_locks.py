"""The locks agree with pyproject.toml and with each other. Whether they install is what `make env` and the images show."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tools.lock import BESIDE, CONSTRAINTS, EXTRAS, LOCKS, PYTHONS, added, lock_name, split

NAMES = [lock_name(python) for python in PYTHONS] + [lock_name(PYTHONS[0], kind) for kind in EXTRAS if kind]


def pins(name: str) -> dict[str, Version]:
    """Canonical name -> version of a lock."""
    found = {}
    for line in (LOCKS / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "-c ")):
            package, version = line.split("#")[0].strip().split("==")
            found[canonicalize_name(package)] = Version(version)
    return found


def asked(project: Path, extras: tuple[str, ...]) -> list[Requirement]:
    """What pyproject.toml names itself; an extra may name others, as `skillsengine[s3]`."""
    told = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = [Requirement(text) for text in told["dependencies"]]
    todo, seen = list(extras), set()
    while todo:
        extra = todo.pop()
        if extra not in seen:
            seen.add(extra)
            for requirement in map(Requirement, told["optional-dependencies"][extra]):
                if requirement.name == told["name"]:
                    todo += requirement.extras
                else:
                    found.append(requirement)
    return found


def closure(requirements: list[Requirement]) -> set[str]:
    """These packages and all that they need, as this Python's installed metadata says, for its first patch release: a lock
    serves them all, and some packages are needed by the first few only."""
    first = f"{sys.version_info[0]}.{sys.version_info[1]}.0"
    todo, seen, found = [(r.name, frozenset(r.extras)) for r in requirements], set(), set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(canonicalize_name(name))
        for text in importlib.metadata.requires(name) or ():
            need = Requirement(text)
            where = [{"extra": extra, "python_full_version": first} for extra in (*extras, "")]
            if need.marker is None or any(map(need.marker.evaluate, where)):
                todo.append((need.name, frozenset(need.extras)))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_holds_what_pyproject_asks_for(name: str, project: Path) -> None:
    kind = re.sub(r"^py\d+|\.txt$", "", name)
    held = pins(name)
    wrong = [
        f"{r} (the lock has {held.get(canonicalize_name(r.name))})"
        for r in asked(project, EXTRAS[kind])
        if canonicalize_name(r.name) not in held or held[canonicalize_name(r.name)] not in r.specifier
    ]
    assert not wrong, f"locks/{name} is older than pyproject.toml; run tools/lock.py: {wrong}"


def test_there_is_a_lock_for_every_python_that_pyproject_allows(project: Path) -> None:
    told = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = Requirement(f"skillsengine{told['requires-python']}").specifier
    assert {f"3.{minor}" for minor in range(30) if f"3.{minor}" in allowed} == set(PYTHONS)


def test_the_pythons_differ_in_no_version() -> None:
    lead, *others = (pins(lock_name(python)) for python in PYTHONS)
    for other in others:
        assert {name: other[name] for name in lead.keys() & other.keys()} == {
            name: lead[name] for name in lead.keys() & other.keys()
        }
        # Something small may be needed by one Python only, never a whole stack.
        assert len(lead.keys() ^ other.keys()) <= 5


@pytest.mark.parametrize("kind", [kind for kind in EXTRAS if kind])
def test_an_image_holds_a_subset(kind: str) -> None:
    whole, part = pins(lock_name(PYTHONS[0])), pins(lock_name(PYTHONS[0], kind))
    assert part.items() <= whole.items()


def test_the_lock_beside_adds_to_the_control_planes_and_changes_nothing(project: Path) -> None:
    control, beside = pins(lock_name(PYTHONS[0], "-control")), pins(lock_name(PYTHONS[0], BESIDE))
    assert not control.keys() & beside.keys()
    whole = pins(lock_name(PYTHONS[0]))
    assert {name: whole[name] for name in beside.keys() & whole.keys()} == {
        name: beside[name] for name in beside.keys() & whole.keys()
    }, "what the tests bring too has the same version"
    (fab,) = [r for r in asked(project, ("fab",)) if canonicalize_name(r.name) == "apache-airflow-providers-fab"]
    assert beside["apache-airflow-providers-fab"] in fab.specifier
    for kind in EXTRAS:
        assert "apache-airflow-providers-fab" not in pins(lock_name(PYTHONS[0], kind)), (
            "every Airflow would make its tables"
        )


def test_what_a_lock_beside_adds() -> None:
    assert added("a==1\nb==2  # via a\n", "a==1\nb==2\nc==3  # via b\n") == ["c==3  # via b"]
    with pytest.raises(SystemExit, match="FAB wants b 3, and the control plane's lock holds 2"):
        added("a==1\nb==2\n", "a==1\nb==3\n")


def test_the_control_plane_needs_no_library_of_the_worker() -> None:
    heavy = {
        "torch",
        "transformers",
        "peft",
        "accelerate",
        "bitsandbytes",
        "datasets",
        "pandas",
        "wandb",
        "scikit-learn",
    }
    assert heavy <= pins(lock_name(PYTHONS[0], "-worker")).keys()
    assert not (heavy | {"pytest", "uv"}) & pins(lock_name(PYTHONS[0], "-control")).keys()
    assert not {"pytest", "uv"} & pins(lock_name(PYTHONS[0], "-worker")).keys()


def test_the_control_plane_is_complete_and_no_more(project: Path) -> None:
    """Against the metadata of what is installed here: the image installs this lock without looking for dependencies."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the image's Python is 3.11, and what a package needs depends on the Python")
    assert pins(lock_name(PYTHONS[0], "-control")).keys() == closure(asked(project, EXTRAS["-control"]))


@pytest.mark.parametrize("name", NAMES)
def test_cuda_stands_apart(name: str) -> None:
    text = (LOCKS / name).read_text(encoding="utf-8")
    assert split(text)[1] == []
    assert (CONSTRAINTS in text.splitlines()) == ("torch" in pins(name))


def test_cuda_is_pinned() -> None:
    kept = pins("cuda.txt")
    assert {"nvidia-cublas", "nvidia-cudnn-cu13", "cuda-bindings", "triton"} <= kept.keys()
    assert all(re.match(r"nvidia-|cuda-|triton$", name) for name in kept)


def test_split_knows_comments_and_neighbours() -> None:
    text = "# nvidia-x==1\n-c cuda.txt\ntorch==2.13.0\nnvidia-nvtx==13.0 # via torch\ntritonclient==1\ntriton==3\ncudagraph==1"
    assert split(text) == (
        ["torch==2.13.0", "tritonclient==1", "cudagraph==1"],
        ["nvidia-nvtx==13.0 # via torch", "triton==3"],
    )
