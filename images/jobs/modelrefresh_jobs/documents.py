"""Records of a data source as documents, streamed from disk.

Reads `.jsonl`, `.jsonl.gz`, `.parquet` and `.txt` files below a path, in the order of their
names; a `.txt` file is one document, because blank lines separate paragraphs, not texts.
Other files are ignored. Strict: a line that is not JSON, a record without the text field or
bytes that are not UTF-8 end the stage, with file, line and what was seen for the first
three faults. Knows nothing of tokens or of what is worth keeping.
"""

import datetime as dt
import gzip
import json
import logging
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

from modelrefresh_jobs import failures

LOG = logging.getLogger("modelrefresh.jobs")
DATE_FIELDS = ("date", "published", "published_at", "publishedAt", "timestamp", "created_at")
"""Fields of a record that may hold its date; the first one present counts."""
_SUFFIXES = (".jsonl", ".jsonl.gz", ".parquet", ".txt")
_FAULTS = 3
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One text with its date, where the record carries a readable one."""

    text: str
    date: dt.datetime | None = None


class _FaultError(Exception):
    """One record cannot be used; the message says where and what was seen."""


def files(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The data files at or below this path, by name."""
    if path.is_file():
        return (path,)
    found = sorted(item for item in path.rglob("*") if item.is_file() and not item.name.startswith("."))
    kept = tuple(item for item in found if item.name.endswith(_SUFFIXES))
    if len(kept) < len(found):
        LOG.info("%s: %d files are not %s and are ignored", path, len(found) - len(kept), ", ".join(_SUFFIXES))
    return kept


def read(path: pathlib.Path, *, text_field: str) -> Iterator[Document]:
    """All documents at or below this path.

    Raises:
        StageError: DataUnreadable, after the first three faults or at the end if there are fewer.
    """
    faults: list[str] = []
    for file in files(path):
        for item in _records(file, text_field):
            if isinstance(item, Document):
                yield item
                continue
            faults.append(str(item))
            if len(faults) == _FAULTS:
                raise _unreadable(faults, text_field)
    if faults:
        raise _unreadable(faults, text_field)


def parse_date(value: object) -> dt.datetime | None:
    """An ISO date or time as an aware UTC time; None for anything else."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if not isinstance(value, dt.datetime):
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return aware.astimezone(dt.UTC)


def _unreadable(faults: list[str], text_field: str) -> failures.StageError:
    return failures.StageError(
        "DataUnreadable",
        f"{'; '.join(faults)}. Expected UTF-8 records with a string field {text_field!r}; "
        "repair these files or set spec.data.textField.",
    )


def _records(file: pathlib.Path, text_field: str) -> Iterator[Document | _FaultError]:
    if file.name.endswith(".parquet"):
        return _parquet(file, text_field)
    if file.name.endswith(".txt"):
        return _text(file)
    return _jsonl(file, text_field)


def _text(file: pathlib.Path) -> Iterator[Document | _FaultError]:
    try:
        yield Document(text=file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        yield _FaultError(f"{file}: byte {error.start} is not UTF-8 ({error.reason})")


def _jsonl(file: pathlib.Path, text_field: str) -> Iterator[Document | _FaultError]:
    opener = gzip.open if file.name.endswith(".gz") else open
    try:
        with opener(file, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _parsed(line, text_field, where=f"{file}:{number}")
    except (gzip.BadGzipFile, EOFError) as error:
        yield _FaultError(f"{file}: not a complete gzip file ({error})")


def _parsed(line: bytes, text_field: str, *, where: str) -> Document | _FaultError:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return _FaultError(f"{where}: byte {error.start} is not UTF-8 ({error.reason})")
    except json.JSONDecodeError as error:
        return _FaultError(f"{where}: not JSON ({error.msg}): {line[:_SHOWN]!r}")
    if not isinstance(record, dict):
        return _FaultError(f"{where}: expected an object, saw {type(record).__name__}")
    return _document(record, text_field, where=where)


def _document(record: dict[str, object], text_field: str, *, where: str) -> Document | _FaultError:
    text = record.get(text_field)
    if not isinstance(text, str):
        seen = f"{text_field!r} is {type(text).__name__}" if text_field in record else f"fields {sorted(record)[:8]}"
        return _FaultError(f"{where}: no text: {seen}")
    dated = next((record[name] for name in DATE_FIELDS if record.get(name) is not None), None)
    return Document(text=text, date=parse_date(dated))


def _parquet(file: pathlib.Path, text_field: str) -> Iterator[Document | _FaultError]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            columns = [name for name in (text_field, *DATE_FIELDS) if name in names]
            if text_field not in names:
                yield _FaultError(f"{file}: no column {text_field!r}; columns are {names[:8]}")
                return
            row = 0
            for batch in table.iter_batches(columns=columns):
                for record in batch.to_pylist():
                    row += 1
                    yield _document(record, text_field, where=f"{file} row {row}")
    except pa.ArrowException as error:
        yield _FaultError(f"{file}: not a readable parquet file ({error})")
