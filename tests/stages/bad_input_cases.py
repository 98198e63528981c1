"""Every way in which a file of ads is bad, for every reader that it can happen to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.stages.bad_input_files import (
    CELLS,
    JSONS,
    PACKED,
    PLAIN,
    READERS,
    Row,
    ad,
    ads,
    encode,
    on_text,
    packed,
    parquet,
    renamed,
    without,
)

Make = Callable[[str], bytes]
TEXTS = (*PLAIN, *PACKED)
_ACCENTS = [ad(number, job_description=f"Café {number} sucht Bäcker.", skills=["Bäcker"]) for number in range(10)]


@dataclass(frozen=True)
class Case:
    """One kind of bad file."""

    title: str
    make: Make
    """Format -> the file's bytes."""
    readers: tuple[str, ...] = READERS
    data: Mapping[str, Any] = field(default_factory=dict)
    """What the spec says otherwise."""
    partition: str | None = None


def spec_for(kind: str, case: Case, source: str) -> dict[str, Any]:
    """`data:` of the spec, as a user would write it for files of this format."""
    own = {"label_format": "comma"} if kind in CELLS else {}
    return {"source": source, **own, **case.data}


def _of(title: str, rows: Sequence[Row], readers: tuple[str, ...] = READERS, **data: Any) -> Case:
    return Case(title, lambda kind: encode(kind, rows), readers, data)


def _changed(title: str, change: Callable[[bytes], bytes], readers: tuple[str, ...] = TEXTS, **data: Any) -> Case:
    """The good ads as text, changed."""
    return Case(title, lambda kind: on_text(kind, encode(kind, ads()), change), readers, data)


def _whole(title: str, content: bytes, readers: tuple[str, ...], **data: Any) -> Case:
    return Case(title, lambda kind: packed(content) if kind.endswith(".gz") else content, readers, data)


def _nothing() -> Iterator[Case]:
    yield Case("0 bytes", lambda _: b"")
    yield _whole("a packed file of 0 bytes", b"", PACKED)
    header = b"id,job_description,skills\n"
    empty = {"jsonl": b"\n \n", "json": b"[]\n", "csv": header, "tsv": header.replace(b",", b"\t")}

    def no_rows(kind: str) -> bytes:
        if kind == "parquet":
            import io

            import pyarrow as pa
            from pyarrow.parquet import write_table

            file = io.BytesIO()
            write_table(pa.table({"job_description": pa.array([], pa.string())}), file)
            return file.getvalue()
        return packed(empty[kind.removesuffix(".gz")]) if kind.endswith(".gz") else empty[kind]

    yield Case("a header, or a list, without rows", no_rows)
    yield _of("good", ads())


def _truncated() -> Iterator[Case]:
    yield Case("cut off within the last row", lambda kind: on_text(kind, encode(kind, ads()), _cut), TEXTS)
    yield Case("cut off in its middle", lambda kind: _half(encode(kind, ads())), ("parquet",))
    yield Case("cut off within its footer", lambda kind: encode(kind, ads())[:-6], ("parquet",))
    yield Case("the packed file is cut off", lambda kind: encode(kind, ads())[:-20], PACKED)
    yield Case("the packed file is damaged", lambda kind: _flip(encode(kind, ads())), PACKED)
    yield Case("damaged in its middle", lambda kind: _flip(encode(kind, ads())), ("parquet",))
    yield _changed(
        "cut off within a quoted cell",
        lambda text: text.replace(b"Shop 7 wants", b'"Shop 7, wants')[:-20],
        CELLS,
    )


def _cut(text: bytes) -> bytes:
    return text[: text.rindex(b"singing") + 3] if text.rindex(b"singing") else text


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes(255 - byte for byte in content[middle : middle + 20]) + content[middle + 20 :]


