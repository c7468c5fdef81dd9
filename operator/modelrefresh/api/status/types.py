"""Scalar types of status: times, cut texts, counts, measures.

The operator alone writes them, so none refuses a value that is merely too long: texts are
cut to their bound, times lose their fractions, measures become text of four decimals.
"""

import datetime
from typing import Annotated

import pydantic

from modelrefresh.contract import printable

_DECIMALS = 4


def head(limit: int) -> pydantic.BeforeValidator:
    """Cut a text to its beginning."""
    return pydantic.BeforeValidator(lambda text: _beginning(line(text), limit) if isinstance(text, str) else text)


def first(limit: int) -> pydantic.BeforeValidator:
    """Cut a list to its first items."""
    return pydantic.BeforeValidator(lambda items: items[:limit] if isinstance(items, list | tuple) else items)


def line(text: str) -> str:
    """The text as one line of which everything can be seen: a new line in a terminal would be somebody else's words."""
    return printable.lines(text).replace("\t", " ").replace("\n", "↵")


def excerpt(text: str, limit: int) -> str:
    """At most `limit` characters of a message: its first line, which names object and cause, and the last ones.

    Lines stay whole, as far as one fits; of a single line the beginning is kept. "…" marks each cut.
    """
    if len(text) <= limit:
        return text
    first, *rest = text.splitlines() or [""]
    first = _beginning(first, limit // 2 if rest else limit)
    room, kept = limit - len(first) - len("\n…"), list[str]()
    for line in reversed(rest):
        if len(line) + 1 > room:
            break
        kept.insert(0, line)
        room -= len(line) + 1
    if rest and not kept:
        kept = [_beginning(rest[-1], room - 1)]
    is_whole = len(kept) == len(rest)
    return "\n".join([first, *([] if is_whole or first == "…" else ["…"]), *kept])


def _beginning(line: str, limit: int) -> str:
    return f"{line[: max(0, limit - 1)]}…" if len(line) > limit else line


def one_line(text: str, limit: int) -> str:
    """What a status or an event says: an excerpt, as one line."""
    return excerpt(printable.lines(text), limit).replace("\t", " ").replace("\n", "↵")


def _excerpt(limit: int) -> pydantic.BeforeValidator:
    return pydantic.BeforeValidator(lambda text: one_line(text, limit) if isinstance(text, str) else text)


def _as_text(value: object) -> object:
    try:
        return f"{value:.{_DECIMALS}f}" if isinstance(value, int | float) else value
    except OverflowError as error:
        raise ValueError(str(error)) from error  # pydantic knows no other as a refusal


def _whole_seconds(moment: datetime.datetime) -> datetime.datetime:
    try:
        return moment.astimezone(datetime.UTC).replace(microsecond=0)
    except OverflowError as error:
        raise ValueError(str(error)) from error


def _rfc3339(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime.datetime, pydantic.AfterValidator(_whole_seconds), pydantic.PlainSerializer(_rfc3339, when_used="json")
]
ShortText = Annotated[str, head(64), pydantic.Field(max_length=64)]
Message = Annotated[str, _excerpt(256), pydantic.Field(max_length=256)]
LongMessage = Annotated[str, _excerpt(768), pydantic.Field(max_length=768)]
Note = Annotated[str, head(128), pydantic.Field(max_length=128)]
Account = Annotated[str, _excerpt(2048), pydantic.Field(max_length=2048)]
"""What a stage said, in full; the end of its log if it said nothing itself."""
Label = Annotated[str, pydantic.Field(max_length=253)]
Digest = Annotated[str, pydantic.Field(max_length=80)]
Measure = Annotated[str, pydantic.BeforeValidator(_as_text), pydantic.Field(max_length=24)]
Count = Annotated[int, pydantic.Field(ge=0, le=2**53)]
"""Up to where JSON numbers are exact; the API server would refuse the whole status for a larger one."""
