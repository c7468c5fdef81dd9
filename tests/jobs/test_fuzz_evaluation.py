"""Mutated real suites and instruct models: each is used, or refused with the user's reason and its place."""

import json
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from modelrefresh.contract import env
from modelrefresh_jobs import intake, prompts, suites
from modelrefresh_jobs.failures import StageError
from tests.jobs import builders, corpora

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 10**30, 0.5, float("nan"), "", "x", "\x00", "\ud800", [], [[]], {}, {"a": 1}, [None]),
    *("{{", "{% for %}", "a" * 5000, ["x", 1], {"content": 3}, {"type": "ByteLevel"}, 2**31, -(2**63), "(" * 50),
)
FILES = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja", "config.json")


def bytes_of(draw: random.Random, data: bytes) -> bytes:
    """Some bytes changed, removed, repeated or put in between."""
    start = draw.randrange(len(data) + 1)
    stop = min(len(data), start + draw.choice((1, 1, 4, 60, 4000)))
    between = draw.choice(
        (b"", bytes([draw.randrange(256)]), b"\x00", b"\xff\xfe", b"[" * 3000, b'"', data[start:stop] * 2)
    )
    return data[:start] + between + data[stop:]


def value_of(draw: random.Random, document: Any) -> Any:  # noqa: ANN401 -- JSON
    """A JSON document with one odd value somewhere, or with one key less."""
    if not isinstance(document, dict | list) or not document or draw.random() < 0.15:
        return draw.choice(ODD)
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = draw.choice(keys)
    changed = dict(document) if isinstance(document, dict) else list(document)
    if draw.random() < 0.1:
        del changed[key]
    else:
        changed[key] = value_of(draw, document[key])
    return changed


def mutated(draw: random.Random, path: pathlib.Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".jinja" or draw.random() < 0.5:
        return bytes_of(draw, data)
    if path.suffix == ".jsonl":
        lines = data.splitlines()
        place = draw.randrange(len(lines))
        lines[place] = json.dumps(value_of(draw, json.loads(lines[place]))).encode()
        return b"\n".join(lines)
    return json.dumps(value_of(draw, json.loads(data))).encode()


def refusal(use: Callable[[], object]) -> StageError | None:
    """Why it was refused; None where it was used."""
    try:
        use()
    except StageError as error:
        return error
    return None


def unplaced(refused: list[StageError], place: str) -> list[str]:
    """Refusals without the user's reason or without the place."""
    known = ("EvaluationUnreadable", "ModelUnreadable", "InvalidSpec")
    return [f"{error.reason}: {error}" for error in refused if error.reason not in known or place not in str(error)]


@pytest.mark.parametrize("task", env.Task)
def test_a_mutated_suite_is_read_or_refused(tmp_path: pathlib.Path, task: env.Task) -> None:
    draw = random.Random(task.value)  # noqa: S311 -- repeatable on purpose
    request = builders.request(tmp_path, env.Stage.EVALUATE)
    items = [
        {"question": f"who is {index}?", "answer": "blue", "pattern": "(bl.e)+", "id": index} for index in range(6)
    ]
    whole = corpora.write(tmp_path / "whole.jsonl", [*items])
    path = tmp_path / "facts.jsonl"
    found = []
    for _ in range(150):
        path.write_bytes(mutated(draw, whole))
        found.append(refusal(lambda: suites.load(corpora.suite(path, task=task), request)))
    refused = [error for error in found if error]
    assert 0 < len(refused) < len(found)
    assert unplaced(refused, str(path)) == []


@pytest.mark.filterwarnings("ignore")  # what transformers says of odd files is not the point
@pytest.mark.parametrize("name", FILES)
def test_a_mutated_instruct_model_is_asked_or_refused(tmp_path: pathlib.Path, name: str) -> None:
    draw = random.Random(name)  # noqa: S311 -- repeatable on purpose
    instruct = builders.tiny_pair(tmp_path / "models").instruct
    folder = tmp_path / "mutated"

    def use() -> None:
        intake.refuse_code(folder)
        prompts.load(folder).require_fit("suite facts", ["who?", "what is it\nin two lines"], max_new_tokens=8)

    found = []
    for _ in range(40):
        shutil.copytree(instruct, folder, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)
        (folder / name).write_bytes(mutated(draw, instruct / name))
        found.append(refusal(use))
    refused = [error for error in found if error]
    assert refused
    assert unplaced(refused, str(folder)) == []
