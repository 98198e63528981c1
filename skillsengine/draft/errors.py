"""Why no draft can be made."""

from __future__ import annotations


class DraftError(Exception):
    """The data, the name or an option does not allow a draft; the text says what was found, where, and how to mend it."""
