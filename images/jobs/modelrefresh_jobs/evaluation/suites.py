"""Loading of evaluation suites: JSON lines in, checked items out.

A question-answering item is `{"question", "answer"[, "pattern"][, "id"]}`; the pattern has
one group that cuts the answer out of the reply. An instruction-following item is
`{"question", "pattern"[, "id"]}`. Both `prepare` and `evaluate` load suites here, so a
damaged suite is found before GPU hours are spent. Patterns are user input: bounded in
length, compiled on load and matched under a time limit. Knows nothing of models.
"""

import codecs
import functools
import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex  # type: ignore[import-untyped]

from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.vocabulary import Task
from modelrefresh_jobs.evaluation import answers
from modelrefresh_jobs.process import errors, guarded_files
from modelrefresh_jobs.storage import sources
from modelrefresh_jobs.storage.run_folders import RunFolders

PATTERN_LIMIT = 1000
"""Most characters of a pattern."""
MATCH_SECONDS = 2.0
"""Time limit of one match."""
_PROBES = ("a" * 200 + "!", "a b " * 50 + "!", "1" * 200 + "!")
_NAME = re.compile(r"[\w.-]{1,63}")
_SHUFFLE_SEED = 0
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".txt")
_LIMIT = 256 * 1024 * 1024
"""Most bytes of a suite; 100,000 long questions have a quarter of it."""
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question; task question-answering has an answer, instruction-following a pattern."""

    id: str
    """The record's id, or its line number from 1."""
    question: str
    answer: str | None = None
    pattern: str | None = None
    """A regular expression of the library `regex`."""

    @property
    def text(self) -> str:
        """Question and answer as one text, to be looked for in training text."""
        return f"{self.question} {self.answer or ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """All items of one suite, in file order."""

    name: str
    task: Task
    items: tuple[Item, ...]

    def selection(self, limit: int | None) -> tuple[Item, ...]:
        """The first `limit` items of a shuffle that never changes; all in that order without a limit."""
        order = list(self.items)
        random.Random(_SHUFFLE_SEED).shuffle(order)  # noqa: S311 -- repeatable on purpose
        return tuple(order[:limit])


def load_all(wanted: Sequence[SuiteInput], folders: RunFolders) -> dict[str, Suite]:
    """All suites of a request by name, in its order.

    Raises:
        StageError: InvalidSpec, when two names are equal or one cannot name a file.
        StageError: EvaluationUnreadable, as `load` raises it.
    """
    names = [suite.name for suite in wanted]
    if odd := sorted({name for name in names if names.count(name) > 1 or not _NAME.fullmatch(name)}):
        message = (
            f"spec.evaluation.suites: names {odd!r:.{_SHOWN}}; expected names that differ, of letters, digits and _.-"
        )
        raise errors.StageError(StageReason.INVALID_SPEC, message)
    return {suite.name: load(suite, folders) for suite in wanted}


def asked_again(wanted: Sequence[SuiteInput], loaded: Mapping[str, Suite]) -> dict[str, int]:
    """Of each suite that a factor is chosen by, how many of its questions the gates' suites ask too.

    Raises:
        StageError: EvaluationUnreadable, when they ask all of them: the choice would flatter the candidate.
    """
    judging = {item.question.strip() for one in wanted if not one.dev for item in loaded[one.name].items}
    found: dict[str, int] = {}
    for one in wanted:
        items = loaded[one.name].items if one.dev else ()
        again = sum(item.question.strip() in judging for item in items)
        if again and again == len(items):
            raise _unreadable(
                one,
                f"all of its {again} questions are asked by spec.evaluation.suites too; expected others in "
                "spec.residual.search.suites: a candidate that was chosen by a suite looks better on it than it is",
            )
        if again:
            found[one.name] = again
    return found


def choose(loaded: Mapping[str, Suite], limit: int | None) -> dict[str, tuple[Item, ...]]:
    """The items of each suite that are asked.

    Raises:
        StageError: InvalidSpec, when the limit is below 1.
    """
    if limit is not None and limit < 1:
        raise errors.StageError(StageReason.INVALID_SPEC, f"spec.evaluation.maxItems is {limit}; expected at least 1")
    return {name: suite.selection(limit) for name, suite in loaded.items()}


def load(suite: SuiteInput, folders: RunFolders) -> Suite:
    """Read and check a suite.

    Raises:
        StageError: EvaluationUnreadable, when the file or an item cannot be used; the message names file and line.
    """
    path = sources.resolve(suite.uri, folders, reason=StageReason.EVALUATION_UNREADABLE)
    if not path.is_file():
        raise _unreadable(suite, f"{path}: not a file; expected a JSON-lines file")
    if not path.name.lower().endswith(_SUFFIXES):
        raise _unreadable(
            suite, f"{path.name} has another kind of name; expected one that ends in {', '.join(_SUFFIXES)}"
        )
    content = guarded_files.read(path, limit=_LIMIT, reason=StageReason.EVALUATION_UNREADABLE)
    lines = content.removeprefix(codecs.BOM_UTF8).splitlines()
    items = tuple(_item(suite, line, where=f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip())
    if not items:
        raise _unreadable(suite, f"{path}: empty; expected at least one item")
    _, count = Counter(item.id for item in items).most_common(1)[0]
    if count > 1:
        raise _unreadable(suite, f"{path}: an id occurs {count} times; ids must differ")
    return Suite(name=suite.name, task=suite.task, items=items)


def _unreadable(suite: SuiteInput, detail: str) -> errors.StageError:
    return errors.StageError(
        StageReason.EVALUATION_UNREADABLE, f"suite {suite.name}: {detail}. Repair the file at {suite.uri}."
    )


def _item(suite: SuiteInput, line: bytes, *, where: str) -> Item:
    record = _record(suite, line, where=where)
    second = "answer" if suite.task is Task.QUESTION_ANSWERING else "pattern"
    for name in ("question", second):
        if not isinstance(record.get(name), str) or not record[name].strip():
            seen = _kind(record[name]) if name in record else f"missing among {len(record)} fields"
            raise _unreadable(suite, f'{where}: {name} is {seen}; {suite.task} expects "question" and "{second}" texts')
    identity = record.get("id")
    if not isinstance(identity, str | int | float | None):
        raise _unreadable(suite, f"{where}: id is {_kind(identity)}; expected a text or a number")
    answer = record["answer"] if suite.task is Task.QUESTION_ANSWERING else None
    if answer is not None and not answers.normalise(answer):
        message = f"{where}: of the answer ({len(answer)} characters) nothing is left to compare: no reply could match"
        raise _unreadable(suite, f"{message}; expected letters or digits, or ask for it by a pattern")
    pattern = record.get("pattern")
    if pattern is not None:
        _check_pattern(suite, pattern, where=where)
    name = where.rsplit(":", 1)[1] if identity is None else str(identity)
    return Item(id=name, question=record["question"], answer=answer, pattern=pattern)


def _record(suite: SuiteInput, line: bytes, *, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line.decode("utf-8"))
        # Half of a surrogate pair, which JSON can escape, is no text for any tokenizer or file.
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise _unreadable(suite, f"{where}: not UTF-8 JSON ({_fault(error)})") from error
    if not isinstance(record, dict):
        raise _unreadable(suite, f"{where}: expected an object, saw {type(record).__name__}")
    return record


def _kind(value: object) -> str:
    if isinstance(value, str):
        return f"a text of {len(value)} characters" if value.strip() else "a blank text"
    return type(value).__name__


def _fault(error: BaseException) -> str:
    """What is wrong and where, without the text that was read."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, UnicodeDecodeError | UnicodeEncodeError):
        return f"{error.reason} at {error.start}"
    if isinstance(error, regex.error):
        return f"{error.msg} at character {error.pos}"
    return type(error).__name__


