"""Streaming of a data source's records as documents.

Reads the files of a source in the order given; a text file is one document, because blank lines separate
paragraphs, not texts. Strict: a line that is not JSON, a record without the text field or bytes that are not
UTF-8 end the stage, with file, place and cause of the first three faults. Knows nothing of tokens or of what
is worth keeping.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelrefresh.contract import printable
from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.corpus.reading import data_files, data_streams, dates, parquet_rows
from modelrefresh_jobs.corpus.reading.data_streams import FaultError
from modelrefresh_jobs.process import errors

DATE_FIELDS = ("date", "published", "published_at", "publishedAt", "timestamp", "created_at")
"""Fields of a record that may hold its date; the first readable one counts."""
_FAULTS = 3
_FAULT_SHOWN = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text with its date, where the record has a readable one."""

    text: str
    date: dt.datetime | None = None
    """In UTC."""
    claims_date: bool = False
    """Whether the record has a date at all, readable or not."""


def read(files: Sequence[data_files.DataFile], *, text_field: str) -> Iterator[Document]:
    """All documents of these files.

    Raises:
        StageError: DataUnreadable, when records or files cannot be used: at the third fault, or at the end.
    """
    faults: list[str] = []
    kinds: set[str] = set()
    for file in files:
        for item in _items(file, text_field):
            if isinstance(item, Document):
                yield item
                continue
            faults.append(printable.line(str(item))[:_FAULT_SHOWN])
            kinds.add(file.kind)
            if len(faults) == _FAULTS:
                raise _unreadable(faults, kinds, text_field)
    if faults:
        raise _unreadable(faults, kinds, text_field)


def _unreadable(faults: list[str], kinds: set[str], text_field: str) -> errors.StageError:
    advice = f"records in UTF-8 with a string field {text_field!r}; repair these files or set spec.data.textField"
    if kinds == {".txt"}:
        advice = "text in UTF-8; convert or remove these files"
    return errors.StageError(StageReason.DATA_UNREADABLE, f"{'; '.join(faults)}. Expected {advice}.")


def _items(file: data_files.DataFile, text_field: str) -> Iterator[Document | FaultError]:
    try:
        if file.kind == ".parquet":
            for where, record in parquet_rows.rows(file.path, text_field=text_field, others=DATE_FIELDS):
                yield _document(record, text_field, where=where)
        else:
            yield from _unpacked(file, text_field)
    except FaultError as fault:
        yield fault
    except FileNotFoundError:
        yield FaultError(f"{file.path}: gone since the folder was listed")


def _unpacked(file: data_files.DataFile, text_field: str) -> Iterator[Document | FaultError]:
    with data_streams.opened(file) as stream:
        if file.kind == ".txt":
            yield Document(text=data_streams.whole(stream, file.path))
        elif file.kind == ".json":
            for where, value in data_streams.values(stream, file.path):
                yield _document(value, text_field, where=where)
        else:
            for where, line in data_streams.lines(stream, file.path):
                yield _from_line(line, text_field, where=where)


def _from_line(line: bytes, text_field: str, *, where: str) -> Document | FaultError:
    try:
        return _document(data_streams.parsed(line, where=where), text_field, where=where)
    except FaultError as fault:
        return fault


def _document(record: object, text_field: str, *, where: str) -> Document | FaultError:
    if not isinstance(record, dict):
        return FaultError(f"{where}: expected an object, saw {type(record).__name__}")
    text = record.get(text_field)
    if not isinstance(text, str):
        return FaultError(f"{where}: no text: {_field_fault(record, text_field)}")
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as error:
        return FaultError(f"{where}: character {error.start} is half of one, which no UTF-8 holds")
    claims = [record[name] for name in DATE_FIELDS if record.get(name) not in (None, "")]
    found = (dates.parse(claim) for claim in claims)
    return Document(text=text, date=next((date for date in found if date), None), claims_date=bool(claims))


def _field_fault(record: Mapping[str, Any], text_field: str) -> str:
    if text_field in record:
        return f"{text_field!r} is {type(record[text_field]).__name__}"
    return f"{text_field!r} is not among its {len(record)} fields"
