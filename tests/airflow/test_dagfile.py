"""The text of a compiled DAG file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skillsengine.airflow.dagfile import MARKER, Compiled, broken_file, good_file, literal, read_back, spec_digest
from skillsengine.spec.schema import Data, Experiment

NASTY = [
    "",
    "\n",
    "a\\",
    "'''",
    '"""',
    "'''\"\"\"",
    "x'",
    'x"',
    "a\r\nb",
    "\x00",
    "\u2028",
    "\ufeff",
    "\ud800",
    "\\'''",
]


@pytest.mark.parametrize("text", NASTY)
def test_literal_of_nasty_texts(text: str) -> None:
    assert eval(literal(text)) == text


@given(st.text(alphabet=st.characters() | st.sampled_from("'\"\\\n\r\t"), max_size=60))
@example("name: x\n# a \\ and '''\n")
def test_literal_equals_the_text(text: str) -> None:
    assert eval(literal(text)) == text


def test_a_spec_stays_readable() -> None:
    text = 'name: x\ndescription: "a \\ b"\n'
    assert literal(text) == f'r"""\n{text}"""[1:]'


def test_good_file_says_what_airflow_scans_for_and_parses() -> None:
    experiment = Experiment(name="x", description="Zürich \u2028", data=Data(source="ads.jsonl"))
    text = good_file(source="experiments/x.yaml", text="name: x\n", experiment=experiment, project="/p")
    assert text.startswith(MARKER)
    assert "airflow" in text.lower() and "dag" in text.lower()
    names: dict[str, Any] = {}
    head, _, _ = text.partition("from skillsengine")
    exec(head, names)
    assert names["SPEC"] == "name: x\n"
    assert Experiment.model_validate_json(names["RESOLVED"]) == experiment
    assert text.index("name: x") < text.index("RESOLVED"), "the Code tab shows the YAML first"


@pytest.mark.parametrize("text", [text for text in NASTY if "\ud800" not in text] + ["name: x\nb: 'c'\n"])
def test_read_back_gives_what_the_file_was_made_of(text: str) -> None:
    experiment = Experiment(name="x", description='Zürich \'""" \\', data=Data(source="ads.jsonl"))
    code = good_file(source="experiments/team/x.yaml", text=text, experiment=experiment, project="/p")
    found = read_back(code)
    assert found == Compiled("experiments/team/x.yaml", text, experiment.model_dump_json(indent=1))


def test_read_back_of_any_other_file_is_nothing() -> None:
    broken = broken_file(source="experiments/x.yaml", name="x", message="m", has_good=False)
    for code in ("", "SPEC = 'a'\nRESOLVED = 'b'\n", broken, f"{MARKER}x: an Airflow DAG file.\n def ("):
        assert read_back(code) is None
    calls = f"{MARKER}x: an Airflow DAG file.\nSPEC = open('/etc/passwd').read()\nRESOLVED = 'b'\n"
    assert read_back(calls) is None, "it reads texts and runs nothing"


def test_digest_follows_text_and_base() -> None:
    digests = {spec_digest("a", {"x": 1}), spec_digest("b", {"x": 1}), spec_digest("a", {"x": 2})}
    assert len(digests) == 3


MESSAGE = """experiments/x.yaml:14:3: train.lerning_rate: unknown key
   14 |   lerning_rate: 2e-4
      |   ^^^^^^^^^^^^
   did you mean `learning_rate`?"""


@pytest.mark.parametrize(("has_good", "stays"), [(True, "the last good DAG stays"), (False, "it has no DAG yet")])
def test_broken_file_raises_the_message_first(tmp_path: Path, has_good: bool, stays: str) -> None:
    file = tmp_path / "x.yaml.py"
    file.write_text(broken_file(source="experiments/x.yaml", name="x", message=MESSAGE, has_good=has_good))
    ran = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    # Airflow shows such a traceback as the import error: message, carets and line breaks first, no module names.
    assert ran.stderr.startswith(f"spec: {MESSAGE}\n\nThe above exception")
    assert ran.stderr.rstrip().endswith(f"spec: x does not compile; {stays}")
