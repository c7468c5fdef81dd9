"""What a reply is worth: from an item and a reply to figures between 0 and 1.

`exact_match`: the answer equals the reply, or what the item's pattern finds in it. `contains`:
the answer stands in the reply as whole words. `follows`: the whole reply matches the pattern
and the model ended it itself. When two answers are equal is said in `answers`.
"""

import regex  # type: ignore[import-untyped]

from modelrefresh.contract.vocabulary import Task
from modelrefresh_jobs.evaluation import answers, suites
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.process import errors

REPLY_LIMIT = 20_000
"""Characters of a reply that patterns see."""


def metrics(task: Task) -> tuple[str, ...]:
    """The figures of a task, in the order of the report."""
    return ("exact_match", "contains") if task is Task.QUESTION_ANSWERING else ("follows",)


def score(task: Task, item: suites.Item, reply: Reply) -> dict[str, float]:
    """The figures of one reply.

    Raises:
        StageError: EvaluationUnreadable, when the item's pattern takes too long to match.
    """
    text = reply.text.strip()[:REPLY_LIMIT]
    if task is Task.INSTRUCTION_FOLLOWING:
        matched = _matched(item, text, whole=True)
        return {"follows": float(reply.stopped and matched is not None)}
    wanted = answers.normalise(item.answer or "")
    given = text
    if item.pattern:
        matched = _matched(item, text, whole=False)
        given = matched if matched is not None else ""
    return {
        "exact_match": float(bool(wanted) and answers.normalise(given) == wanted),
        "contains": float(_has_words(answers.normalise(text), wanted)),
    }


def _has_words(text: str, wanted: str) -> bool:
    if not wanted:
        return False
    return regex.search(rf"(?<!\w){regex.escape(wanted)}(?!\w)", text) is not None


def _matched(item: suites.Item, text: str, *, whole: bool) -> str | None:
    search = regex.fullmatch if whole else regex.search
    try:
        found = search(answers.composed(item.pattern or ""), answers.composed(text), timeout=suites.MATCH_SECONDS)
    except TimeoutError as error:
        raise errors.StageError(
            "EvaluationUnreadable",
            f"item {errors.shown(item.id)}: its pattern did not finish on a reply of {len(text)} characters within "
            f"{suites.MATCH_SECONDS:g} s; write it without nested repetition",
        ) from error
    return None if found is None else str(found[0] if whole else found[1] or "")
