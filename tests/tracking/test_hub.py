"""Pushing a version with the real client against a Hub on loopback: names, what is sent, repetition, and every refusal."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from skillsengine.tracking.hub import PushError, push
from tests.tracking.hub_repo import FakeHub, point_at, serve_hub

KEPT = "job-skills@7 is registered here all the same."


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with serve_hub() as served:
        point_at(served.endpoint, monkeypatch, tmp_path)
        yield served


@pytest.fixture
def version(tmp_path: Path) -> Path:
    folder = tmp_path / "version"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"weights" * 100)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct"}')
    (folder / "README.md").write_text("---\nlibrary_name: peft\n---\n# job-skills@7\n")
    (folder / "manifest.json").write_text("{}")
    _say(folder, "a" * 64)
    return folder


def _say(folder: Path, digest: str) -> None:
    told = {"model": "job-skills", "number": 7, "lineage": {"register": digest}}
    (folder / "version.json").write_text(json.dumps(told))


def test_a_version_becomes_a_tagged_commit_in_a_private_repository(hub: FakeHub, version: Path) -> None:
    done = push(version, "talent/job-skills", version="job-skills@7", private=True)
    repo = hub.repos["talent/job-skills"]
    assert repo.private
    assert repo.commits == [(done.commit, "job-skills@7")]
    assert repo.tags == {"v7": done.commit}
    assert done.url == f"{hub.endpoint}/talent/job-skills/tree/v7"
    assert done.new
    # The store's own manifest is no part of what others get; everything else arrives byte by byte.
    assert repo.files == {f.name: f.read_bytes() for f in version.iterdir() if f.name != "manifest.json"}


def test_pushing_again_sends_nothing(hub: FakeHub, version: Path) -> None:
    first = push(version, "talent/job-skills", version="job-skills@7", private=False)
    again = push(version, "talent/job-skills", version="job-skills@7", private=True)
    repo = hub.repos["talent/job-skills"]
    assert (again.commit, again.new) == (first.commit, False)
    assert len(repo.commits) == 1
    assert not repo.private, "a repository that is there keeps its visibility"


def test_the_next_version_is_a_commit_on_top(hub: FakeHub, version: Path) -> None:
    push(version, "talent/job-skills", version="job-skills@7", private=True)
    _say(version, "b" * 64)
    push(version, "talent/job-skills", version="job-skills@8", private=True)
    repo = hub.repos["talent/job-skills"]
    assert list(repo.tags) == ["v7", "v8"]
    assert [message for _, message in repo.commits] == ["job-skills@7", "job-skills@8"]


def test_a_tag_of_another_installation_is_not_taken_for_ours(hub: FakeHub, version: Path) -> None:
    push(version, "talent/job-skills", version="job-skills@7", private=True)
    _say(version, "c" * 64)
    with pytest.raises(PushError) as caught:
        push(version, "talent/job-skills", version="job-skills@7", private=True)
    assert str(caught.value) == (
        "register.hub: talent/job-skills has a tag v7 already, and it is another adapter than job-skills@7 here (its "
        "version.json says job-skills@7, artifact aaaaaaaaaaaa). Another installation pushes there: give each its own "
        "repository in register.hub."
    )
    assert not caught.value.retry


@pytest.mark.parametrize(
    ("status", "said", "expected", "retry"),
    [
        (
            403,
            "You don't have the rights to create a model under the namespace talent",
            "register.hub: the Hub's answer for talent/job-skills is 403 (You don't have the rights to create a model under "
            "the namespace talent): the token may not write there. Give it write access to `talent`, or name a repository of "
            f"its account. {KEPT}",
            False,
        ),
        (
            503,
            "The Hub is ill",
            "register.hub: the Hub's answer for talent/job-skills is 503 (The Hub is ill). Run the task `push` again later. "
            + KEPT,
            True,
        ),
        (
            401,
            "Invalid credentials",
            "register.hub: pushing to talent/job-skills needs a token with the right to write. Set HF_TOKEN where `push` runs "
            f"(or `hf auth login`), then run the task `push` again. {KEPT}",
            False,
        ),
    ],
)
def test_what_the_hub_refuses(hub: FakeHub, version: Path, status: int, said: str, expected: str, retry: bool) -> None:
    hub.answer = (status, said)
    with pytest.raises(PushError) as caught:
        push(version, "talent/job-skills", version="job-skills@7", private=True)
    assert str(caught.value) == expected
    assert caught.value.retry is retry


def test_without_a_token(hub: FakeHub, version: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(PushError, match="needs a token with the right to write"):
        push(version, "talent/job-skills", version="job-skills@7", private=True)


def test_a_transfer_that_breaks_leaves_no_commit_and_may_be_repeated(hub: FakeHub, version: Path) -> None:
    hub.fail_uploads = True
    with pytest.raises(PushError) as caught:
        push(version, "talent/job-skills", version="job-skills@7", private=True)
    assert "talent/job-skills" in str(caught.value)
    assert hub.repos["talent/job-skills"].commits == []
    hub.fail_uploads = False
    assert push(version, "talent/job-skills", version="job-skills@7", private=True).new


def test_no_network(version: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    point_at(f"http://127.0.0.1:{port}", monkeypatch, tmp_path)
    with pytest.raises(PushError, match=r"the Hub could not be reached for talent/job-skills: .*HTTPS_PROXY") as caught:
        push(version, "talent/job-skills", version="job-skills@7", private=True)
    assert caught.value.retry


def test_offline(hub: FakeHub, version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PushError, match="HF_HUB_OFFLINE forbids asking the Hub"):
        push(version, "talent/job-skills", version="job-skills@7", private=True)
    assert hub.asked == []
