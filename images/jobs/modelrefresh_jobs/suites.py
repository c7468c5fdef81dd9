"""Evaluation suites: JSON lines in, checked items out.

A question-answering item is `{"question", "answer"[, "pattern"][, "id"]}`; the pattern has
one group that cuts the answer out of the reply. An instruction-following item is
`{"question", "pattern"[, "id"]}`. Both `prepare` and `evaluate` load suites here, so a
damaged suite is found before GPU hours are spent. Patterns are user input: bounded in
length, compiled on load and matched under a time limit. Knows nothing of models.
"""

import json
import random
from dataclasses import dataclass

import regex  # type: ignore[import-untyped]

from modelrefresh.contract import env
from modelrefresh_jobs import failures, sources

PATTERN_LIMIT = 1000
"""Characters of a pattern."""
MATCH_SECONDS = 2.0
_SHUFFLE_SEED = 0
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question."""

    id: str
    question: str
    answer: str | None = None
    pattern: str | None = None

    @property
    def text(self) -> str:
        """What would give the item away if training text contained it."""
        return f"{self.question} {self.answer or ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """All items of one suite, in file order."""

    name: str
    task: env.Task
    items: tuple[Item, ...]

    def selection(self, limit: int) -> tuple[Item, ...]:
        """The first items of a shuffle that never changes."""
        order = list(self.items)
        random.Random(_SHUFFLE_SEED).shuffle(order)  # noqa: S311 -- repeatable on purpose
        return tuple(order[:limit])


def load(suite: env.SuiteInput, request: env.StageInput) -> Suite:
    """Read and check a suite.

    Raises:
        StageError: EvaluationUnreadable, with file and line, what was seen and what was expected.
    """
    path = sources.resolve(suite.uri, request, reason="EvaluationUnreadable")
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise _unreadable(suite, f"{path}: {error.strerror}; expected a JSON-lines file") from error
    items = tuple(_item(suite, line, where=f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip())
    if not items:
        raise _unreadable(suite, f"{path}: empty; expected at least one item")
    identities = [item.id for item in items]
    if len(set(identities)) < len(identities):
        twice = next(one for one in identities if identities.count(one) > 1)
        raise _unreadable(suite, f"{path}: id {twice!r} occurs twice; ids must differ")
    return Suite(name=suite.name, task=suite.task, items=items)


def _unreadable(suite: env.SuiteInput, detail: str) -> failures.StageError:
    return failures.StageError("EvaluationUnreadable", f"suite {suite.name}: {detail}. Repair the file at {suite.uri}.")


def _item(suite: env.SuiteInput, line: bytes, *, where: str) -> Item:
    try:
        record = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _unreadable(suite, f"{where}: not UTF-8 JSON ({error}): {line[:_SHOWN]!r}") from error
    second = "answer" if suite.task is env.Task.QUESTION_ANSWERING else "pattern"
    if not isinstance(record, dict):
        raise _unreadable(suite, f"{where}: expected an object, saw {type(record).__name__}")
    for name in ("question", second):
        if not isinstance(record.get(name), str) or not record[name].strip():
            seen = repr(record.get(name))[:_SHOWN]
            raise _unreadable(suite, f'{where}: {name} is {seen}; {suite.task} expects "question" and "{second}" texts')
    pattern = record.get("pattern")
    if pattern is not None:
        _check_pattern(suite, pattern, where=where)
    return Item(
        id=str(record.get("id", where.rsplit(":", 1)[1])),
        question=record["question"],
        answer=record.get("answer") if suite.task is env.Task.QUESTION_ANSWERING else None,
        pattern=pattern,
    )


def _check_pattern(suite: env.SuiteInput, pattern: object, *, where: str) -> None:
    if not isinstance(pattern, str) or len(pattern) > PATTERN_LIMIT:
        raise _unreadable(suite, f"{where}: pattern must be a text of at most {PATTERN_LIMIT} characters")
    try:
        groups = regex.compile(pattern).groups
    except regex.error as error:
        raise _unreadable(suite, f"{where}: pattern {pattern[:_SHOWN]!r} is no regular expression ({error})") from error
    if suite.task is env.Task.QUESTION_ANSWERING and groups != 1:
        raise _unreadable(suite, f"{where}: pattern has {groups} groups; expected one, around the answer")
