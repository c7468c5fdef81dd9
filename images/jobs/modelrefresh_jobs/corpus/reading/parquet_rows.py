"""Streaming of a parquet file's rows as records of a few columns.

Values are taken one by one: a text that is not UTF-8 is a fault that ends its file, a date beyond
Python's calendar becomes `BEYOND`. Knows nothing of which fields mean what.
"""

import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.corpus.reading.data_streams import FaultError
from modelrefresh_jobs.process import guarded_files

BEYOND = "beyond the calendar"
"""Stands for a date or time that Python cannot represent, or of an unknown zone."""
_ROWS = 256
"""Rows held in memory at once."""


def rows(path: pathlib.Path, *, text_field: str, others: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row as (`path row number`, values by column), numbered from 1.

    Columns of `others` that the file lacks or has twice are left out.

    Raises:
        FaultError: when it is no readable parquet file, the text column is missing or doubled, or a text is not UTF-8.
        StageError: DataUnreadable, when it is no regular file or outside of what may be read.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with guarded_files.opened(path, reason=StageReason.DATA_UNREADABLE) as file, parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            if names.count(text_field) != 1:
                seen = "twice" if text_field in names else "not"
                raise FaultError(f"{path}: column {text_field!r} is {seen} among its {len(names)} columns")
            columns = [text_field, *(name for name in others if names.count(name) == 1)]
            row = 0
            for batch in table.iter_batches(columns=columns, batch_size=_ROWS):
                for index in range(batch.num_rows):
                    row += 1
                    where = f"{path} row {row}"
                    yield where, {name: _value(batch.column(name)[index], where, name) for name in columns}
    except pa.ArrowException as error:
        raise FaultError(f"{path}: not a readable parquet file ({type(error).__name__})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise FaultError(f"{path}: not a readable parquet file ({type(error).__name__})") from error


def _value(scalar: Any, where: str, name: str) -> object:  # noqa: ANN401 -- pyarrow is untyped
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        raise FaultError(f"{where}: byte {error.start} of {name!r} is not UTF-8 ({error.reason})") from error
    except (ValueError, OverflowError, LookupError):
        return BEYOND
