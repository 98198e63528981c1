"""Where a base is: the three forms of `base.model`, and what is said when one is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.location import Location, locate
from skillsengine.spec.schema import Base
from tests.modeling.hub_server import COMMIT, serve
from tests.tiny import make_tiny_base


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_tiny_base(tmp_path / "project" / "models" / "mine")
    return tmp_path / "project"


def _locate(model: str, root: Path) -> Location:
    return locate(Base(model=model), bases=root / "bases", allowed_roots=[root])


@pytest.mark.parametrize("name", ["models/mine", "./models/mine", "models/../models/mine"])
def test_a_local_folder_relative_to_the_project(root: Path, name: str) -> None:
    location = _locate(name, root)
    assert location.folder == root / "models" / "mine"
    assert location.revision is None
    assert location.weights_sha256 == _locate(str(root / "models" / "mine"), root).weights_sha256


def test_the_hash_is_that_of_the_weights(root: Path) -> None:
    before = _locate("models/mine", root).weights_sha256
    assert before is not None
    assert len(before) == 64
    make_tiny_base(root / "models" / "mine", seed=7)
    assert _locate("models/mine", root).weights_sha256 != before
    only = locate(Base(model="models/mine"), bases=root, allowed_roots=[root], tokenizer_only=True)
    assert only.weights_sha256 is None


@pytest.mark.parametrize("name", ["./models/other", "/nowhere/at/all", "../outside"])
def test_a_folder_that_is_not_there_or_outside(root: Path, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        _locate(name, root)
    text = str(caught.value)
    assert name in text
    assert "does not exist" in text or "lies outside the folders a spec may read" in text
    assert not caught.value.retry


def test_a_link_does_not_lead_out(root: Path) -> None:
    make_tiny_base(root.parent / "elsewhere")
    (root / "models" / "link").symlink_to(root.parent / "elsewhere")
    with pytest.raises(ModelError, match=r"lies outside the folders a spec may read .*SKILLSENGINE_DATA_ROOTS"):
        _locate("models/link", root)
    allowed = [root, root.parent / "elsewhere"]
    assert locate(Base(model="models/link"), bases=root, allowed_roots=allowed).folder == root.parent / "elsewhere"


def test_a_folder_that_is_no_model(root: Path) -> None:
    (root / "models" / "notes").mkdir()
    (root / "models" / "notes" / "read.me").write_text("hello")
    with pytest.raises(ModelError) as caught:
        _locate("models/notes", root)
    assert str(caught.value) == (
        f"base.model: `models/notes` is not a model folder: {root}/models/notes lacks config.json; weights in "
        "*.safetensors; a tokenizer (tokenizer.json, tokenizer.model or vocab.json). It holds: read.me. Write one with "
        "`model.save_pretrained(folder)` and `tokenizer.save_pretrained(folder)`."
    )


def test_pickled_weights_are_not_read(root: Path) -> None:
    folder = root / "models" / "mine"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin is not read: a pickle can run code; convert it"):
        _locate("models/mine", root)


@pytest.mark.parametrize("name", ["gpt", "a/b/c", "smollm2", "hf://org/name", "org/na me"])
def test_none_of_the_three_forms(root: Path, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        _locate(name, root)
    text = str(caught.value)
    assert f"`{name}` is no base that is known here" in text
    assert "the built-in `smollm2-135m-instruct`; a local folder (`./models/mine`" in text
    assert "a Hub id (`meta-llama/Llama-2-13b-hf`)" in text


def test_offline_and_not_in_the_cache(root: Path) -> None:
    with pytest.raises(ModelError) as caught:
        _locate("some-org/never-downloaded", root)
    text = str(caught.value)
    assert "`some-org/never-downloaded` is not in this machine's Hub cache" in text
    assert (
        "Unset it, fill the cache with `skillsengine pull SPEC` where there is a network, or name a local folder"
        in text
    )
    assert not caught.value.retry


_ASK = """
import json, sys
from pathlib import Path
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.location import locate
from skillsengine.spec.schema import Base

answers = {}
for name, revision, only in json.loads(sys.argv[1]):
    base = Base(model=name, revision=revision)
    try:
        found = locate(base, bases=Path("b"), allowed_roots=[Path("a")], tokenizer_only=only)
        answers[f"{name}@{revision}"] = [found.revision, sorted(p.name for p in found.folder.iterdir())]
    except ModelError as error:
        answers[f"{name}@{revision}"] = [error.retry, str(error)]
assert "torch" not in sys.modules
print(json.dumps(answers))
"""


def test_a_hub(tmp_path: Path) -> None:
    model = make_tiny_base(tmp_path / "served")
    (model / "pytorch_model.bin").write_bytes(b"never fetched")
    (model / "modeling_tiny.py").write_text("raise SystemExit('remote code ran')")
    asked_for = [
        ("org/tiny", "main", True),
        ("org/tiny", None, False),
        ("org/gated", None, False),
        ("org/unknown", None, False),
        ("org/tiny", "v9", False),
        ("org/failing", None, False),
    ]
    with serve(model) as (endpoint, asked):
        env = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}
        ask = [sys.executable, "-c", _ASK, json.dumps(asked_for)]
        done = subprocess.run(ask, env=env, capture_output=True, text=True, check=True, timeout=60)
    answers = json.loads(done.stdout)
    assert done.stderr == ""  # no bars, no warnings
    small = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
    assert answers["org/tiny@main"] == [COMMIT, small]
    assert answers["org/tiny@None"] == [COMMIT, sorted([*small, "model.safetensors"])]
    assert not [path for path in asked if path.endswith((".bin", ".py"))]
    retry, text = answers["org/gated@None"]
    assert not retry
    assert "is gated: accept its licence at https://huggingface.co/org/gated" in text
    retry, text = answers["org/unknown@None"]
    assert not retry
    assert "the Hub has no model `org/unknown`, or it is private" in text
    retry, text = answers["org/tiny@v9"]
    assert not retry
    assert "base.revision: the Hub has `org/tiny`, but no revision `v9`" in text
    retry, text = answers["org/failing@None"]
    assert retry  # the network may be back at the next attempt
    assert "the Hub could not be asked for `org/failing`" in text


def test_no_hub_at_all(tmp_path: Path) -> None:
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    ask = [sys.executable, "-c", _ASK, json.dumps([("org/tiny", None, False)])]
    done = subprocess.run(ask, env=env, capture_output=True, text=True, check=True, timeout=60)
    retry, text = json.loads(done.stdout)["org/tiny@None"]
    assert retry
    assert "the Hub could not be asked for `org/tiny`" in text
    assert "Check the network (HF_ENDPOINT, HTTPS_PROXY)" in text
