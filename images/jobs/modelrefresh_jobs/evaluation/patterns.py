"""Matching of an item's pattern on a reply, under a time limit and in Unicode's composed form."""

from typing import Any

import regex  # type: ignore[import-untyped]

from modelrefresh.contract.reasons import StageReason
from modelrefresh_jobs.evaluation import answers, suites
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.process import errors

REPLY_LIMIT = 20_000
"""Characters of a reply that are scored."""


def visible(reply: Reply) -> str:
    """The part of a reply that is scored: its first `REPLY_LIMIT` characters, without white space at the ends."""
    return reply.text.strip()[:REPLY_LIMIT]


def found(item: suites.Item, text: str) -> str | None:
    """The first group of the pattern's first match in the text, empty if it took no part; None without a match.

    Raises:
        StageError: EvaluationUnreadable, when that takes more than `suites.MATCH_SECONDS`.
    """
    match = _match(regex.search, item, text)
    return None if match is None else str(match[1] or "")


def is_whole(item: suites.Item, text: str) -> bool:
    """Whether the item's pattern matches the whole text.

    Raises:
        StageError: EvaluationUnreadable, when that takes more than `suites.MATCH_SECONDS`.
    """
    return _match(regex.fullmatch, item, text) is not None


def _match(search: Any, item: suites.Item, text: str) -> Any:  # noqa: ANN401 -- regex is untyped
    try:
        return search(answers.composed(item.pattern or ""), answers.composed(text), timeout=suites.MATCH_SECONDS)
    except TimeoutError as error:
        raise errors.StageError(
            StageReason.EVALUATION_UNREADABLE,
            f"item {errors.shown(item.id)}: its pattern did not finish on a reply of {len(text)} characters within "
            f"{suites.MATCH_SECONDS:g} s; write it without nested repetition",
        ) from error
