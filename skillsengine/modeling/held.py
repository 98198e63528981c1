"""A loaded base that stays for the next adapter on it, or untuned for the next partition: within `holding` versions are scored
one after the other on one base.

Loading is most of the cost of a small cell. What is held belongs to one process and one thread of work.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skillsengine.modeling.base import LoadedBase, load_base
from skillsengine.modeling.lora import load_adapter
from skillsengine.modeling.recorded import load_recorded
from skillsengine.spec.schema import Base


@dataclass
class _Held:
    base: str | None = None
    """What tells the base from others; None while nothing is held."""
    adapter: Path | None = None
    loaded: LoadedBase | None = None


_held: _Held | None = None


@contextmanager
def holding() -> Iterator[None]:
    """Keep what `recorded` loads until the block ends; blocks may stand in one another."""
    global _held
    if _held is not None:
        yield
        return
    _held = _Held()
    try:
        yield
    finally:
        _held = None
        gc.collect()  # modules refer to each other in circles


def recorded(
    record: Mapping[str, Any], adapter: Path, device: str, *, bases: Path, allowed_roots: Sequence[Path]
) -> LoadedBase:
    """`load_recorded`, from what is held where that fits: the same answers, sooner. Raises ModelError as that does."""
    if _held is None:
        return load_recorded(record, adapter, device, bases=bases, allowed_roots=allowed_roots)
    held, base = _held, json.dumps([dict(record), device, [str(root) for root in allowed_roots]], sort_keys=True)
    if held.loaded is not None and held.base == base and held.adapter == adapter:
        return held.loaded
    loaded, held.loaded = held.loaded, None
    if loaded is not None and held.base == base:
        # peft takes its modules out again. An output layer that was untied stays so: it computes the same.
        loaded = load_adapter(replace(loaded, model=loaded.model.unload()), adapter)
    else:
        loaded = None  # first let go of the old one: two may not fit
        gc.collect()
        loaded = load_recorded(record, adapter, device, bases=bases, allowed_roots=allowed_roots)
    held.base, held.adapter, held.loaded = base, adapter, loaded
    return loaded


def untuned(base: Base, device: str, *, bases: Path, allowed_roots: Sequence[Path]) -> LoadedBase:
    """`load_base`, from what is held where that is this base without an adapter. Raises ModelError as that does.

    A base that had an adapter on it is not taken for it: its output layer may be untied by then, and its memory the larger.
    """
    if _held is None:
        return load_base(base, device, bases=bases, allowed_roots=allowed_roots)
    roots = [str(root) for root in allowed_roots]
    held, name = _held, json.dumps(["untuned", base.model_dump(mode="json"), device, roots], sort_keys=True)
    if held.loaded is None or held.base != name:
        held.loaded = None
        gc.collect()
        held.loaded = load_base(base, device, bases=bases, allowed_roots=allowed_roots)
        held.base, held.adapter = name, None
    return held.loaded
