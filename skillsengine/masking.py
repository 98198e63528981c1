"""Nothing that looks like a secret may reach an error text: it would end up in Airflow's UI, in logs and in chats.

A mask keeps the length of what it hides, so that a caret below the line still points at its place.
"""

from __future__ import annotations

import re
from functools import lru_cache

# What a secret looks like by itself: tokens of well-known services, keys, and passwords inside an address.
_SHAPES = re.compile(
    r"hf_[A-Za-z0-9]{6,}"
    r"|wandb_[A-Za-z0-9_]{10,}"
    r"|gh[opsur]_[A-Za-z0-9]{10,}|github_pat_\w{10,}|glpat-[\w-]{10,}"
    r"|sk-[\w-]{10,}|xox[a-z]-[\w-]{8,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{20,}"
    r"|eyJ[\w-]{8,}(?:\.[\w-]+)*"
    r"|(?<=://)[^\s/@]+(?=@)"
)
# What the key before a secret is called. `tokens` and `max_new_tokens` are no such words.
_WORD = (
    r"(?<![a-z])(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|auth(?:orization)?|bearer|"
    r"(?:[a-z]+[_-]|api|access|secret|private)?key)(?![a-z])"
)
_NAMED = re.compile(rf"(?i){_WORD}[\w-]*[\"']?\s*[:=]\s*(?P<value>\S.*)")
# ... and it stands before a long hex or base64 text without a colon, too: `the key 0f3c...`.
_NEARBY = re.compile(rf"(?i){_WORD}\W[^\n]*?(?P<value>[A-Za-z0-9+/_-]{{24,}}={{0,2}})")
# 40 hex digits are a W&B key, unless the line speaks of a commit.
_HEX = re.compile(r"(?<![0-9A-Za-z])(?:[0-9a-f]{40}|[0-9A-F]{40})(?![0-9A-Za-z])")
_COMMIT = re.compile(r"(?i)revision|commit|sha|digest")
# The patterns take time that grows with the square of a line's length.
_MAX_CLOSE = 2000
_MAX_BLANK = 100
_OPENS = re.compile(rf"(?i){_WORD}[\w-]*[\"']?\s*[:=]\s*(?:[|>][-+\d]*)?\s*(?:#.*)?$")


def names_secret(key: str) -> bool:
    """Whether a key is called like something secret: `api_key`, `hf_token`, `password`."""
    return re.search(rf"(?i){_WORD}", key[:200]) is not None


def mask_shapes(text: str) -> str:
    """`text` with everything hidden that looks like a secret by itself, whatever stands before it."""
    return _SHAPES.sub(lambda match: "*" * len(match[0]), text)


def mask_hex(text: str) -> str:
    """`text` without what may be a key of W&B, unless it speaks of a commit."""
    return text if _COMMIT.search(text) else _HEX.sub(lambda match: "*" * len(match[0]), text)


@lru_cache(maxsize=256)  # a line is masked anew for each of its problems
def mask(text: str) -> str:
    """`text`, a line of a spec or an override, with every secret in it hidden, also by the name of its key."""
    text = mask_shapes(text)
    for pattern in (_NAMED, _NEARBY):
        match = pattern.search(text)
        while match:
            start, end = match.span("value")
            text = text[:start] + "*" * (end - start) + text[end:]
            match = pattern.search(text, end)
    return mask_hex(text)


def mask_line(lines: tuple[str, ...], index: int) -> str:
    """Line `index` (from 0) of a file, masked; all of it if the line before says that a secret follows."""
    line = lines[index]
    if _opens(_before(lines, index)):
        indent = len(line) - len(line.lstrip())
        return line[:indent] + "*" * (len(line) - indent)
    return mask(line)


def _before(lines: tuple[str, ...], index: int) -> str | None:
    """The nearest line above that is not blank, `""` at the file's start, None where it is too far away."""
    first = max(0, index - _MAX_BLANK)
    for at in range(index - 1, first - 1, -1):
        if lines[at].strip():
            return lines[at]
    return None if first else ""


@lru_cache(maxsize=256)
def _opens(before: str | None) -> bool:
    """Whether a secret may stand on the next line. A line too long to look at closely does if it names one at all."""
    if before is None:
        return True
    if len(before) > _MAX_CLOSE:
        return re.search(rf"(?i){_WORD}", before) is not None
    return _OPENS.search(before) is not None