def _encodings() -> Iterator[Case]:
    accent = ad(50, job_description="Café sucht Bäcker.", skills=["Bäcker"])
    yield Case("one row in Latin-1", lambda kind: on_text(kind, encode(kind, ads(accent)), _latin), TEXTS)
    yield Case("all rows in Latin-1", lambda kind: encode(kind, _ACCENTS, encoding="latin-1"), TEXTS)
    latin_header = renamed("posted", "Veröffentlicht", ads())
    yield Case("a header in Latin-1", lambda kind: encode(kind, latin_header, encoding="latin-1"), CELLS)
    yield Case("UTF-16 with a mark", lambda kind: encode(kind, ads(), encoding="utf-16"), TEXTS)
    yield Case("UTF-16 without a mark", lambda kind: encode(kind, ads(), encoding="utf-16-le"), TEXTS)
    yield Case("UTF-32", lambda kind: encode(kind, ads(), encoding="utf-32"), TEXTS)
    yield Case("UTF-8 with a mark", lambda kind: encode(kind, ads(), encoding="utf-8-sig"), TEXTS)
    yield Case("a text that is not UTF-8", _bad_parquet_text, ("parquet",))


def _latin(text: bytes) -> bytes:
    return text.decode().encode("latin-1")


def _bad_parquet_text(_: str) -> bytes:
    import io

    import pyarrow as pa
    from pyarrow.parquet import write_table

    raw = [str(row["job_description"]).encode() for row in ads()] + ["Café".encode("latin-1")]
    texts = pa.Array.from_buffers(pa.string(), len(raw), pa.array(raw).buffers())
    file = io.BytesIO()
    write_table(pa.table({"id": [str(number) for number in range(len(raw))], "job_description": texts}), file)
    return file.getvalue()


def _columns() -> Iterator[Case]:
    yield _changed("a row with a cell more", lambda text: _in_line(text, 6, b", and", b"\t and"), CELLS)
    yield _changed("a row with a cell less", lambda text: _less(text, 6), CELLS)
    yield _changed("a separator that is not the name's", lambda text: _semicolons(text), ("csv", "csv.gz"))
    yield _changed("a quote within a cell", lambda text: text.replace(b"Shop 5 wants", b'"Shop" 5 wants'), CELLS)
    yield _changed("lines that end with carriage returns alone", lambda text: text.replace(b"\n", b"\r"), CELLS)
    yield _changed("two columns of one name", lambda text: text.replace(b"posted", b"id", 1), CELLS)
    yield _changed("no header", lambda text: text.split(b"\n", 1)[1], CELLS)
    yield _of("a row with other columns", ads({"title": "Cook", "body": "Cook wanted."}), JSONS)
    yield _of("no text column", renamed("job_description", "body", ads()))
    yield _of("the text is null in a row", ads(ad(50, job_description=None)))
    yield _of("the text is blank in a row", ads(ad(50, job_description=" <br> ")))
    yield _of("the text is a number in a row", ads(ad(50, job_description=42)), (*JSONS, *CELLS))
    yield _of("the text is a list in a row", ads(ad(50, job_description=["Cook"])), JSONS)
    numbers = [dict(row, job_description=number) for number, row in enumerate(ads())]
    yield _of("the text column holds numbers", numbers, (*JSONS, "parquet"))
    lists = [dict(row, job_description=[row["job_description"]]) for row in ads()]
    yield _of("the text column holds lists", lists, (*JSONS, "parquet"))
    yield _of("the id is null in a row", ads(ad(50, id=None)))
    yield _of("the id is a list in a row", ads(ad(50, id=["a"])), JSONS)


def _in_line(text: bytes, number: int, *extra: bytes) -> bytes:
    lines = text.split(b"\n")
    lines[number] += extra[b"\t" in lines[number]]
    return b"\n".join(lines)


def _less(text: bytes, number: int) -> bytes:
    lines = text.split(b"\n")
    lines[number] = lines[number].rpartition(b"\t" if b"\t" in lines[number] else b",")[0]
    return b"\n".join(lines)


def _semicolons(text: bytes) -> bytes:
    return text.replace(b", ", b"\0").replace(b",", b";").replace(b"\0", b", ")


