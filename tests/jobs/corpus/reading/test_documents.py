"""Documents: what a file of each kind gives, and what is said of one that cannot be read."""

import gzip
import io
import json
import os
import pathlib
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelrefresh_jobs.corpus.reading import data_files, data_streams, documents
from modelrefresh_jobs.process.errors import StageError

FIRST, SECOND = {"text": "the first text", "date": "2026-01-01"}, {"text": "der zweite Text, schön"}
LINES = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in (FIRST, SECOND)).encode()
TEXTS = [FIRST["text"], SECOND["text"]]


def read(path: pathlib.Path, content: bytes) -> list[documents.Document]:
    path.write_bytes(content)
    return list(documents.read(data_files.find(path).files, text_field="text"))


def fault(path: pathlib.Path, content: bytes) -> str:
    with pytest.raises(StageError) as caught:
        read(path, content)
    assert caught.value.reason == "DataUnreadable"
    return str(caught.value)


def zstd(content: bytes) -> bytes:
    return bytes(pa.compress(content, codec="zstd", asbytes=True))


def parquet(**columns: object) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "json"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_lines_are_records_packed_or_not(tmp_path: pathlib.Path, kind: str, mark: bytes) -> None:
    for suffix, packed in {"": bytes, ".gz": gzip.compress, ".zst": zstd, ".GZ": gzip.compress}.items():
        found = read(tmp_path / f"a.{kind}{suffix}", packed(mark + LINES))
        assert [item.text for item in found] == TEXTS


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([FIRST, SECOND]),
        json.dumps([FIRST, SECOND], indent=4),
        json.dumps(FIRST, indent=4) + "\r\n" + json.dumps(SECOND),
        f" [ {json.dumps(FIRST)},\n\n{json.dumps(SECOND)}\n]\n",
    ],
    ids=["array", "indented array", "indented records", "array of lines"],
)
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_a_json_file_is_an_array_or_one_record_after_the_other(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, content: str, chunk: int
) -> None:
    monkeypatch.setattr(data_streams, "_CHUNK", chunk)
    assert [item.text for item in read(tmp_path / "a.json", content.encode())] == TEXTS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"text": "a"}', "after record 1: expected a comma or ]"),
        (b'[{"text": "a"} {"text": "b"}]', "after record 1: expected a comma"),
        (b'[{"text": "a"},]', "record 2: not JSON"),
        (b'[{"text": "a"}] more', "after record 1: expected the end"),
        (b'{"text": "a"}, {"text": "b"}', "record 2: not JSON"),
        (b'{"text": "cut', "record 1: not JSON"),
        (b'"a text"', "record 1: expected an object, saw str"),
        (b'{"text": "\xff"}', "not UTF-8"),
    ],
)
def test_a_broken_json_file_is_told_by_record(tmp_path: pathlib.Path, content: bytes, said: str) -> None:
    message = fault(tmp_path / "a.json", content)
    assert str(tmp_path / "a.json") in message
    assert said in message


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (b'{"text": "a", "x": ' + b"9" * 6000 + b"}", "not JSON (a number of too many digits"),
        (b'{"text": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON (nested too deeply"),
        (rb'{"text": "a\ud800b"}', "character 1 is half of one"),
        (b'{"text": null}', "'text' is NoneType"),
        (b'{"' + b"k" * 9000 + b'": 1}', "not among its 1 fields"),
        (b'{"text": "\xe9"}', "byte 10 is not UTF-8"),
    ],
    ids=["digits", "depth", "half a character", "null", "long name", "latin-1"],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_a_record_that_python_refuses_is_a_fault_of_its_line(
    tmp_path: pathlib.Path, record: bytes, said: str, name: str
) -> None:
    packed = {".gz": gzip.compress, ".zst": zstd}.get(pathlib.Path(name).suffix, bytes)
    message = fault(tmp_path / name, packed(LINES + record + b"\n"))
    assert f"{tmp_path / name}:3" in message
    assert said in message
    assert len(message) < 1000


