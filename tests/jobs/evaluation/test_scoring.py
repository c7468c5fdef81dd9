"""What a reply is worth, and what a difference between two models is worth."""

import json
import pathlib
import statistics
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelrefresh.contract.vocabulary import Stage, Task
from modelrefresh_jobs.evaluation import paired_difference, scoring, suites
from modelrefresh_jobs.evaluation.generation import Reply
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders
from tests.jobs import builders, corpora

QA, FOLLOWING = Task.QUESTION_ANSWERING, Task.INSTRUCTION_FOLLOWING


def item(*, answer: str | None = None, pattern: str | None = None) -> suites.Item:
    return suites.Item(id="1", question="which?", answer=answer, pattern=pattern)


def scored(text: str, one: suites.Item, *, task: Task = QA, stopped: bool = True) -> dict[str, float]:
    return scoring.score(task, one, Reply(text=text, stopped=stopped))


def load(path: pathlib.Path, task: Task = QA) -> suites.Suite:
    request = builders.request(path.parent, Stage.EVALUATE, section=None)
    return suites.load(corpora.suite(path, task=task), run_folders.of(request))


@pytest.mark.parametrize(
    ("reply", "answer", "exact", "contains"),
    [
        ("Euro", "euro", 1, 1),
        (" The  Euro. ", "Euro", 1, 1),
        ("It is the Euro.", "Euro", 0, 1),
        ("Eurozone", "Euro", 0, 0),
        ("UTC-03:00", "UTC+03:00", 0, 0),
        ("+385", "+385", 1, 1),
        ("+3851", "+385", 0, 0),
        ("", "Euro", 0, 0),
        ("Z\u00fcrich", "Zu\u0308rich", 1, 1),
        ("Zu\u0308rich", "Z\u00dcRICH", 1, 1),
        ("In Que\u0301bec.", "qu\u00e9bec", 0, 1),
        ("Zu\u0308rich", "Zurich", 0, 0),
        ("\u1112\u1161\u11ab", "\ud55c", 1, 1),
    ],
)
def test_without_a_pattern_the_whole_reply_is_the_answer(reply: str, answer: str, exact: int, contains: int) -> None:
    assert scored(reply, item(answer=answer)) == {"exact_match": exact, "contains": contains}


def test_with_a_pattern_its_group_is_the_answer() -> None:
    one = item(answer="Euro", pattern=r"Answer: ([^.\n]+)\.")
    assert scored("Well. Answer: Euro. Or so.", one)["exact_match"] == 1
    assert scored("Euro", one) == {"exact_match": 0, "contains": 1}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_pattern_finds_its_letters_however_they_are_composed(form: Literal["NFC", "NFD"]) -> None:
    reply = unicodedata.normalize(form, "Antwort: Z\u00fcrich.")
    other: Literal["NFC", "NFD"]
    for other in ("NFC", "NFD"):
        pattern = unicodedata.normalize(other, "Antwort: (Z\u00fc\\w+)\\.")
        assert scored(reply, item(pattern=pattern), task=FOLLOWING) == {"follows": 1}
        assert scored(reply, item(answer="Z\u00fcrich", pattern=pattern))["exact_match"] == 1


def test_following_needs_the_whole_reply_to_match_and_the_model_to_stop() -> None:
    one = item(pattern=r"Answer: [^.\n]+\.")
    assert scored("Answer: Euro.", one, task=FOLLOWING) == {"follows": 1}
    assert scored("Answer: Euro. Answer: Euro.", one, task=FOLLOWING) == {"follows": 0}
    assert scored("Answer: Euro.", one, task=FOLLOWING, stopped=False) == {"follows": 0}