def _labels() -> Iterator[Case]:
    yield _of("a row without labels", ads(ad(50, skills=None)))
    yield _of("no label column", without("skills", ads()))
    yield _of("a label that is not in the text", ads(ad(50, skills=["welding", "Rust"])))
    yield _of("no label is in the text", ads(ad(50, skills=["Rust", "Go"])))
    wrong = [dict(row, skills=["Rust"]) for row in ads()]
    yield _of("in no row is a label in the text", wrong)
    strings = [dict(row, skills=", ".join(row["skills"])) for row in ads()]
    yield _of("labels with commas, and label_format: list", strings, label_format="list")
    yield _of("labels with commas, and label_format: json", strings, label_format="json")
    yield _of("labels with commas, and label_format: semicolon", strings, label_format="semicolon")
    written = [dict(row, skills=json.dumps(row["skills"])) for row in ads()]
    yield _of("labels written as JSON, and label_format: list", written, label_format="list")
    yield _of("labels written as JSON, and label_format: comma", written, label_format="comma")
    numpy = [dict(row, skills="['welding' 'saw']") for row in ads()]
    yield _of("labels as numpy prints them", numpy, label_format="json")
    yield _of("labels that are an object", ads(ad(50, skills={"a": "Go"})), JSONS)
    yield _of("a label that is null", ads(ad(50, skills=["coding", None])), (*JSONS, "parquet"))
    yield _of("a label that is a number", ads(ad(50, skills=["coding", 3])), JSONS)
    yield _of("labels nested too deep", ads(ad(50, skills="[" * 100_000)), (*JSONS, *CELLS), label_format="json")


def _rows() -> Iterator[Case]:
    yield _of("an id of two texts", ads(ad(50, id="ad-2")))
    yield _of("a row that is there twice", ads(ad(2)))
    yield _of("a NUL within a text", ads(ad(50, job_description="Shop \0 wants coding.", skills=["coding"])))
    yield _changed("NUL bytes behind the last row", lambda text: text + bytes(300), (*JSONS, *CELLS))
    yield _changed("NUL bytes in place of the file", lambda text: bytes(len(text)))
    yield _changed("NUL bytes in place of its second half", lambda text: _half(text) + bytes(len(_half(text))))
    deep = b'{"id": "deep", "job_description": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    yield _changed("nested 100,000 deep", lambda text: _inserted(text, deep), JSONS)
    number = b'{"id": ' + b"9" * 5000 + b', "job_description": "Cook"}'
    yield _changed("a number of 5,000 digits", lambda text: _inserted(text, number), JSONS)
    half = b'{"id": "half", "job_description": "Shop \\ud83d wants coding.", "skills": ["coding"]}'
    yield _changed("half a surrogate pair", lambda text: _inserted(text, half), JSONS)
    yield _changed("a line that is no JSON", lambda text: _inserted(text, b"oops"), JSONS)
    yield _changed("a line that is a list", lambda text: _inserted(text, b'["Cook", "Go"]'), JSONS)


def _inserted(text: bytes, line: bytes) -> bytes:
    """One more row, as the sixth, in JSON lines or in a list."""
    lines = text.split(b"\n")
    listed = lines[0] == b"["
    lines.insert(5 + listed, line + (b"," if listed else b""))
    return b"\n".join(lines)


def _shares() -> Iterator[Case]:
    blank = [ad(50 + number, job_description="-") for number in range(3)]
    yield _of("more rows are bad than max_rejected allows", ads(*blank))
    yield _of("as many are bad as max_rejected allows", ads(*blank), max_rejected=0.25)
    yield _of("all rows are bad", [dict(row, job_description="-") for row in ads()])
    yield _of("all rows are bad, and max_rejected allows it", blank, max_rejected=1.0)


