"""`skillsengine extract` and `serve` as a user types them, on the folder of a tiny version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from skillsengine.serving.extract import Extractor
from skillsengine.settings import load_settings
from tests.cli.conftest import Command
from tests.serving.conftest import LONG, SHORT
from tests.serving.taught import make_taught_version

ADS = [*[ad for ad in SHORT if ad], LONG]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a version in the folder `version`, and its ads in `ads.jsonl` and, one a file, in `ads/`."""
    folder = make_taught_version(tmp_path_factory.mktemp("extract") / "project").parent
    (folder / "ads").mkdir()
    for number, ad in enumerate(ADS):
        (folder / "ads" / f"{number}.txt").write_text(ad)
    lines = [json.dumps({"id": f"ad-{number}", "job_description": ad}) + "\n" for number, ad in enumerate(ADS)]
    (folder / "ads.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def expected(project: Path) -> list[list[str]]:
    settings = load_settings(project)
    extractor = Extractor.load(
        project / "version", bases=settings.store_root / "bases", allowed_roots=settings.allowed_roots
    )
    return [found.skills for found in extractor.extract(ADS)]


def answers(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_a_folder_and_standard_input_have_the_same_answers(
    command: Command, project: Path, expected: list[list[str]]
) -> None:
    said = command("extract", "./version", "ads.jsonl")
    assert said.code == 0, said.err
    assert [line["skills"] for line in answers(said.out)] == expected
    assert answers(said.out)[1] == {
        "id": "ad-1",
        "file": "ads.jsonl",
        "line": 2,
        "version": "job-skills@7",
        "skills": expected[1],
        "parsed": answers(said.out)[1]["parsed"],
    }
    assert said.err.startswith(f"{len(ADS)} ads in ")
    folder = command("extract", "./version", "ads")
    assert [(line["id"], line["skills"]) for line in answers(folder.out)] == [
        (f"ads/{number}.txt", skills) for number, skills in enumerate(expected)
    ]
    piped = command("extract", "./version", "-", "--batch-size", "2", stdin=(project / "ads.jsonl").read_text())
    assert [line["skills"] for line in answers(piped.out)] == expected
    assert (
        command("extract", "./version", "-", stdin=ADS[0]).out
        == command("extract", "./version", "-", "--json", stdin=ADS[0]).out
    )
    assert any(expected)


def test_one_text_in_a_terminal_is_a_list(
    command: Command, monkeypatch: pytest.MonkeyPatch, expected: list[list[str]]
) -> None:
    monkeypatch.setattr("skillsengine.cli.adapters._in_terminal", lambda: True)
    best = max(range(len(ADS)), key=lambda place: len(expected[place]))
    said = command("extract", "./version", f"ads/{best}.txt")
    assert said.out.split() == " ".join(expected[best]).split() and said.err == ""
    assert len(answers(command("extract", "./version", "ads.jsonl").out)) == len(ADS)
    assert len(answers(command("extract", "./version", "ads/0.txt", "--json").out)) == 1


def test_answers_go_into_a_file_and_go_on_there(command: Command, project: Path, expected: list[list[str]]) -> None:
    out = project / "skills.jsonl"
    said = command("extract", "./version", "ads.jsonl", "-o", "skills.jsonl")
    assert (said.code, said.out) == (0, "") and said.err.rstrip().endswith(" a second · skills.jsonl")
    whole = out.read_text()
    assert [line["skills"] for line in answers(whole)] == expected
    again = command("extract", "./version", "ads.jsonl", "-o", "skills.jsonl")
    assert again.code == 1 and "skills.jsonl is there already. Add --resume" in again.err
    out.write_text("".join(whole.splitlines(keepends=True)[:3]) + '{"id": "ad-3", "fi')
    assert command("extract", "./version", "ads.jsonl", "-o", "skills.jsonl", "--resume").code == 0
    assert out.read_text() == whole


def test_what_cannot_be_read_is_told_and_fails_the_command(command: Command, project: Path) -> None:
    lines = [json.dumps({"text": ad}) for ad in ADS[:2]] + ["{"] * 12
    (project / "bad.jsonl").write_text("\n".join(lines))
    said = command("extract", "./version", "bad.jsonl", "--text-field", "text")
    assert said.code == 1 and len(answers(said.out)) == 2
    told = said.err.splitlines()
    assert told[0].startswith(
        "not read: bad.jsonl:3: not JSON: it ends before its object does. Each line is one object"
    )
    assert sum(line.startswith("not read: ") for line in told) == 10
    assert "error: 12 could not be read (see above); everything else is answered." in said.err
    wrong = command("extract", "./version", "bad.jsonl")
    assert "not read: bad.jsonl:1: no field `job_description`: there are `text`. Name the ad's own with" in wrong.err


def test_mistakes_are_told_before_the_model_is_loaded(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skillsengine.cli.adapters.import_heavy", pytest.fail)
    monkeypatch.setattr("skillsengine.cli.serving.import_heavy", lambda name: __import__(name, fromlist=["x"]))
    monkeypatch.setattr(Extractor, "load", pytest.fail)
    for words, text in {
        ("extract", "./version", "nowhere.txt"): "error: nowhere.txt: no such file.",
        ("extract", "./experiments", "-"): "experiments is no registered version: it holds no version.json",
        ("extract", "./version", "-", "--resume"): "--resume goes on with a file of answers: name it with -o FILE.",
        ("serve", "./version", "--host", "0.0.0.0", "--port", "0"): "no token is asked for. Add --token-file FILE",
        ("serve", "./version", "--token-file", "nowhere"): "--token-file nowhere: cannot be read",
        ("serve", "./version", "--token-file", "ads/2.txt"): "a token is one word of at least 16 letters",
        ("serve", "./version", "--token-file", "x", "--no-token"): "--token-file and --no-token: either",
        (
            "serve",
            "./version",
            "--host",
            "nowhere.invalid",
        ): "--host nowhere.invalid --port 8090: cannot be listened on",
    }.items():
        said = command(*words)
        assert said.code == 1 and text in said.err, words


def test_a_taken_port_is_told(command: Command) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = command("serve", "./version", "--port", str(taken.getsockname()[1]))
    assert said.code == 1 and "Choose another port, or stop what listens there." in said.err


@pytest.mark.nightly
def test_the_commands_in_processes_of_their_own(project: Path, expected: list[list[str]]) -> None:
    """Ctrl-C and a closed pipe leave whole lines; SIGTERM ends the server once it has answered."""
    words = [sys.executable, "-m", "skillsengine"]
    settings = {"cwd": project, "env": {**os.environ, "OMP_NUM_THREADS": "1"}, "text": True}
    lines = (project / "ads.jsonl").read_text() * 20
    head = subprocess.Popen(
        [*words, "extract", "./version", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **settings,
    )  # type: ignore[call-overload]
    head.stdin.write(lines)
    first = head.stdout.readline()
    head.stdout.close()
    assert json.loads(first)["skills"] == expected[0]
    assert head.wait(60) == 141 and head.stderr.read() == ""
    head.stdin.close()

    stopped = subprocess.Popen(
        [*words, "extract", "./version", "-", "-o", "stopped.jsonl"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **settings,
    )  # type: ignore[call-overload]
    stopped.stdin.write(lines[: len(lines) // 20])
    stopped.stdin.flush()
    out = project / "stopped.jsonl"
    while not out.is_file() or len(out.read_text().splitlines()) < len(ADS):
        assert stopped.poll() is None
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(60) == 130
    assert "-o stopped.jsonl --resume goes on from there" in stopped.stderr.read()
    assert [line["skills"] for line in answers(out.read_text())] == expected

    server = subprocess.Popen([*words, "serve", "./version", "--port", "0"], stdout=subprocess.PIPE, **settings)  # type: ignore[call-overload]
    told = [server.stdout.readline() for _ in range(2)]
    assert told[1].startswith("serving job-skills@7 on http://127.0.0.1:")
    said = httpx.post(f"{told[1].split()[3]}/extract", json={"texts": ADS}, timeout=60).json()
    assert [result["skills"] for result in said["results"]] == expected
    server.terminate()
    assert server.wait(60) == 0
    assert server.stdout.read() == "stopped; every open request was answered\n"
