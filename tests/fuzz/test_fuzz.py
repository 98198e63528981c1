"""The fuzzer finds nothing in the loader, and finds what was planted."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skillsengine.spec.errors import Problem, SpecError
from skillsengine.spec.load import Loaded, load_spec
from tests.fuzz.__main__ import main
from tests.fuzz.runner import ATHERIS, Outcome, fuzz, read
from tests.fuzz.seeds import dictionary, seeds
from tests.fuzz.target import BASE, OVERLAY, SET, SPEC, Target, Violation, joined, split
from tests.spec.support import GOOD

WHOLE = {SPEC: GOOD.encode(), BASE: b"lora: {r: 4}", OVERLAY: b"owner: me", SET: b"train.epochs=2"}


@pytest.fixture
def target(tmp_path: Path) -> Target:
    target = Target(tmp_path / "folder")
    target.prepare()
    return target


def plant(monkeypatch: pytest.MonkeyPatch, loader: Callable[..., Any]) -> None:
    monkeypatch.setattr("tests.fuzz.target.load_spec", loader)


def refuses(message: str) -> Callable[..., Any]:
    def load(*_words: object, **_options: object) -> Loaded:
        raise SpecError([Problem("job.yaml", None, None, "", "wrong", message)])

    return load


def test_an_input_is_all_that_a_spec_is_made_of(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    assert split(joined(WHOLE)) == {name: body + b"\n" * (name != SET) for name, body in WHOLE.items()}
    seen: list[Loaded] = []

    def load(*words: Any, **options: Any) -> Loaded:
        seen.append(load_spec(*words, **options))
        return seen[0]

    plant(monkeypatch, load)
    parts = WHOLE | {SPEC: b"extends: _base/fuzz.yaml\n" + GOOD.encode()}
    assert target.check(joined(parts)) is None
    experiment = seen[0].experiment
    assert (experiment.lora.r, experiment.owner, experiment.train.epochs) == (4, "me", 2)


def test_no_seed_breaks_the_loader(target: Target) -> None:
    refused = [target.check(data) is not None for data in seeds()]
    assert refused.count(True) > 100
    assert refused.count(False) > 50


def test_words_are_in_the_form_that_libfuzzer_reads() -> None:
    lines = dictionary().splitlines()
    assert r'"\x6e\x66\x34"' in lines  # nf4
    assert r'"\x65\x70\x6f\x63\x68\x73\x3a\x20"' in lines  # epochs:
    assert len(lines) == len(set(lines)) > 200


def forever(*_words: object, **_options: object) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("loader", "message"),
    [
        (refuses("x" * 30_000), r"an error of 30,0\d\d characters"),
        (refuses("\x1b[2J"), "cannot be shown: \\['\\\\x1b'\\]"),
        (refuses("\udcff"), "cannot be shown"),
        (forever, "takes more than 0.1 seconds of a processor"),
    ],
)
def test_a_loader_that_breaks_its_promise_is_found_out(
    loader: Callable[..., Any], message: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, loader)
    if loader is forever:
        monkeypatch.setattr("tests.fuzz.target.CPU_SECONDS", 0.1)
    with pytest.raises(Violation, match=message):
        target.check(GOOD.encode())


def test_an_input_is_tried_again_without_the_fuzzer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.fuzz.__main__.bound_memory", lambda: None)  # it would bind the other tests too
    file = tmp_path / "crash-1"
    file.write_bytes(joined(WHOLE))
    assert main(["--replay", str(file)]) == 0
    assert capsys.readouterr().out == "a spec\n"
    file.write_bytes(joined(WHOLE | {SET: b"x"}))
    assert main(["--replay", str(file)]) == 0
    assert "not of the form a.b=value" in capsys.readouterr().out

    def broken(*_words: object, **_options: object) -> None:
        raise ValueError("planted")

    plant(monkeypatch, broken)
    assert main(["--replay", str(file)]) == 1
    assert "ValueError: planted" in capsys.readouterr().out


GREEDY = """
import sys
from tests.fuzz import target
from tests.fuzz.__main__ import main

target.load_spec = lambda *words, **options: bytearray(1_000_000_000)
sys.exit(main(["--replay", sys.argv[1]]))
"""


def test_a_loader_that_takes_too_much_memory_is_found_out(tmp_path: Path, project: Path) -> None:
    file = tmp_path / "crash-1"
    file.write_text(GOOD)
    done = subprocess.run([sys.executable, "-c", GREEDY, str(file)], cwd=project, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "MemoryError" in done.stdout


PRINTED = """\
INFO: Running with entropic power schedule (0xFF, 100).
#434\tINITED cov: 990 ft: 3479 corp: 218/74Kb exec/s: 144 rss: 66Mb
#461\tREDUCE cov: 1001 ft: 3480 corp: 219/74Kb lim: 4172 exec/s: 153 rss: 66Mb L: 145/4172 MS: 2 EraseBytes-
ValueError: planted

==11041== ERROR: libFuzzer: fuzz target exited
SUMMARY: libFuzzer: fuzz target exited
MS: 3 ChangeASCIIInt-
stat::number_of_executed_units: 2103
stat::average_exec_per_sec:     210
stat::new_units_added:          35
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              68
"""


def test_what_libfuzzer_prints_is_read() -> None:
    assert read(PRINTED) == {
        "executions": 2103,
        "executions_per_second": 210,
        "new_units": 35,
        "slowest_input_seconds": 0,
        "peak_rss_mb": 68,
        "branches": 1001,
        "features": 3480,
        "corpus": 219,
    }
    assert read("Killed") == {}


def test_a_finding_is_told_with_its_input_and_how_to_see_it_again(tmp_path: Path) -> None:
    found = tmp_path / "crash-1"
    found.write_bytes(b"name: \xff\n")
    told = Outcome({}, PRINTED, found).told()
    assert told.startswith("ValueError: planted\n")
    assert "MS: 3" not in told
    assert f"The input, 8 bytes:\nname: \\xff\n\nAgain: python -m tests.fuzz --replay {found}" in told
    assert Outcome({}, "Killed", None).told() == "the fuzzer itself failed:\nKilled"


def test_without_atheris_the_mend_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(SystemExit, match=f"atheris is missing.*pip install {ATHERIS}"):
        main(["--seconds", "1"])
    assert f"pip install --quiet {ATHERIS}" in (project / ".ci" / "nightly").read_text()


PLANTED = """
import atheris
from tests.fuzz import child
from skillsengine.spec import yaml_text

scalar = yaml_text._Builder.scalar

@atheris.instrument_func
def broken(self, event):
    if event.value == "z" + "9q-":
        raise ValueError("planted")
    scalar(self, event)

yaml_text._Builder.scalar = broken
child.main()
"""


@pytest.mark.nightly
def test_the_fuzzer_finds_a_planted_mistake(tmp_path: Path) -> None:
    script = tmp_path / "planted.py"
    script.write_text(PLANTED)
    outcome = fuzz(600, tmp_path, [sys.executable, str(script)])
    assert outcome.found is not None, outcome.output
    assert outcome.figures["failures"] == 1
    assert outcome.figures["executions"] > len(seeds())  # it was made, not given
    told = outcome.told()
    assert "ValueError: planted" in told
    assert f"--replay {outcome.found}" in told


@pytest.mark.nightly
def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    outcome = fuzz(60, tmp_path)
    assert outcome.figures["failures"] == 0, outcome.told()
    assert outcome.figures["executions"] > 1000
    assert outcome.figures["branches"] > 800
