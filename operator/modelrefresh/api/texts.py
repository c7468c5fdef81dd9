"""Scalar types of status: times, cut texts, counts, measures.

The operator alone writes them, so none refuses a value that is merely too long: texts are
cut to their bound, times lose their fractions, measures become text of four decimals.
"""

import datetime
from typing import Annotated

import pydantic

_DECIMALS = 4


def head(limit: int) -> pydantic.BeforeValidator:
    """Cut a text to its beginning."""
    return pydantic.BeforeValidator(
        lambda text: f"{text[: limit - 1]}…" if isinstance(text, str) and len(text) > limit else text
    )


def first(limit: int) -> pydantic.BeforeValidator:
    """Cut a list to its first items."""
    return pydantic.BeforeValidator(lambda items: items[:limit] if isinstance(items, list | tuple) else items)


def tail(limit: int) -> pydantic.BeforeValidator:
    """Cut a text to its end, where logs say what happened."""
    return pydantic.BeforeValidator(
        lambda text: f"…{text[1 - limit :]}" if isinstance(text, str) and len(text) > limit else text
    )


def _as_text(value: object) -> object:
    return f"{value:.{_DECIMALS}f}" if isinstance(value, int | float) else value


def _whole_seconds(moment: datetime.datetime) -> datetime.datetime:
    return moment.astimezone(datetime.UTC).replace(microsecond=0)


def _rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime.datetime, pydantic.AfterValidator(_whole_seconds), pydantic.PlainSerializer(_rfc3339, when_used="json")
]
Word = Annotated[str, head(64), pydantic.Field(max_length=64)]
Message = Annotated[str, head(256), pydantic.Field(max_length=256)]
Note = Annotated[str, head(128), pydantic.Field(max_length=128)]
LogTail = Annotated[str, tail(2048), pydantic.Field(max_length=2048)]
Label = Annotated[str, pydantic.Field(max_length=253)]
Digest = Annotated[str, pydantic.Field(max_length=80)]
Measure = Annotated[str, pydantic.BeforeValidator(_as_text), pydantic.Field(max_length=24)]
Count = Annotated[int, pydantic.Field(ge=0)]