def _dates() -> Iterator[Case]:
    def case(title: str, *values: Any, readers: tuple[str, ...] = READERS, column: str = "posted") -> Case:
        rows = ads(*(ad(50 + number, posted=value) for number, value in enumerate(values)))
        return Case(title, lambda kind: encode(kind, rows), readers, {"date_column": column}, "2026-02")

    yield case("a date that is a word", "yesterday")
    yield case("a date that is null", None)
    yield case("a date that can be read in two ways", "03/04/2026")
    yield case("a date that is no day of the calendar", "2026-02-30")
    yield case("a date that is only a month", "2026-02")
    yield case("a date that is an object", {"day": 1}, readers=JSONS)
    yield case("more dates are none than max_rejected allows", "soon", "now", "TBD")
    yield case("no date column", column="published")
    bad = [dict(row, posted="soon") for row in ads()]
    yield Case("no date is one", lambda kind: encode(kind, bad), READERS, {"date_column": "posted"}, "2026-02")
    yield Case(
        "a bad row in a file that is cut by a date column",
        lambda kind: encode(kind, ads(ad(50, job_description="-", posted="2026-02-09"))),
        READERS,
        {"date_column": "posted", "max_rejected": 0.2},
        "2026-02",
    )


def _other_formats() -> Iterator[Case]:
    zipped = b"PK\x03\x04\x14\x00\x00\x00ads.csv"
    yield Case("a zip archive by another name", lambda _: zipped)
    yield _whole("a packed zip archive", zipped, PACKED)
    yield _whole("gzip by another name", packed(b"{}"), (*PLAIN, "parquet"))
    yield Case("packed twice", lambda kind: packed(encode(kind, ads())), PACKED)
    yield Case("not packed", lambda kind: encode(kind.removesuffix(".gz"), ads()), PACKED)
    yield _whole("Parquet by another name", parquet(ads()), TEXTS)
    yield Case(
        "CSV by another name", lambda kind: _as(kind, "csv"), ("jsonl", "json", "parquet", "jsonl.gz", "json.gz")
    )
    yield Case("JSON lines by another name", lambda kind: _as(kind, "jsonl"), ("json", "json.gz", *CELLS, "parquet"))
    yield Case("a JSON list by another name", lambda kind: _as(kind, "json"), ("jsonl", "jsonl.gz", *CELLS))
    pretty = json.dumps(ads(), indent=1).encode()
    yield _whole("a JSON list over many lines by another name", pretty, ("jsonl", "jsonl.gz", *CELLS))
    objects = "\n".join(json.dumps(row, indent=1) for row in ads()).encode()
    yield _whole("JSON objects over many lines", objects, JSONS)
    held = json.dumps({"data": ads()}).encode()
    yield _whole("a JSON object that holds the rows", held, ("json", "json.gz"))
    columns = json.dumps({"job_description": {"0": "Cook"}}, indent=1).encode()
    yield _whole("a JSON object of columns", columns, ("json", "json.gz"))
    yield _whole("a web page", b"<!DOCTYPE html>\n<html><body>404, not found</body></html>\n", (*TEXTS, "parquet"))
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    yield _whole("a pointer of Git LFS", pointer, (*TEXTS, "parquet"))


def _as(kind: str, other: str) -> bytes:
    return encode(other + (".gz" if kind.endswith(".gz") else ""), ads())


def _long() -> Iterator[Case]:
    long = "Shop wants coding. " + "x" * (17 << 20)
    yield _of("a row of 17 MB", ads(ad(50, job_description=long)))
    yield _changed("a line of 17 MB without a quote", lambda text: _inserted(text, b"x" * (17 << 20)), JSONS)
    yield _changed("a first line of 17 MB", lambda _: b"x" * (17 << 20))
    opened = b'"' + (b"x" * 999 + b"\n") * (17 << 10)
    yield _changed("a quote that stays open for 17 MB", lambda text: text + opened, CELLS)
    unclosed = b'{"job_description": "' + b"x" * (17 << 20)
    yield _changed("a string that stays open for 17 MB", lambda text: _inserted(text, unclosed), JSONS)


def all_cases() -> list[Case]:
    groups: Iterable[Iterator[Case]] = (
        _nothing(),
        _truncated(),
        _encodings(),
        _columns(),
        _labels(),
        _rows(),
        _shares(),
        _dates(),
        _other_formats(),
        _long(),
    )
    return [case for group in groups for case in group]
