"""Commands for a shell that mend a file, for error texts."""

from __future__ import annotations

from shlex import quote


def through(program: str, name: str, prefix: str) -> str:
    """The command that sends the file `name` through `program` and keeps it as `prefix` + `name`; a packed one is unpacked
    before it, and packed again."""
    old, new = quote(name), quote(prefix + name)
    if name.lower().endswith(".gz"):
        return f"zcat {old} | {program} | gzip > {new}"
    return f"{program} < {old} > {new}"


def iconv(name: str, encoding: str) -> str:
    """The command that makes UTF-8 of a file in another encoding."""
    return through(f"iconv -f {encoding} -t UTF-8", name, "utf8-")


LATIN = "WINDOWS-1252"
"""The likeliest encoding of what is not UTF-8: Latin-1 with the quotes, dashes and euro signs of Windows."""
