"""A compiler that remembers: what it makes is what one without memory makes, and it reads no more than has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from skillsengine.airflow import compile as module
from skillsengine.airflow.compile import Compiler, CompileReport
from skillsengine.spec import stamp
from tests.airflow.support import write_spec


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    (tmp_path / "experiments" / "_base").mkdir(parents=True)
    (tmp_path / "experiments" / "_base" / "one.yaml").write_text("owner: one\n")
    for name in ("a", "b", "c"):
        write_spec(tmp_path, name, "extends: _base/one.yaml\n" if name == "c" else "")
    return Compiler(tmp_path / "experiments", tmp_path / "out")


def settled(compiler: Compiler) -> CompileReport:
    """A pass over files that changed longer ago than a file system's clock ticks."""
    time.sleep(stamp._TICK / 1e9 + 0.01)
    return compiler.compile()


def test_only_what_changed_is_read(compiler: Compiler, tmp_path: Path) -> None:
    assert settled(compiler).read == 3
    assert settled(compiler).read == 0
    write_spec(tmp_path, "a", "description: new\n")
    report = settled(compiler)
    assert report.read == 1 and report.written == report.replaced == ("a.py",)
    assert report.unchanged == ("b.py", "c.py")
    (tmp_path / "experiments" / "_base" / "one.yaml").write_text("owner: two\n")
    report = settled(compiler)
    assert report.read == 1 and report.written == ("c.py",)
    write_spec(tmp_path, "d")
    report = settled(compiler)
    assert report.read == 1 and report.written == ("d.py",) and report.replaced == ()
    (tmp_path / "experiments" / "a.yaml").unlink()
    report = settled(compiler)
    assert report.read == 0 and report.removed == ("a.py",)


def test_a_dag_file_that_somebody_changed_is_made_again(compiler: Compiler, tmp_path: Path) -> None:
    settled(compiler)
    good = (tmp_path / "out" / "b.py").read_text()
    (tmp_path / "out" / "b.py").write_text(good + "print()\n")
    assert settled(compiler).written == ("b.py",)
    assert (tmp_path / "out" / "b.py").read_text() == good
    (tmp_path / "out" / "b.py").write_text("# somebody's own\n")
    (error,) = settled(compiler).errors
    assert "is in the way" in str(error)


def test_what_does_not_compile_is_read_each_time(compiler: Compiler, tmp_path: Path) -> None:
    """Its message may name what is not there yet."""
    write_spec(tmp_path, "a", "extends: _base/two.yaml\n")
    (error,) = settled(compiler).errors
    assert "did you mean `_base/one.yaml`?" in str(error)
    assert settled(compiler).read == 1
    (tmp_path / "experiments" / "_base" / "two.yaml").write_text("owner: two\n")
    assert not settled(compiler).errors


