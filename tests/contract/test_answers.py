"""Results and requests on the wire, between two sides that need not be of one release."""

import dataclasses
import json
import typing
from collections.abc import Callable, Iterator

import pytest

from modelrefresh.contract import codec, result, sections, stage_request
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.contract.stages.evaluate import EvaluateSummary, Score
from modelrefresh.contract.stages.import_ import ImportSummary
from modelrefresh.contract.stages.search import ScaleScore
from modelrefresh.contract.stages.sweep import SweepInput
from modelrefresh.contract.vocabulary import Stage

SCORE = Score(suite="news", metric="exact_match", items=20, candidate=0.5)
ANSWER = Result(
    stage=Stage.EVALUATE,
    run="r1",
    attempt=1,
    exit_code=0,
    summary=EvaluateSummary(candidate="7" * 64, scores=(SCORE,)),
)


def test_a_result_comes_back_as_it_was() -> None:
    assert result.parse(result.render_short(ANSWER)) == ANSWER


@pytest.mark.parametrize("stage", Stage)
def test_a_result_says_what_was_found_under_the_name_of_its_stage(stage: Stage) -> None:
    kind = sections.summary_of(stage)
    summary = kind(**{field.name: _some(field.type) for field in dataclasses.fields(kind) if _is_needed(field)})
    answer = Result(stage=stage, run="r1", attempt=1, exit_code=ExitCode.OK, summary=summary)
    assert "summary" not in json.loads(result.render(answer))
    assert stage.value in json.loads(result.render(answer))
    assert result.parse(result.render(answer)) == answer


def test_a_word_that_stands_in_our_record_only_is_passed_over_too() -> None:
    document = json.loads(result.render(ANSWER)) | {"summary": None}
    assert result.parse(json.dumps(document)) == ANSWER


def test_an_import_that_ends_while_the_operator_is_upgraded_counts() -> None:
    summary = ImportSummary(digest="7" * 64, architecture="LlamaForCausalLM", parameters=1, bytes=2)
    answer = Result(stage=Stage.IMPORT, run="r1", attempt=1, exit_code=ExitCode.OK, summary=summary)
    document = json.loads(result.render(answer))
    document["import_"] = document.pop("import")
    assert result.parse(json.dumps(document)) == answer


def _is_needed(field: "dataclasses.Field[object]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _some(hint: object) -> object:
    if hint == tuple[Score, ...]:
        return (SCORE,)
    if hint == tuple[ScaleScore, ...]:
        return (ScaleScore(scale=0.8, score=0.5, items=20),)
    return {str: "x", int: 1, float: 0.5, bool: True}.get(hint, "7" * 64)  # type: ignore[call-overload]


def test_what_a_newer_stage_adds_to_its_result_is_passed_over() -> None:
    document = json.loads(result.render(ANSWER))
    document["of_tomorrow"] = 1
    document["evaluate"]["scores"][0]["of_tomorrow"] = {"a": 1}
    assert result.parse(json.dumps(document)) == ANSWER


@pytest.mark.parametrize("damage", [{"candidate": "much"}, {"items": None}, {"suite": 3}])
def test_what_a_result_says_in_our_words_must_be_right(damage: dict[str, object]) -> None:
    document = json.loads(result.render(ANSWER))
    document["evaluate"]["scores"][0] |= damage
    with pytest.raises(codec.CodecError):
        result.parse(json.dumps(document))


def test_a_request_with_words_of_a_newer_operator_is_refused() -> None:
    request = stage_request.StageRequest(stage=Stage.SWEEP, owner="news", run="r1", section=SweepInput())
    document = json.loads(stage_request.render(request))
    document["sweep"]["of_tomorrow"] = True
    with pytest.raises(codec.CodecError, match=r"sweep: unknown keys \['of_tomorrow'\]"):
        stage_request.parse(json.dumps(document))


def _records(kind: type) -> Iterator[type]:
    yield kind
    for hint in typing.get_type_hints(kind).values():
        for one in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(one) and isinstance(one, type):
                yield from _records(one)


def test_whatever_may_be_absent_is_left_out_on_the_wire_and_reads_back_as_none() -> None:
    of_stages = [record for stage in Stage for record in (sections.input_of(stage), sections.summary_of(stage))]
    optional = [
        (record.__name__, field.name, field.default)
        for kind in (stage_request.StageRequest, Result, *of_stages)
        for record in _records(kind)
        for field in dataclasses.fields(record)
        if type(None) in typing.get_args(typing.get_type_hints(record)[field.name])
    ]
    assert optional
    assert [found for found in optional if found[2] is not None] == []


def test_half_a_character_makes_a_result_unreadable_instead_of_the_status() -> None:
    text = '{"stage": "train", "run": "r1", "attempt": 1, "exit_code": 2, "message": "\\udcff.jsonl"}'
    with pytest.raises(codec.CodecError, match="half a character"):
        result.parse(text)


def test_a_file_name_that_is_not_unicode_reaches_the_termination_message() -> None:
    answer = Result(stage=Stage.TRAIN, run="r1", attempt=1, exit_code=2, message="news\udcff.jsonl")
    assert result.parse(result.render_short(answer)).message == "news?.jsonl"


def test_the_largest_evaluation_fits_the_termination_message() -> None:
    score = dataclasses.replace(
        SCORE,
        suite="s" * 63,
        items=100_000,
        **dict.fromkeys(("candidate", "incumbent", "error"), 0.123456),
        difference=-0.123456,
        gains=50_000,
        losses=50_000,
    )
    summary = EvaluateSummary(candidate="7" * 64, incumbent="8" * 64, scores=(score,) * 16)
    answer = dataclasses.replace(ANSWER, run="0123456789", summary=summary)
    assert len(result.render_short(answer)) <= result.TERMINATION_LIMIT


@pytest.mark.parametrize("parse", [result.parse, stage_request.parse])
def test_what_is_nested_without_end_is_no_answer(parse: Callable[[str], object]) -> None:
    with pytest.raises(codec.CodecError):
        parse("[" * 100_000)


def test_warnings_give_way_before_the_figures_do() -> None:
    answer = dataclasses.replace(ANSWER, warnings=("x" * 3000, "y" * 3000))
    assert result.parse(result.render_short(answer)) == ANSWER


@pytest.mark.parametrize("parse", [result.parse, stage_request.parse])
def test_a_number_of_more_digits_than_python_reads_is_no_answer(parse: Callable[[str], object]) -> None:
    with pytest.raises(codec.CodecError):
        parse(f'{{"attempt": {"9" * 5000}}}')
