"""Reads the transaction log of an offline W&B run, which is what `wandb sync` sends."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb

_BLOCK, _CHUNK, _START = 32768, 7, 7


def records(folder: Path) -> list[Any]:
    """The records of the ended run in `folder`, in their order.

    W&B's helper process writes the last of them just after the run's end.
    """
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        found = _read(folder)
        if any(record.HasField("exit") for record in found):
            return found
        time.sleep(0.02)
    raise TimeoutError(f"{folder}: the run does not end; it holds {len(found)} records")


def _read(folder: Path) -> list[Any]:
    """The format is LevelDB's log after a header of 7 bytes."""
    (path,) = folder.glob("run-*.wandb")
    data, position, parts, found = path.read_bytes(), _START, b"", []
    while position + _CHUNK <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _CHUNK:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + _CHUNK])
        parts += data[position + _CHUNK : position + _CHUNK + length]
        position += _CHUNK + length
        if kind in (1, 4):  # whole, or last part
            record = pb.Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def items(pairs: Any) -> dict[str, Any]:
    """Key-value pairs of a record, with their JSON read."""
    return {pair.key or "/".join(pair.nested_key): json.loads(pair.value_json) for pair in pairs}