def _check_pattern(suite: SuiteInput, pattern: object, *, where: str) -> None:
    if not isinstance(pattern, str) or len(pattern) > PATTERN_LIMIT:
        raise _unreadable(suite, f"{where}: pattern must be a text of at most {PATTERN_LIMIT} characters")
    try:
        groups = regex.compile(pattern).groups
    except (regex.error, ArithmeticError, MemoryError, RecursionError, ValueError) as error:
        raise _unreadable(suite, f"{where}: the pattern is no regular expression ({_fault(error)})") from error
    is_whole = suite.task is Task.INSTRUCTION_FOLLOWING
    if not is_whole and groups != 1:
        raise _unreadable(suite, f"{where}: pattern has {groups} groups; expected one, around the answer")
    if not _finishes(pattern, is_whole=is_whole):
        message = f"{where}: the pattern does not finish on a dull text within {MATCH_SECONDS:g} s"
        raise _unreadable(suite, f"{message}; write it without nested repetition")


@functools.lru_cache(maxsize=1024)
def _finishes(pattern: str, *, is_whole: bool) -> bool:
    # Most patterns with exponential backtracking show it on repetitive texts: better here than after the training.
    match = regex.fullmatch if is_whole else regex.search
    try:
        for text in _PROBES:
            match(pattern, text, timeout=MATCH_SECONDS)
    except TimeoutError:
        return False
    return True
