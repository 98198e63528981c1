"""Files that grow: lines without end and bombs, run in a process whose memory is measured.

As a program: `python -m tests.stages.bad_input_memory PROJECT NAME...` runs the files data/bad/NAME and prints, for each, one
line of JSON: what became of it, and by how many MB the process has grown over what it had before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stages.bad_input_files import CELLS, ads, encode

MB = 1 << 20
Write = Callable[[str, Path, int], None]
"""(format, path, size in MB) -> the file."""


@dataclass(frozen=True)
class Growing:
    """A file that is, or becomes, `size` MB large; and by night `nightly` MB."""

    title: str
    write: Write
    readers: tuple[str, ...]
    size: int
    nightly: int = 0


def _hole(kind: str, path: Path, size: int) -> None:
    """Good ads, and behind them a line of NUL bytes that take no place on the disk."""
    content = encode(kind, ads())
    path.write_bytes(content.removesuffix(b"\n]\n") + b",\n" if kind == "json" else content)
    with path.open("r+b") as file:
        file.truncate(size * MB)


def _long_line(kind: str, path: Path, size: int) -> None:
    """Good ads, and among them a line of `size` MB of letters."""
    start, end = _around(encode(kind, ads()), kind)
    with path.open("wb") as file:
        file.write(start)
        for _ in range(size):
            file.write(b"x" * MB)
        file.write(end)


def _packed_line(kind: str, path: Path, size: int) -> None:
    """The same, packed so that it is no bomb."""
    start, end = _around(encode(kind.removesuffix(".gz"), ads()), kind)
    packer = zlib.compressobj(0, wbits=31)
    with path.open("wb") as file:
        for piece in (start, *(b"x" * MB for _ in range(size)), end):
            file.write(packer.compress(piece))
        file.write(packer.flush())


def _around(content: bytes, kind: str) -> tuple[bytes, bytes]:
    """What stands before and behind a line more."""
    lines = content.split(b"\n")
    middle = len(lines) // 2
    comma = b"," if kind.removesuffix(".gz") == "json" else b""
    return b"\n".join(lines[:middle]) + b"\n", comma + b"\n" + b"\n".join(lines[middle:])


def _bomb(kind: str, path: Path, size: int) -> None:
    """Good ads, and behind them zeros that pack a thousandfold; in lines, so that no line is too long."""
    content = encode(kind.removesuffix(".gz"), ads()).removesuffix(b"\n]\n")
    packer, zeros = zlib.compressobj(9, wbits=31), b" " * (MB - 1) + b"\n"
    with path.open("wb") as file:
        for piece in (content + b"\n", *(zeros for _ in range(size))):
            file.write(packer.compress(piece))
        file.write(packer.flush())


def _parquet_bomb(kind: str, path: Path, size: int) -> None:
    """A long text in each of many row groups."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    table = pa.table({"job_description": ["x" * (8 * MB)] * 2})
    with ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(size // 16):
            writer.write_table(table)


TEXTS = ("jsonl", "json", "csv", "tsv")
GROWING = (
    Growing("NUL bytes of 1 GB behind the last row", _hole, TEXTS, 128, 1024),
    Growing("a line of 1 GB", _long_line, TEXTS, 128, 1024),
    Growing("a packed line of 1 GB", _packed_line, ("jsonl.gz", "csv.gz"), 128, 1024),
    Growing("a gzip bomb", _bomb, ("jsonl.gz", "csv.gz", "json.gz"), 300),
    Growing("a Parquet bomb", _parquet_bomb, ("parquet",), 1200),
)


def measured(project: Path, growing: Iterable[tuple[Growing, int]]) -> dict[str, Mapping[str, Any]]:
    """What becomes of each of these files, of so many MB, in one process: `title | format` -> {"told", "grown" (MB)}."""
    titles = {}
    for number, (each, size) in enumerate(growing):
        for kind in each.readers:
            name = f"{number}/ads.{kind}"
            path = project / "data" / "bad" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            each.write(kind, path, size)
            titles[name] = f"{each.title} | {kind}"
    command = [sys.executable, "-m", "tests.stages.bad_input_memory", str(project), *titles]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {titles[line["name"]]: line for line in lines}


def main(project: str, *names: str) -> None:
    """One line of JSON for each name."""
    from tests.stages.bad_input_run import Door

    door = Door.of(Path(project))
    door.hidden += [(r"data/bad/\d+/", "data/bad/")]

    def tell(name: str) -> str:
        cells = {"label_format": "comma"} if name.partition(".")[2] in CELLS else {}
        return door.tell({"source": f"data/bad/{name}", **cells, "max_rejected": 0.5})

    (Path(project) / "data" / "bad" / "good.parquet").write_bytes(encode("parquet", ads()))
    tell("good.parquet")  # what every run loads is no growth
    before = _peak()
    for name in names:
        told = tell(name)
        print(json.dumps({"name": name, "told": told, "grown": _peak() - before}), flush=True)


def _peak() -> int:
    """The most memory that this process has held, in MB. Not ru_maxrss, which begins with that of the parent."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) >> 10


if __name__ == "__main__":
    main(*sys.argv[1:])