def test_a_pattern_that_backtracks_without_end_is_cut_off_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "MATCH_SECONDS", 0.2)
    with pytest.raises(StageError, match=r"item '1': its pattern did not finish") as caught:
        scored("ab" * 60, item(pattern=r"(a|b|ab)*[cd]"), task=FOLLOWING)
    assert caught.value.reason == "EvaluationUnreadable"


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=2, max_size=60))
def test_the_error_of_a_difference_is_that_of_the_paired_differences(pairs: list[tuple[float, float]]) -> None:
    candidate, incumbent = zip(*pairs, strict=True)
    score = paired_difference.compare("s", "m", candidate, incumbent)
    differences = [ours - theirs for ours, theirs in pairs]
    assert score.difference == pytest.approx(statistics.fmean(differences), abs=1e-6)
    assert score.error == pytest.approx(statistics.stdev(differences) / len(pairs) ** 0.5, abs=1e-6)


def test_one_item_has_no_standard_error_and_no_incumbent_no_difference() -> None:
    assert paired_difference.compare("s", "m", [1.0], [0.0]).error is None
    alone = paired_difference.compare("s", "m", [1.0, 0.0], None)
    assert (alone.candidate, alone.incumbent, alone.difference, alone.error) == (0.5, None, None, None)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_right_and_wrong_figures_are_counted(pairs: list[tuple[bool, bool]]) -> None:
    candidate, incumbent = zip(*(map(float, pair) for pair in pairs), strict=True)
    score = paired_difference.compare("s", "m", candidate, incumbent)
    assert score.gains == sum(ours and not theirs for ours, theirs in pairs)
    assert score.losses == sum(theirs and not ours for ours, theirs in pairs)


@pytest.mark.parametrize(("candidate", "incumbent"), [([1.0, 0.5], [1.0, 0.0]), ([1.0, 0.0], [0.25, 0.0])])
def test_a_metric_with_figures_between_has_no_counts(candidate: list[float], incumbent: list[float]) -> None:
    score = paired_difference.compare("s", "m", candidate, incumbent)
    assert (score.right, score.gains, score.losses) == (None, None, None)


def test_without_an_incumbent_only_right_answers_are_counted() -> None:
    score = paired_difference.compare("s", "m", [1.0, 0.0, 1.0], None)
    assert (score.right, score.gains, score.losses) == (2, None, None)


@pytest.mark.parametrize(
    ("line", "task", "seen"),
    [
        ('{"question": "q"}', QA, "answer is missing among 1 fields"),
        ('{"question": "  ", "answer": "a"}', QA, "question is a blank text"),
        ('{"question": "q", "answer": "a", "pattern": "none"}', QA, "pattern has 0 groups"),
        ('{"question": "q", "pattern": "("}', FOLLOWING, "is no regular expression"),
        ("[]", QA, "expected an object"),
        ("{", QA, "not UTF-8 JSON"),
        (json.dumps({"question": "q", "pattern": "a" * 1001}), FOLLOWING, "at most 1000 characters"),
    ],
)
def test_a_damaged_item_is_named_by_file_and_line(tmp_path: pathlib.Path, line: str, task: Task, seen: str) -> None:
    path = tmp_path / "suite.jsonl"
    path.write_text('{"question": "q", "answer": "a", "pattern": "(a)"}\n' + line + "\n")
    with pytest.raises(StageError) as caught:
        load(path, task)
    assert caught.value.reason == "EvaluationUnreadable"
    assert f"{path}:2" in str(caught.value)
    assert seen in str(caught.value)


@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_a_missing_or_empty_suite_is_unreadable(tmp_path: pathlib.Path, content: str | None) -> None:
    path = tmp_path / "suite.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(StageError) as caught:
        load(path)
    assert caught.value.reason == "EvaluationUnreadable"


def test_the_selection_is_the_same_every_time_and_smaller_ones_are_part_of_larger_ones(tmp_path: pathlib.Path) -> None:
    path = corpora.write(tmp_path / "s.jsonl", [{"question": f"q{n}", "answer": "a"} for n in range(50)])
    ten, twenty = load(path).selection(10), load(path).selection(20)
    assert ten == load(path).selection(10) == twenty[:10]
    assert [one.id for one in ten] != [str(number) for number in range(1, 11)]
