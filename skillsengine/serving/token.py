"""The token that a server asks of its clients, in a file that both are given."""

from __future__ import annotations

from pathlib import Path

from skillsengine.stages.contract import StageError


def read_token(path: Path, named: str = "--token-file") -> str:
    """The token that a file holds. `named` is what names the file. Raises StageError."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StageError(
            f"{named} {path}: cannot be read ({error}). Write one, such as: openssl rand -hex 32 > {path}"
        ) from error
    if len(token) < 16 or any(map(str.isspace, token)):
        raise StageError(
            f"{named} {path}: a token is one word of at least 16 letters. Write one: openssl rand -hex 32 > {path}"
        )
    return token
