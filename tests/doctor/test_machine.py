"""Store, W&B and tokens of an environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from skillsengine.doctor import machine
from skillsengine.doctor.finding import Finding
from skillsengine.doctor.machine import examine_machine
from skillsengine.settings import load_settings
from skillsengine.spec.schema import Experiment
from skillsengine.tracking import server
from tests.doctor.airflow_server import answering, silent
from tests.pipeline.project import tiny_experiment
from tests.sources.servers import S3, moto_port, s3

__all__ = ["moto_port", "s3"]

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("HF_TOKEN", raising=False)


def _found(tmp_path: Path, subject: str, *experiments: Experiment) -> Finding:
    found = {finding.subject: finding for finding in examine_machine(load_settings(tmp_path), experiments)}
    return found[subject]


def _tracked(mode: str) -> Experiment:
    return tiny_experiment(tracking={"mode": mode})


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    finding = _found(tmp_path, "store")
    assert finding.level == "ok"
    assert finding.text.startswith(f"{tmp_path / '.skillsengine' / 'store'}: writable, ")
    assert [path.name for path in tmp_path.iterdir()] == ["experiments"]


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".skillsengine").mkdir()
    (tmp_path / ".skillsengine" / "store").touch()
    finding = _found(tmp_path, "store")
    assert (finding.level, finding.text) == (
        "problem", f"{tmp_path / '.skillsengine' / 'store'} cannot be written: Not a directory"
    )  # fmt: skip


def test_a_store_in_a_bucket(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKILLSENGINE_STORE", s3.address("skills"))
    cache = tmp_path / ".skillsengine" / "cache"
    finding = _found(tmp_path, "store")
    assert finding.level == "ok" and finding.text.startswith("s3://ads/skills: writable; converted bases in ")
    assert s3.client.list_objects_v2(Bucket="ads")["KeyCount"] == 0, "what was written is removed"
    cached = _found(tmp_path, "cache")
    assert cached.level == "ok" and cached.text.startswith(f"{cache}: writable, ") and "at most 50.0 GB" in cached.text
    monkeypatch.setenv("SKILLSENGINE_STORE", "s3://nowhere")
    finding = _found(tmp_path, "store")
    assert finding.level == "problem" and "there is no bucket `nowhere`" in finding.text


def test_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_ROOM", 1e18)
    assert _found(tmp_path, "store").level == "warning"


@pytest.mark.parametrize(
    ("modes", "env", "text"),
    [
        (("auto",), {}, "no WANDB_API_KEY: runs are kept offline; `skillsengine sync` sends them once a key is there"),
        (("offline", "disabled"), {"WANDB_API_KEY": KEY}, "runs are kept offline, as the specs or WANDB_MODE say"),
        (("auto",), {"WANDB_API_KEY": KEY, "WANDB_MODE": "offline"}, "runs are kept offline, as the specs or WANDB_MODE say"),
        (("disabled",), {"WANDB_API_KEY": KEY}, "disabled"),
    ],
)  # fmt: skip
def test_wandb_without_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modes: tuple[str, ...], env: dict[str, str], text: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    finding = _found(tmp_path, "Weights & Biases", *map(_tracked, modes))
    assert (finding.level, finding.text) == ("ok", text)


def test_wandb_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with answering({}) as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        finding = _found(tmp_path, "Weights & Biases", _tracked("auto"))
    assert (finding.level, finding.text) == ("ok", f"WANDB_API_KEY is set and {url} answers: runs are reported online")


def test_wandb_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setattr(server, "PROBE_SECONDS", 0.2)
    with silent() as url:
        monkeypatch.setenv("WANDB_BASE_URL", url)
        finding = _found(tmp_path, "Weights & Biases", _tracked("auto"))
    assert finding.level == "warning"
    assert finding.text.startswith(f"WANDB_API_KEY is set, and {url} does not answer within 0.2 s")
    assert KEY not in finding.text
    assert "HTTPS_PROXY" in (finding.mend or "")
