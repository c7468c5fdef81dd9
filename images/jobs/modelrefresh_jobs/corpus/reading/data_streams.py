"""Streaming of records from a data file, whatever its compression.

What is held of one record is bounded (`LIMIT`), so that a small archive of one endless line cannot fill the
memory. What is wrong with the bytes is a `FaultError` that names file and place; errors of the disk stay what they are.
Knows nothing of fields and dates.
"""

import codecs
import contextlib
import gzip
import io
import json
import pathlib
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.corpus.reading import data_files
from modelrefresh_jobs.process import guarded_files

LIMIT = 64 * 1024 * 1024
"""Most bytes of one line or one text file; characters after which no more of one .json record is read. Unpacked."""
_BOM = codecs.BOM_UTF8
_CHUNK = 1 << 16
_SPACE = " \t\r\n"


class FaultError(Exception):
    """One record or file cannot be used; the message says where, and what was found."""


@contextlib.contextmanager
def opened(file: data_files.DataFile) -> Iterator[BinaryIO]:
    """The file's unpacked bytes.

    Raises:
        FaultError: when the compressed file is damaged, also while it is read in the block.
        StageError: DataUnreadable, when it is no regular file or outside of what may be read.
    """
    try:
        with _open(file.path, file.compression) as stream:
            yield stream
    except (EOFError, zlib.error) as error:
        raise FaultError(f"{file.path}: not a complete {file.compression} file ({error})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise FaultError(f"{file.path}: not a complete {file.compression} file ({error})") from error


def lines(stream: BinaryIO, path: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """Lines that are not blank as (`path:number`, bytes), numbered from 1, without a byte order mark.

    Raises:
        FaultError: when a line has more than `LIMIT` bytes.
    """
    number = 0
    while line := stream.readline(LIMIT + 1):
        number += 1
        if len(line) > LIMIT:
            raise FaultError(f"{path}:{number}: a line of more than {LIMIT} bytes")
        line = line.removeprefix(_BOM) if number == 1 else line
        if line.strip():
            yield f"{path}:{number}", line


def whole(stream: BinaryIO, path: pathlib.Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        FaultError: when it has more than `LIMIT` bytes or is not UTF-8.
    """
    content = stream.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise FaultError(f"{path}: a text file is one document, and this has more than {LIMIT} bytes; split it")
    try:
        return content.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise FaultError(f"{path}: byte {error.start} is not UTF-8 ({error.reason})") from error


def parsed(line: bytes, *, where: str) -> object:
    """The JSON value of a line.

    Raises:
        FaultError: when it holds none, or one that is nested too deeply or has a number of too many digits.
    """
    try:
        return json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise FaultError(f"{where}: byte {error.start} is not UTF-8 ({error.reason})") from error
    except (ValueError, RecursionError) as error:
        raise _not_json(error, where=where) from error


def values(stream: BinaryIO, path: pathlib.Path) -> Iterator[tuple[str, object]]:
    """Values of a JSON file as (`path record number`, value), from 1: the items of an array, or concatenated values.

    Raises:
        FaultError: when it is not JSON in UTF-8, or a record does not end within `LIMIT`.
    """
    text, number = _Text(stream, path), 0
    listed = text.skipped("[")
    while not text.skipped("]") if listed else text.next():
        if listed and number and not text.skipped(","):
            raise FaultError(f"{path} after record {number}: expected a comma or ]")
        number += 1
        where = f"{path} record {number}"
        yield where, text.value(where=where)
    if text.next():
        raise FaultError(f"{path} after record {number}: expected the end")


class _Text:
    """A JSON text, held in memory only as far as the value being read needs."""

    def __init__(self, stream: BinaryIO, path: pathlib.Path) -> None:
        self._stream, self._path = stream, path
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._json = json.JSONDecoder()
        self._held, self._at, self._ended = "", 0, False

    def next(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._held):
                if (character := self._held[self._at]) not in _SPACE:
                    return character
                self._at += 1
            if self._ended:
                return ""
            self._more()

    def skipped(self, character: str) -> bool:
        """Step over this character if it comes next."""
        found = self.next() == character
        self._at += found
        return found

    def value(self, *, where: str) -> object:
        """The value that comes next."""
        self.next()
        while True:
            try:
                found, self._at = self._json.raw_decode(self._held, self._at)
            except json.JSONDecodeError as error:
                if self._ended:
                    raise _not_json(error, where=where) from error
                if len(self._held) - self._at > LIMIT:
                    raise FaultError(f"{where}: more than {LIMIT} characters, or not JSON ({error.msg})") from error
                self._more()
            except (ValueError, RecursionError) as error:
                raise _not_json(error, where=where) from error
            else:
                return found

    def _more(self) -> None:
        # As much again as is held, so the attempts to parse one large value stay few.
        rest = self._held[self._at :]
        content = self._stream.read(max(_CHUNK, len(rest)))
        self._ended = not content
        try:
            self._held, self._at = rest + self._decode(content, final=self._ended), 0
        except UnicodeDecodeError as error:
            raise FaultError(f"{self._path}: not UTF-8 ({error.reason})") from error


@contextlib.contextmanager
def _open(path: pathlib.Path, compression: str) -> Iterator[BinaryIO]:
    with io.BufferedReader(guarded_files.opened(path, reason=StageReason.DATA_UNREADABLE)) as file:
        if compression == ".gz":
            with gzip.open(file, "rb") as stream:
                yield cast("BinaryIO", stream)
        elif compression == ".zst":
            import pyarrow as pa

            yield cast("BinaryIO", io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd")))
        else:
            yield cast("BinaryIO", file)


def _not_json(error: ValueError | RecursionError, *, where: str) -> FaultError:
    """Says where and why, never what was read: others than the file's readers see the message."""
    fault = "a number of too many digits"
    if isinstance(error, json.JSONDecodeError):
        fault = f"{error.msg} at character {error.pos}"
    elif isinstance(error, RecursionError):
        fault = "nested too deeply"
    return FaultError(f"{where}: not JSON ({fault})")