@pytest.mark.parametrize("place", [10, -8, -4, 40])
def test_a_damaged_archive_is_told_by_its_name(tmp_path: pathlib.Path, place: int) -> None:
    content = bytearray(gzip.compress(LINES * 50, mtime=0))
    content[place] ^= 0xFF
    assert "a.jsonl.gz" in fault(tmp_path / "a.jsonl.gz", bytes(content))


@pytest.mark.parametrize(("name", "packed"), [("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstd)])
def test_an_archive_that_ends_too_early_is_a_fault(tmp_path: pathlib.Path, name: str, packed: type[bytes]) -> None:
    assert "not a complete" in fault(tmp_path / name, packed(LINES * 50)[:-9])


@pytest.mark.parametrize(("name", "content"), [("a.jsonl.gz", b'{"text": "'), ("a.json.gz", b'["'), ("a.txt.gz", b"")])
def test_a_small_archive_of_one_endless_record_is_refused_and_not_held(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    monkeypatch.setattr(data_streams, "LIMIT", 1 << 20)
    assert f"more than {1 << 20}" in fault(tmp_path / name, gzip.compress(content + b"x" * (9 << 20)))


def test_a_parquet_text_that_is_not_utf8_is_told_by_row(tmp_path: pathlib.Path) -> None:
    raw = pa.array([b"fine", b"also fine", b"not \xff fine"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    message = fault(tmp_path / "a.parquet", parquet(text=text))
    assert f"{tmp_path / 'a.parquet'} row 3: byte 4 of 'text' is not UTF-8" in message


@pytest.mark.parametrize("place", [8, 12])
def test_a_parquet_file_with_a_damaged_page_is_told_by_name(tmp_path: pathlib.Path, place: int) -> None:
    content = bytearray(parquet(text=[f"text number {number}" for number in range(400)]))
    content[place : place + 4] = struct.pack("<I", 0xFFFFFFFF)
    assert "a.parquet: not a readable parquet file" in fault(tmp_path / "a.parquet", bytes(content))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**40], pa.timestamp("s")),
        pa.array([-(2**40)], pa.timestamp("s")),
        pa.array([2**31 - 1], pa.date32()),
        pa.array([2**62], pa.timestamp("us")),
        pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
        pa.array([1_700_000_000], pa.timestamp("s", tz="Nowhere/Land")),
    ],
)
def test_a_parquet_date_of_any_size_or_zone_ends_no_stage(tmp_path: pathlib.Path, column: pa.Array) -> None:
    found = read(tmp_path / "a.parquet", parquet(text=["a text"], timestamp=column))
    assert [(item.text, item.claims_date) for item in found] == [("a text", True)]


def test_the_first_field_that_holds_a_date_is_the_date(tmp_path: pathlib.Path) -> None:
    record = {"text": "a", "date": "yesterday", "published": "", "timestamp": 1_700_000_000}
    (found,) = read(tmp_path / "a.jsonl", json.dumps(record).encode())
    assert found.date is not None
    assert found.date.isoformat() == "2023-11-14T22:13:20+00:00"


def test_text_files_are_not_sent_to_the_field_of_records(tmp_path: pathlib.Path) -> None:
    assert "text in UTF-8; convert or remove these files" in fault(tmp_path / "a.txt", b"caf\xe9")
    assert "spec.data.textField" in fault(tmp_path / "b.jsonl", b"{}")


def test_a_file_that_vanishes_after_it_was_listed_is_a_fault(tmp_path: pathlib.Path) -> None:
    for name in ("a.jsonl", "b.parquet", "c.txt.gz"):
        (tmp_path / name).write_bytes(b"")
    files = data_files.find(tmp_path).files
    for file in files:
        file.path.unlink()
    with pytest.raises(StageError, match=r"a\.jsonl: gone.*b\.parquet: gone.*c\.txt\.gz: gone"):
        list(documents.read(files, text_field="text"))


def test_a_name_that_is_no_text_is_still_told(tmp_path: pathlib.Path) -> None:
    path = pathlib.Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))
    assert r"\udcff.jsonl:1: not JSON" in fault(path, b"no")
