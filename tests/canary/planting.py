"""Canaries: secrets that stand in one place each, and the search for them, in every spelling that a text may get on its way."""

from __future__ import annotations

import base64
import gzip
import html
import json
import secrets
import sqlite3
import string
import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

from wandb.util import get_core_path

_ODD = "/+=&ä"
"""What addresses, JSON, HTML and base64 write in another way."""


def new_secret(prefix: str = "", *, odd: bool = True, alphabet: str = string.ascii_letters + string.digits) -> str:
    """A secret that occurs nowhere else; `odd`: with letters that many formats escape."""
    text = prefix + "".join(secrets.choice(alphabet) for _ in range(40))
    return text[:20] + _ODD + text[20:] if odd else text


def spellings(secret: str) -> dict[str, bytes]:
    """How a secret may be written: as it is, escaped for an address, JSON or HTML, in hex, and as part of any base64 text."""
    raw = secret.encode()
    found = {
        "as it is": raw,
        "in an address": quote(secret, safe="").encode(),
        "in an address, slashes kept": quote(secret).encode(),
        "in a form": quote_plus(secret).encode(),
        "in JSON": json.dumps(secret)[1:-1].encode(),
        "in HTML": html.escape(secret).encode(),
        "in hex": raw.hex().encode(),
    }
    for shift in range(3):
        # Basic authentication encodes `user:password`, so a secret may begin at any of three places within a group of four
        # letters; the groups at both ends depend on its neighbours.
        encoded = base64.b64encode(b"\0" * shift + raw)[4:-4]
        found[f"in base64, at {shift}"] = encoded
        found[f"in base64 for addresses, at {shift}"] = encoded.translate(bytes.maketrans(b"+/", b"-_"))
    return found


@dataclass
class Canaries:
    """The secrets by the place where each stands, and the files that hold one on purpose."""

    secrets: dict[str, str] = field(default_factory=dict)
    cages: set[Path] = field(default_factory=set)

    def add(self, place: str, secret: str) -> str:
        assert len(secret) >= 16 and secret not in self.secrets.values()
        self.secrets[place] = secret
        return secret

    def in_bytes(self, content: bytes) -> set[str]:
        """The places whose secrets are in it, and in which spelling: `netrc (in base64, at 1)`."""
        return {
            f"{place} ({how})"
            for place, secret in self.secrets.items()
            for how, spelling in spellings(secret).items()
            if spelling in content
        }

    def in_texts(self, texts: Mapping[str, str]) -> dict[str, set[str]]:
        return _hits((name, self.in_bytes(text.encode())) for name, text in texts.items())

    def in_tree(self, *roots: Path) -> dict[str, set[str]]:
        """File -> what was found in it: in its name, its bytes, what it packs, a database's rows, W&B's records."""
        return _hits(
            (str(path), self.in_bytes(str(path).encode() + b"\n" + content))
            for root in roots
            for path in sorted(root.rglob("*"))
            if path.is_file() and path not in self.cages
            for content in _contents(path)
        )


def _hits(found: Iterable[tuple[str, set[str]]]) -> dict[str, set[str]]:
    told: dict[str, set[str]] = {}
    for name, places in found:
        if places:
            told.setdefault(name, set()).update(places)
    return told


def _contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what they say to the program that reads them."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"SQLite format 3\0"):
        # Long values are spread over pages; and a write-ahead log holds what the file does not yet.
        with sqlite3.connect(path) as database:
            for line in database.iterdump():
                yield line.encode(errors="surrogateescape")
    elif path.suffix == ".wandb":
        yield wandb_records(path)
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                yield packed.read(name)


def wandb_records(path: Path) -> bytes:
    """All records of an offline run as W&B's own reader tells them, which is what `wandb sync` would send."""
    command = [get_core_path(), "leet", "inspect", "--no-observability", "--json", "--follow", "--idle-timeout", "5s"]
    done = subprocess.run([*command, "--run-file", path, path.parent], capture_output=True, timeout=120, check=True)
    assert done.stdout.count(b"\n") > 1, done.stderr
    return done.stdout