def test_a_file_put_in_place_with_the_date_and_the_size_of_the_old_one_is_seen(
    compiler: Compiler, tmp_path: Path
) -> None:
    settled(compiler)
    file = tmp_path / "experiments" / "a.yaml"
    before, beside = file.stat(), file.with_suffix(".part")
    beside.write_text(file.read_text().replace("data/ads", "data/adv"))
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))
    beside.replace(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert settled(compiler).written == ("a.py",)


def test_what_changed_within_a_tick_is_not_trusted(compiler: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamp, "_TICK", 10**12)
    compiler.compile()
    assert compiler.compile().read == 3


def test_a_base_that_is_being_written_changes_nothing(compiler: Compiler, tmp_path: Path) -> None:
    settled(compiler)
    base = tmp_path / "experiments" / "_base" / "one.yaml"
    base.write_text("owner: ha")
    write_spec(tmp_path, "a", "description: new\n")
    assert compiler.compile({base}).written == ("a.py",)
    base.write_text("owner: half\n")
    assert settled(compiler).written == ("c.py",)


def test_rendering_depends_on_nothing_but_the_spec(compiler: Compiler, tmp_path: Path) -> None:
    """Not on the order of keys in memory, the seed of hashes or the process: a DAG file of the same spec is the same."""
    import subprocess
    import sys

    compiler.compile()
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.py")}
    script = "import sys; from pathlib import Path; from skillsengine.airflow.compile import compile_experiments as c; "
    for seed in ("1", "2"):
        other = tmp_path / f"out{seed}"
        command = [sys.executable, "-c", script + "c(Path(sys.argv[1]), Path(sys.argv[2]))"]
        subprocess.run(
            [*command, str(tmp_path / "experiments"), str(other)], check=True, env=os.environ | {"PYTHONHASHSEED": seed}
        )
        assert {path.name: path.read_bytes() for path in other.glob("*.py")} == made


NAMES = st.sampled_from(["a", "b", "A", "team/a", "team/c"])
TEXTS = st.sampled_from(
    [
        "",
        "owner: somebody\n",
        "extends: _base/x.yaml\n",
        "lora: {r: 0}\n",
        "extends: [_base/x.yaml, _base/y.yaml]\n",
        ":",
    ]
)
BASES = st.sampled_from(["owner: one\n", "lora: {r: 4}\n", "lora: {r: -4}\n", "- x\n"])


class Edits(RuleBasedStateMachine):
    """Files of a folder come, change and go; after each pass both compilers left the same behind."""

    make: Callable[[], Path]

    def __init__(self) -> None:
        super().__init__()
        self.home = type(self).make()
        self.experiments = self.home / "experiments"
        (self.experiments / "_base").mkdir(parents=True)
        self.remembers = Compiler(self.experiments, self.home / "remembers", project=self.home)

    @rule(name=NAMES, more=TEXTS)
    def spec(self, name: str, more: str) -> None:
        folder, _, stem = name.rpartition("/")
        write_spec(self.home, stem, more, folder=folder)

    @rule(name=st.sampled_from(["x", "y"]), text=BASES)
    def base(self, name: str, text: str) -> None:
        (self.experiments / "_base" / f"{name}.yaml").write_text(text)

    @rule(name=st.sampled_from(["a", "b", "A", "team/a", "team/c", "_base/x", "_base/y"]))
    def gone(self, name: str) -> None:
        (self.experiments / f"{name}.yaml").unlink(missing_ok=True)

    @rule(old=NAMES, new=NAMES)
    def renamed(self, old: str, new: str) -> None:
        source, target = self.experiments / f"{old}.yaml", self.experiments / f"{new}.yaml"
        if source.exists():
            target.parent.mkdir(exist_ok=True)
            source.rename(target)

    @rule(name=st.sampled_from(["a", "b", "c"]))
    def dag_file_gone(self, name: str) -> None:
        for out in ("remembers", "forgets"):
            (self.home / out / f"{name}.py").unlink(missing_ok=True)

    @invariant()
    def same(self) -> None:
        known = self.remembers.compile()
        anew = Compiler(self.experiments, self.home / "forgets", project=self.home).compile()
        assert [str(error) for error in known.errors] == [str(error) for error in anew.errors]
        assert (known.written, known.removed, known.unchanged) == (anew.written, anew.removed, anew.unchanged)
        left, right = (dict(files(self.home / out)) for out in ("remembers", "forgets"))
        assert left == right


def files(out: Path) -> Iterator[tuple[str, str]]:
    for path in out.rglob("*.py"):
        yield path.relative_to(out).as_posix(), path.read_text()


def test_a_compiler_that_remembers_makes_what_one_without_memory_makes(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every edit counts as an old one: a file's time of change tells two edits apart on the file systems of today, or the
    # test would fail.
    monkeypatch.setattr(module, "told_apart", lambda stamps: True)
    Edits.make = lambda: tmp_path_factory.mktemp("edits")  # type: ignore[method-assign, assignment]
    run_state_machine_as_test(Edits, settings=settings(max_examples=25, stateful_step_count=15, deadline=None))
