"""Suites as people bring them: what is read, and what is refused with file and line."""

import json
import pathlib

import pytest

from modelrefresh.contract.vocabulary import Stage, Task
from modelrefresh_jobs.evaluation import suites
from modelrefresh_jobs.process.errors import StageError
from modelrefresh_jobs.storage import run_folders
from tests.jobs import builders, corpora

GOOD = b'{"question": "who?", "answer": "blue"}'
EVALUATE = Stage.EVALUATE


def load(path: pathlib.Path, **changes: str) -> suites.Suite:
    (found,) = suites.load_all(
        [corpora.suite(path, **changes)], run_folders.of(builders.request(path.parent, EVALUATE))
    ).values()
    return found


def written(folder: pathlib.Path, *lines: bytes) -> pathlib.Path:
    path = folder / "facts.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


@pytest.mark.parametrize(
    "line",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD + b"\r",
        b'{"question": "who?", "answer": "blue", "id": null, "x": [' + b"1," * 100_000 + b"1]}",
        b'{"question": "a \\u0000 nul?", "answer": "+385"}',
        b'{"question": "\\ud83d\\ude00?", "answer": "\\ud83d\\ude00"}',
        b'{"question": "who?", "answer": "42", "id": 7}',
    ],
    ids=["mark", "windows", "long line", "nul", "pair", "number as id"],
)
def test_odd_but_whole_lines_are_read(tmp_path: pathlib.Path, line: bytes) -> None:
    assert len(load(written(tmp_path, line)).items) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 100_000,
        b'{"question": "who?", "answer": "blue", "x": ' + b"9" * 6000 + b"}",
        b'{"question": "\\ud800?", "answer": "blue"}',
        b'{"question": "who?", "answer": "\\udfff"}',
        b'{"question": "who?", "answer": "blue", "id": "\\ud800"}',
        b'{"question": "\xed\xa0\x80?", "answer": "blue"}',
        GOOD.replace(b"who", b"\xff"),
        GOOD[:-3],
        b"\x00" * 40,
        b'{"question": "who?", "answer": "blue", "id": {"a": 1}}',
        b'{"question": "who?", "answer": "blue", "id": [1]}',
        b'{"question": "who?", "answer": "?!"}',
        b'{"question": "who?", "answer": " the. "}'.replace(b"the", b"..."),
        b'{"question": "who?", "answer": "blue", "pattern": 7}',
        b'{"question": "who?", "answer": "blue", "pattern": "' + b"(" * 480 + b"a" + b")" * 480 + b'"}',
        b'{"question": ["who?"], "answer": "blue"}',
        b'{"question": "who?", "answer": true}',
        b"null",
    ],
)
def test_a_line_that_is_no_item_is_refused_with_file_and_line(tmp_path: pathlib.Path, line: bytes) -> None:
    path = written(tmp_path, GOOD, line, GOOD)
    with pytest.raises(StageError) as caught:
        load(path)
    assert caught.value.reason == "EvaluationUnreadable"
    assert f"{path}:2: " in str(caught.value)


def test_a_field_that_is_missing_is_told_beside_those_that_are_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StageError, match=r"answer is missing among 2 fields"):
        load(written(tmp_path, b'{"question": "who?", "answers": ["blue"]}'))


def test_a_folder_is_no_suite(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StageError, match="not a file") as caught:
        load(tmp_path)
    assert caught.value.reason == "EvaluationUnreadable"


def test_a_name_that_no_file_system_holds_is_the_uri_s_fault(tmp_path: pathlib.Path) -> None:
    with pytest.raises(StageError, match="File name too long") as caught:
        load(tmp_path / ("x" * 300))
    assert caught.value.reason == "EvaluationUnreadable"


@pytest.mark.parametrize("names", [["a", "b", "a"], ["a/b"], ["../a"], [""], ["a\0"], ["x" * 300]])
def test_names_that_cannot_name_a_suite_s_records_are_refused(tmp_path: pathlib.Path, names: list[str]) -> None:
    path = written(tmp_path, GOOD)
    wanted = [corpora.suite(path, name=name) for name in names]
    with pytest.raises(StageError, match=r"spec\.evaluation\.suites") as caught:
        suites.load_all(wanted, run_folders.of(builders.request(tmp_path, EVALUATE)))
    assert caught.value.reason == "InvalidSpec"


def test_an_id_that_occurs_again_is_told_once_even_among_many(tmp_path: pathlib.Path) -> None:
    lines = [json.dumps({"question": "q", "answer": "a", "id": number % 50_000}).encode() for number in range(50_001)]
    with pytest.raises(StageError, match="an id occurs 2 times"):
        load(written(tmp_path, *lines))


@pytest.mark.parametrize(
    ("task", "pattern"),
    [
        (Task.QUESTION_ANSWERING, r"^((?:a|aa)+)$"),
        (Task.INSTRUCTION_FOLLOWING, r"(a|aa)+"),
        (Task.INSTRUCTION_FOLLOWING, r"(a|aa|ab)*[cd]"),
        (Task.INSTRUCTION_FOLLOWING, r"(1|11)+"),
    ],
)
def test_a_pattern_that_explodes_on_dull_text_is_refused_before_the_training(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, task: Task, pattern: str
) -> None:
    monkeypatch.setattr(suites, "MATCH_SECONDS", 0.2)
    path = corpora.write(tmp_path / "facts.jsonl", [{"question": "who?", "answer": "blue", "pattern": pattern}])
    with pytest.raises(StageError, match=r"facts\.jsonl:1: .*without nested repetition"):
        suites.load(corpora.suite(path, task=task), run_folders.of(builders.request(tmp_path, EVALUATE)))


def asked_again(folder: pathlib.Path, gates: list[str], dev: list[str]) -> dict[str, int]:
    paths = [
        corpora.write(folder / f"{name}.jsonl", [{"question": text, "answer": "blue"} for text in questions])
        for name, questions in (("facts", gates), ("dev", dev))
    ]
    wanted = [corpora.suite(paths[0]), corpora.suite(paths[1], name="dev", dev=True)]
    loaded = suites.load_all(wanted, run_folders.of(builders.request(folder, Stage.PREPARE)))
    return suites.asked_again(wanted, loaded)


@pytest.mark.parametrize("dev", [["who?", "what?"], ["what?", "who? "], ["who?"]])
def test_a_search_by_a_copy_of_the_gates_questions_is_refused(tmp_path: pathlib.Path, dev: list[str]) -> None:
    with pytest.raises(StageError, match=r"suite dev: all of its \d questions are asked by") as caught:
        asked_again(tmp_path, ["who?", "what?"], dev)
    assert caught.value.reason == "EvaluationUnreadable"


def test_some_questions_of_a_search_that_the_gates_ask_too_are_counted(tmp_path: pathlib.Path) -> None:
    assert asked_again(tmp_path, ["who?", "what?"], ["who?", "when?"]) == {"dev": 1}


def test_a_search_by_questions_of_its_own_is_free(tmp_path: pathlib.Path) -> None:
    assert asked_again(tmp_path, ["who?", "what?"], ["when?", "where?"]) == {}
