"""What `extract` reads, and what it says about what it cannot read."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skillsengine.serving.texts import MAX_TEXT, Kind, Text, Texts, Unread
from skillsengine.sources.errors import SourceError


def read(*sources: object, stdin: bytes = b"", field: str = "job_description", kind: Kind | None = None) -> Texts:
    return Texts(list(map(str, sources)), text_field=field, id_field="id", kind=kind, stdin=io.BytesIO(stdin))


def told(texts: Texts) -> list[tuple[str, str] | str]:
    """(id, text) of ads, and what is said of others."""
    return [(item.id, item.text) if isinstance(item, Text) else item.told for item in texts]


def rows(*ads: object) -> bytes:
    return "".join(json.dumps({"job_description": ad}) + "\n" for ad in ads).encode()


def test_a_text_file_is_one_ad(tmp_path: Path) -> None:
    ad = tmp_path / "ad.txt"
    ad.write_bytes(b"\xef\xbb\xbfA welder.\nAt once.\n")
    texts = read(ad)
    assert texts.single and list(texts) == [Text(str(ad), None, str(ad), "A welder.\nAt once.\n", 1.0)]
    page = tmp_path / "ad.htm"
    page.write_text("<!doctype html><p>A welder.</p>")
    assert told(read(page)) == [(str(page), "<!doctype html><p>A welder.</p>")]


def test_standard_input_is_one_ad_or_json_lines(tmp_path: Path) -> None:
    assert list(read("-", stdin=b"A welder.\n")) == [Text("-", None, "-", "A welder.\n", None)]
    lines = b'\n{"id": 7, "job_description": "A welder."}\n\n' + rows("A nurse.")
    assert list(read("-", stdin=lines)) == [
        Text("-", 2, "7", "A welder.", None),
        Text("-", 4, "standard input:4", "A nurse.", None),
    ]
    assert told(read("-", stdin=b'{"a": 1} is no ad', kind="text")) == [("-", '{"a": 1} is no ad')]


def test_every_format_of_rows(tmp_path: Path) -> None:
    names = ("ads.jsonl", "ads.json", "ads.csv", "ads.parquet", "ads.jsonl.gz")
    jsonl, listed, csv, parquet, packed = (tmp_path / name for name in names)
    jsonl.write_bytes(rows("one", "two"))
    listed.write_text(json.dumps([{"job_description": "one"}, {"job_description": "two"}]))
    csv.write_text('id,job_description\na,one\nb,"two"\n')
    pa.parquet.write_table(pa.table({"job_description": ["one", "two"]}), parquet)
    packed.write_bytes(gzip.compress(rows("one", "two")))
    for file in (jsonl, listed, parquet, packed):
        assert told(read(file)) == [(f"{file}:1", "one"), (f"{file}:2", "two")]
    assert told(read(csv)) == [("a", "one"), ("b", "two")]
    assert not read(jsonl).single
    shares = [item.share for item in read(jsonl, csv) if isinstance(item, Text)]
    assert all(share is not None for share in shares) and shares[-1] == 1.0 and shares[0] < 1.0  # type: ignore[operator]


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "a.jsonl").write_bytes(rows("one"))
    (tmp_path / "c.md").write_text("three")
    (tmp_path / "ads.zip").write_bytes(b"PK")
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.txt").write_text("no")
    (tmp_path / "inner").mkdir()
    texts = read(tmp_path)
    assert [text for _, text in told(texts)] == ["one", "two", "three"]  # type: ignore[misc]
    assert texts.notes == [f"{tmp_path}: 2 files are left out: ads.zip (unpack it), logo.png"]


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere.txt: no such file. Name a text file with one ad, a file of rows"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(
        SourceError, match=r"no ads in this folder \(it is empty\). Read are text files .*folders in it"
    ):
        read(tmp_path)
    (tmp_path / "logo.png").write_bytes(b"")
    with pytest.raises(SourceError, match=r"no ads in this folder \(it holds logo.png\)"):
        read(tmp_path)


WRONG = [
    ("empty.txt", b" \n", "empty.txt: empty; there is no ad to read."),
    ("empty.jsonl", b"\n", "empty.jsonl: empty; there is no ad to read."),
    ("a.txt", b"Caf\xe9.\n", "a.txt:1: not UTF-8: byte 0xe9. Convert it first, for example: iconv -f WINDOWS-1252"),
    ("b.txt", b"one\ntwo\nCaf\xe9.", "b.txt:3: not UTF-8"),
    ("c.txt", b"\x7fELF\0\0\1", "c.txt: no text, for NUL bytes stand in it"),
    ("d.txt", b"PK\x03\x04....", "d.txt: it is a zip archive"),
    ("e.txt", b"%PDF-1.7", "e.txt: it is a PDF"),
    ("f.txt", "x".encode("utf-16"), "f.txt: it is UTF-16 text"),
    ("g.txt", b"x" * (MAX_TEXT + 1), "g.txt: over 100,000 characters, which no ad has. If many ads stand in it"),
    ("h.jsonl", b"{", 'h.jsonl:1: not JSON: it ends before its object does. Each line is one object, such as {"job'),
    ("i.jsonl", b"[]\n", "i.jsonl:1: not a JSON object: it is a list. Each line is one object"),
    (
        "j.jsonl",
        b'{"text": "x"}',
        "j.jsonl:1: no field `job_description`: there are `text`. Name the ad's own with --text-f",
    ),
    ("k.jsonl", b'{"job_description": 7}', "k.jsonl:1: the text is not a string: `job_description` is a number."),
    ("l.jsonl", b'{"job_description": null}', "l.jsonl:1: the text is missing: `job_description` is null."),
    (
        "m.jsonl",
        b'{"job_description": "\xe9"}',
        "m.jsonl:1: not UTF-8: byte 0xe9 at position 22. Convert the file first",
    ),
    (
        "n.jsonl",
        rows("x" * (MAX_TEXT + 1)),
        "n.jsonl:1: the text is too long: 100,001 characters; 100,000 are read. Part",
    ),
    ("o.csv", b"job_description,b\nx\n", "o.csv:2: mixed columns: 1 cell, the header has 2. Mend the row"),
    ("p.csv", b'{"job_description": "x"}', "p.csv: it is JSON, though its name says CSV. Let its name end in .jsonl"),
    ("q.parquet", b"none", "q.parquet: it is no Parquet file"),
    ("r.jsonl.gz", b"none", "r.jsonl.gz: it is not packed"),
]


@pytest.mark.parametrize(("name", "content", "words"), WRONG, ids=[name for name, _, _ in WRONG])
def test_what_cannot_be_read_is_told_with_its_place_and_the_mend(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "z.txt").write_text("A welder.")
    wrong, good = told(read(tmp_path / name, tmp_path / "z.txt"))
    assert isinstance(wrong, str) and f"{tmp_path}/{words}" in wrong
    assert good == (str(tmp_path / "z.txt"), "A welder.")


def test_a_line_without_end_is_passed_over_and_never_held() -> None:
    """Four times as much as a row may have, in one line; then an ad."""

    class Endless(io.RawIOBase):
        left = 1 << 26

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1, /) -> bytes:  # type: ignore[override]
            if self.left > 0:
                first, self.left = self.left == 1 << 26, self.left - (1 << 20)
                return (
                    (b'{"job_description": "' if first else b"x" * (1 << 20))
                    if self.left
                    else b'"}\n' + rows("A nurse.")
                )
            return b""

    texts = Texts(["-"], text_field="job_description", id_field="id", kind=None, stdin=Endless())  # type: ignore[arg-type]
    wrong, good = told(texts)
    assert wrong == (
        "standard input:1: the row is too long: over 16 MB; it was passed over unread. No ad is so long: is a line break "
        "missing?"
    )
    assert good == ("standard input:2", "A nurse.")


LINES = st.lists(
    st.one_of(
        st.text().map(lambda text: ("ad", json.dumps({"job_description": text}, ensure_ascii=False).encode())),
        st.text().map(lambda text: ("ad", json.dumps({"job_description": text}).encode())),
        st.sampled_from([b"", b"  ", b"\t"]).map(lambda line: ("blank", line)),
        st.binary().map(lambda raw: ("bad", b"\xe9" + raw.replace(b"\n", b"").replace(b"\r", b""))),
        st.sampled_from([b"{", b"7", b'"x"', b"null", b'{"job_description": 3}', b"{}"]).map(
            lambda line: ("bad", line)
        ),
    )
)


@given(LINES, st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_each_line_is_an_ad_or_told_whatever_stands_beside_it(
    lines: list[tuple[str, bytes]], end: bytes, last: bool
) -> None:
    # Long enough that nothing behind it is taken for what the whole input is.
    lines = [("ad", json.dumps({"job_description": "first " * 20}).encode()), *lines]
    content = end.join(line for _, line in lines) + (end if last else b"")
    found = list(read("-", stdin=content, kind="jsonl"))
    wanted = [(number, kind, line) for number, (kind, line) in enumerate(lines, 1) if kind != "blank"]
    assert len(found) == len(wanted)
    for item, (number, kind, line) in zip(found, wanted, strict=True):
        if kind == "ad":
            assert isinstance(item, Text) and item.line == number
            assert item.text == json.loads(line)["job_description"]
        else:
            assert isinstance(item, Unread) and item.told.startswith(f"standard input:{number}: ")
