"""One guess, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """The value of one field of the spec, and why."""

    value: str
    why: str
    """Becomes the field's comment: short, without a full stop."""
    doubt: str = ""
    """What else it could be, and the option that says so; empty where nothing came near."""
