"""The flags of every stage against the API: the same limits and defaults, and a word of help for each."""

import argparse
import dataclasses
import math
import pathlib
import random
from collections.abc import Iterator
from typing import Annotated

import pydantic
import pytest

from modelrefresh.api import evaluation, merging, model, spec
from modelrefresh.contract import limits, sections
from modelrefresh.contract.vocabulary import Method
from modelrefresh_jobs.by_hand import cli, flags
from modelrefresh_jobs.process.errors import StageError

API: dict[str, tuple[type[model.ApiModel], str]] = {
    prefix + name: (part, name)
    for prefix, part in (
        ("", spec.Data),
        ("", spec.Training),
        ("", merging.ResidualSettings),
        ("", evaluation.Evaluation),
        ("lora_", spec.LoraSettings),
        ("replay_", spec.Replay),
    )
    for name in part.model_fields
}
"""Where the API has the field that a flag sets."""
STRANGE = ("nan", "inf", "-inf", "1e300", "-1e300", "", " ", "x", "1,5", "0x10", "9" * 400, "--1", "½")
NEEDED = {
    "extract": "--base b --instruct i --out o",
    "import": "--instruct i --out o",
    "prepare": "--base b --data d --replay r",
    "train": "--start b",
    "merge": "--start b --trained t --residual r --out o",
    "evaluate": "--candidate c --suites s=question-answering=f",
}


def commands() -> dict[str, argparse.ArgumentParser]:
    [stages] = [action for action in cli.parser()._actions if action.dest == "stage"]  # noqa: SLF001 -- no other way
    assert isinstance(stages.choices, dict)
    return stages.choices


def numbers() -> Iterator[tuple[str, str, limits.Range, bool]]:
    """Stage, field, range and wholeness of every number."""
    for stage in cli.COMMANDS:
        kind = sections.input_of(stage)
        for field in dataclasses.fields(kind):
            hint = flags.hint(kind, field.name)
            if hint.plain in (int, float):
                assert hint.limit is not None, f"{stage}: {field.name} has no range in contract/limits.py"
                yield stage.value, field.name, hint.limit, hint.plain is int


NUMBERS = list(numbers())


def parsed(stage: str, *words: str) -> argparse.Namespace:
    return cli.parser().parse_args([stage, *NEEDED[stage].split(), *words])


def taken(stage: str, field: str, text: str) -> bool:
    flag = f"--{field.replace('_', '-')}"
    try:
        parsed(stage, f"{flag}={text}")
    except StageError as error:
        if flag not in str(error):
            raise
        return False
    return True


def api_takes(field: str, text: str) -> bool:
    part, name = API[field]
    known = part.model_fields[name]
    value: object = int(text) if known.annotation is int else text
    try:
        pydantic.TypeAdapter(Annotated[known.annotation, name, *known.metadata]).validate_python(value)
    except pydantic.ValidationError:
        return False
    return True


@pytest.mark.parametrize(("stage", "field", "limit"), [row[:3] for row in NUMBERS if row[1] in API])
def test_a_number_is_accepted_where_the_api_accepts_it(stage: str, field: str, limit: limits.Range) -> None:
    texts = [str(value) for value in (limit.least - 1, limit.least, limit.most, limit.most + 1)]
    assert {text: taken(stage, field, text) for text in texts} == {text: api_takes(field, text) for text in texts}


def test_nearly_every_number_is_one_of_the_api() -> None:
    assert {field for _, field, _, _ in NUMBERS} - set(API) <= {"processes_per_node", "warmup_ratio", "previous_share"}


@pytest.mark.parametrize(("stage", "field", "limit", "whole"), NUMBERS)
def test_what_is_out_of_range_is_refused_by_the_name_of_its_flag(
    stage: str,
    field: str,
    limit: limits.Range,
    whole: bool,  # noqa: FBT001 -- a row of the table
) -> None:
    draw = random.Random(field)  # noqa: S311 -- repeatable on purpose
    below = [str(limit.least - draw.randint(1, 10**6)) for _ in range(5)]
    above = [str(limit.most + draw.randint(1, 10**9)) for _ in range(5)]
    broken = [str(limit.least + draw.random()) for _ in range(5)] if whole else []
    assert [text for text in (*STRANGE, *below, *above, *broken) if taken(stage, field, text)] == []


def test_a_flag_that_is_left_out_is_what_the_api_takes() -> None:
    ours = {field: getattr(parsed(stage), field) for stage in NEEDED for field in vars(parsed(stage)) if field in API}
    theirs = {field: API[field][0].model_fields[API[field][1]].default for field in ours}
    ours |= {"replay_percent": cli.request(parsed("prepare")).section.replay_percent}
    same = {"text_field", "method", "strategy", "learning_rate", "replay_percent", "max_items", "scale", "zero_stage"}
    assert same <= set(ours)
    for field in set(ours) - {"suites", "replay", "sequence_length"}:
        expected = theirs[field]
        assert ours[field] == (expected if expected is None else type(ours[field])(expected)), field
    assert parsed("prepare").sequence_length == theirs["sequence_length"]


def test_every_flag_has_a_word_of_help() -> None:
    silent = [
        f"{stage} {action.dest}"
        for stage, command in commands().items()
        for action in command._actions  # noqa: SLF001 -- no other way
        if not action.help
    ]
    assert silent == []


@pytest.mark.parametrize(("word", "method"), [("full", Method.FULL), ("LORA", Method.LORA)])
def test_words_are_taken_in_any_case(word: str, method: Method) -> None:
    assert parsed("train", "--method", word).method is method


@pytest.mark.parametrize(
    ("stage", "words", "expected"),
    [
        ("train", "--method half", "--method: 'half'; expected LoRA or Full"),
        ("merge", "--strategy none", "expected Residual or Direct"),
        ("evaluate", "--suites s=multiple-choice=f", "expected question-answering or instruction-following"),
        ("evaluate", "--suites f.jsonl", "expected NAME=TASK=PLACE"),
        ("evaluate", "--suites a/b=question-answering=f", "'a/b'; expected up to 63 letters"),
        ("train", "--run ../x", "--run: '../x'"),
        ("train", "--workspace " + __file__, "is a file; expected a folder"),
        ("import", "--out " + __file__ + "/x", "is a file; expected a folder"),
        ("train", "--max 3", "unrecognized arguments"),
    ],
)
def test_a_refused_word_comes_with_the_accepted_ones(stage: str, words: str, expected: str) -> None:
    with pytest.raises(StageError) as caught:
        parsed(stage, *words.split())
    assert caught.value.reason == "InputInvalid"
    assert expected in str(caught.value)


@pytest.mark.parametrize("stage", NEEDED)
def test_paths_and_uris_are_taken_alike(stage: str) -> None:
    given = parsed(stage)
    places = [field for field in vars(given) if field in {"base", "data", "start", "trained", "candidate", "instruct"}]
    assert {getattr(given, field) for field in places} <= {f"file://{pathlib.Path(one).absolute()}" for one in "bditc"}
    for field in places:
        uri = f"hf://org/name@{'0' * 40}"
        assert getattr(parsed(stage, f"--{field}", uri), field) == uri


def test_a_digest_stays_a_digest() -> None:
    assert parsed("evaluate", "--incumbent", "ab" * 32).incumbent == "ab" * 32


def test_a_range_without_numbers_holds_none() -> None:
    assert not taken("train", "epochs", str(math.nan))
