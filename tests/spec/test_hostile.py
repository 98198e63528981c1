"""Hostile and odd files: each is told in time and alone, whatever it is, and the specs beside it are compiled.

What becomes of each stands in `hostile.txt`; GOLDEN=write in the environment writes it anew. Every case goes through the
loader and through the compile of the whole folder, and what Airflow would show is what the loader says.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from skillsengine.airflow.compile import CompileReport, compile_experiments
from skillsengine.spec import allowed
from skillsengine.spec.errors import SpecError
from skillsengine.spec.load import candidates, load_spec, resolved
from tests.spec.hostile_cases import FILES, HEX, READ, TEXTS, TOKEN, Make, text
from tests.spec.support import GOOD, Case, Folder, read_table
from tests.stages.bad_input_run import read_table as read_told
from tests.stages.bad_input_run import write_table

TABLE = Path(__file__).with_name("hostile.txt")
ERRORS = [case for case in read_table(Path(__file__).with_name("error_table.txt")) if not case.overrides]
WRITES = os.environ.get("GOLDEN") == "write"
ABOUT = """
What becomes of hostile and odd files. Each case is the file job.yaml, where its title names no other, beside a good spec.
What is read shows a field of it as it came out.
"""
CPU_SECONDS, SECONDS = 2, 60
ODD: dict[str, Make] = {**{title: text(body) for title, body in TEXTS.items()}, **FILES}


@contextmanager
def guard() -> Iterator[None]:
    """What runs inside ends within two seconds of a processor's time, and within a minute on a busy machine."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise AssertionError("takes too long")

    before = {kind: signal.signal(kind, stop) for kind in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for kind, handler in before.items():
            signal.signal(kind, handler)


@pytest.fixture(scope="module")
def table() -> Iterator[dict[str, str]]:
    found = {} if WRITES else read_told(TABLE)
    yield found
    if WRITES:
        write_table(TABLE, ABOUT, found)


def check(table: dict[str, str], title: str, told: str) -> None:
    if WRITES:
        table[title] = told
    assert told == table[title]


def compiled(specs: Folder) -> CompileReport:
    """The folder compiled beside a good neighbour, whose DAG file must be there."""
    specs.write(GOOD.replace("job", "neighbour"), "neighbour.yaml")
    out = specs.experiments.parent / "out"
    with guard():
        report = compile_experiments(specs.experiments, out)
    assert "neighbour.py" in {*report.written, *report.unchanged}
    compile((out / "neighbour.py").read_text(), "neighbour.py", "exec")
    return report


def shown(specs: Folder, name: str) -> str:
    """What Airflow shows of a spec's error file: it is run, as the DAG processor does."""
    with pytest.raises(Exception, match="does not compile") as caught:
        exec(compile((specs.experiments.parent / "out" / name).read_text(), name, "exec"), {})
    assert type(caught.value).__name__ == "spec"
    return str(caught.value.__cause__)


def refused(path: Path, experiments: Path | None = None) -> str:
    with guard(), pytest.raises(SpecError) as caught:
        load_spec(path, experiments=experiments)
    told = str(caught.value)
    assert told.isprintable() or set(filter(lambda c: not c.isprintable(), told)) == {"\n"}
    assert len(told) < 25_000
    return told


@pytest.mark.parametrize("title", ODD)
def test_an_odd_file_is_told_and_takes_no_neighbour_down(title: str, specs: Folder, table: dict[str, str]) -> None:
    told = refused(ODD[title](specs.experiments), specs.experiments)
    report = compiled(specs)
    assert [str(error) for error in report.errors] == [told]
    (name,) = set(report.written) - {"neighbour.py"}
    assert shown(specs, name) == told
    for secret in (TOKEN, HEX, "sesame", "root:x", "AbCdEfGhIjKl", "MIIEow"):
        assert secret not in told
    *rows, last = told.split("\n\n")
    check(table, title, told if len(rows) < 3 else "\n\n".join([*rows[:2], f"({len(rows) - 2} more like it)", last]))


@pytest.mark.parametrize("title", READ)
def test_what_looks_odd_is_read(title: str, specs: Folder, table: dict[str, str]) -> None:
    body, field = READ[title]
    with guard():
        value: Any = resolved(load_spec(text(body)(specs.experiments)).experiment)
    for part in field.split("."):
        value = value[part]
    report = compiled(specs)
    assert (report.errors, report.written) == ((), ("job.py", "neighbour.py"))
    compile((specs.experiments.parent / "out" / "job.py").read_text(), "job.py", "exec")
    check(table, title, f"is read: {field} = {value!r}")


@pytest.mark.parametrize("case", ERRORS, ids=lambda case: case.title)
def test_no_error_of_the_table_takes_a_neighbour_down(case: Case, specs: Folder) -> None:
    for name, body in case.files.items():
        specs.write(body, name)
    report = compiled(specs)
    assert [str(error) for error in report.errors] == [case.expected]
    assert shown(specs, "job.yaml.py") == case.expected


def texts(schema: allowed.Schema, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all fields that take a text, lists of texts included."""
    for key, part in allowed.keys(schema).items():
        options = allowed.options(part)
        if any(o.get("type") == "string" or allowed.deref(o.get("items", {})).get("type") == "string" for o in options):
            yield (*path, key)
        yield from texts(part, (*path, key))


def test_a_template_in_any_field_is_refused_or_stays_as_it_is(specs: Folder, table: dict[str, str]) -> None:
    jinja, rows = "{{ conn.x.password }}", []
    for path in texts(allowed.root_schema()):
        value: Any = jinja
        options = allowed.options(_schema(path))
        if any(option.get("type") == "array" for option in options):
            value = [jinja]
        spec: dict[str, Any] = {"name": "job", "start_date": "2026-01-01", "data": {"source": "data/ads.jsonl"}}
        around = spec
        for part in path[:-1]:
            around = around.setdefault(part, {})
        around[path[-1]] = value
        try:
            found: Any = resolved(specs.load(json.dumps(spec)).experiment)
        except SpecError as error:
            assert {problem.path for problem in error.problems} <= {".".join(path), f"{'.'.join(path)}[0]"}
            rows.append(f"{'.'.join(path)}: refused")
            continue
        for part in path:
            found = found[part]
        assert found == value
        rows.append(f"{'.'.join(path)}: stays as it is")
    assert len(rows) > 30
    check(table, "{{ conn.x.password }} in every field that takes a text", "\n".join(rows))


def _schema(path: tuple[str, ...]) -> allowed.Schema:
    schema = allowed.root_schema()
    for part in path:
        schema = allowed.keys(schema)[part]
    return schema


def test_names_that_differ_by_case_only(specs: Folder, table: dict[str, str]) -> None:
    specs.write(GOOD, "a/job.yaml")
    specs.write(GOOD.replace("name: job", "name: Job"), "b/Job.yaml")
    report = compiled(specs)
    assert len(report.errors) == 2
    check(table, "two files whose names differ by case", "\n\n".join(map(str, report.errors)))


def test_a_copy_that_is_not_done_mends_itself(specs: Folder) -> None:
    whole = GOOD + "train: {epochs: 3}\n"
    specs.write(whole[:-5])
    assert "job.yaml.py" in compiled(specs).written
    specs.write(whole)
    report = compiled(specs)
    assert (report.errors, report.removed) == ((), ("job.yaml.py",))


def test_a_spec_is_renamed_and_deleted(specs: Folder) -> None:
    path = specs.write(GOOD)
    compiled(specs)
    path = path.rename(path.with_name("other.yaml"))
    report = compiled(specs)
    assert report.removed == ("job.py",)
    assert "write `name: other`, or rename the file" in str(report.errors[0])
    path.unlink()
    assert compiled(specs).removed == ("other.yaml.py",)


def test_a_spec_that_is_taken_away_while_the_folder_is_read(specs: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    specs.write(GOOD)

    def gone(experiments: Path) -> list[Path]:
        found = candidates(experiments)
        (experiments / "job.yaml").unlink()
        return found

    monkeypatch.setattr("skillsengine.airflow.compile.candidates", gone)
    report = compiled(specs)
    assert (report.errors, report.written) == ((), ("neighbour.py",))


@pytest.mark.parametrize("atomic", [True, False])
def test_a_spec_that_is_written_while_it_is_read_is_one_or_the_other(atomic: bool, specs: Folder) -> None:
    """By a rename, as editors and git do it; and in place, as `cp` does: then it may also be told to be in motion."""
    path = specs.write(GOOD)
    bodies = [f"{GOOD}owner: o{i}\ndescription: '{c * 100_000} o{i}'\n" for i, c in enumerate("ab")]
    path.write_text(bodies[0])
    child = os.fork()
    if child == 0:
        for i in range(100_000):
            target = path.with_name(".job.new") if atomic else path
            target.write_text(bodies[i % 2])
            if atomic:
                target.replace(path)
            time.sleep(0.004)
        os._exit(0)
    seen, told = set(), set()
    try:
        for _ in range(30):
            try:
                experiment = load_spec(path).experiment
            except SpecError as error:
                told.add(str(error).partition("\n")[0])
                continue
            assert experiment.description.endswith(experiment.owner)
            seen.add(experiment.owner)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert seen
    assert told == set() or not atomic


def test_the_table_has_no_case_that_is_gone(table: dict[str, str]) -> None:
    others = {"{{ conn.x.password }} in every field that takes a text", "two files whose names differ by case"}
    assert set(table) <= ODD.keys() | READ.keys() | others
