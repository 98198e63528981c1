"""What can be wrong with a source, told to people."""

from __future__ import annotations


class SourceError(Exception):
    """A source cannot be read as asked; the text says what was looked for, where, and how to mend it."""


class SourceUnread(SourceError):
    """What was asked stands in a remote file that was never read, and nothing is to be downloaded now."""


class SourceChanged(SourceError):
    """A file is no longer the one that was found there."""


class SourceUnavailable(Exception):
    """A source does not answer now (network, throttling): the same call may succeed later."""
