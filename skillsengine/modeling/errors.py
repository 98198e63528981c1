"""What can be wrong with a model, told to people."""

from __future__ import annotations


class ModelError(Exception):
    """A base or an adapter cannot be used; the text says which, what was tried and how to mend it."""

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry
        """Whether trying again later may help (the network), without a change of spec or machine."""
