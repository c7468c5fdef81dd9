"""What a stage's log leaves in a message: whole lines, the last of them, and its own words from their beginning."""

import random

import pytest

from modelrefresh.contract import result
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.kube import kinds
from tests.fakes import controllers
from tests.reconcile import world
from tests.reconcile.world import NAMESPACE, World

KUBELET_BYTES = 2048
KUBELET_LINES = 80


def fallback(log: str) -> str:
    """What the kubelet gives under FallbackToLogsOnError: the last lines, and of these the last bytes."""
    last = "\n".join(log.splitlines()[-KUBELET_LINES:])
    return last.encode()[-KUBELET_BYTES:].decode(errors="replace")


def failed(message: str) -> World:
    """A run whose prepare stage has ended with exit code 1 and left this."""
    place = World()
    place.held.add(Stage.PREPARE)
    place.settle()
    [job] = place.jobs(Stage.PREPARE)
    controllers.finish_job(place.cluster, NAMESPACE, job["metadata"]["name"], exit_code=1, message=message)
    place.one_pass(world.REFRESH)
    return place


def log(seed: int) -> list[str]:
    """Lines as libraries write them, ASCII or not, the cause last."""
    chance = random.Random(seed)  # noqa: S311 -- seeded inputs, no secret
    words = ("warning", "tokenizer", "größer", "数据", "step", "loss=2.31", "/workspace/runs")
    lines = [" ".join(chance.choices(words, k=chance.randint(1, 25))) for _ in range(chance.randint(1, 120))]
    return [*lines, "ValueError: the cause of it"]


@pytest.mark.parametrize("seed", range(20))
def test_a_message_from_a_log_is_made_of_whole_lines_and_ends_with_the_last(seed: int) -> None:
    lines = log(seed)
    failure = failed(fallback("\n".join(lines))).status().last_failure
    assert failure is not None
    told = failure.message.removeprefix("exit code 1. ").split("↵")
    assert told[-1] == lines[-1]
    assert all(line in lines or line.endswith("…") for line in told)


def test_a_condition_of_a_failed_stage_names_the_last_line_of_its_log() -> None:
    place = failed(fallback("\n".join(log(7))))
    ready = next(item for item in place.status().conditions if item.type == "Ready")
    assert "the cause of it" in ready.message


@pytest.mark.parametrize("script", ["x", "ü", "数", "\n"])
def test_a_stages_own_message_keeps_its_head(script: str) -> None:
    said = f"pvc://models/base and pvc://models/instruct do not fit: {script * 5000}"
    ended = Result(
        stage=Stage.MERGE, run="r", attempt=1, exit_code=ExitCode.BAD_INPUT, reason="ResidualIncompatible", message=said
    )
    short = result.render_short(ended)
    assert len(short.encode()) <= result.TERMINATION_LIMIT
    assert result.parse(short).message.startswith("pvc://models/base and pvc://models/instruct do not fit")
    assert result.parse(short).message.endswith("…")


def test_events_keep_the_head_of_what_they_tell() -> None:
    place = World()
    place.answers[Stage.PREPARE] = world.failing(
        ExitCode.BAD_INPUT, "DataUnreadable", f"news.jsonl line 3: {'x' * 3000}"
    )
    place.settle()
    told = [item["message"] for item in place.cluster.all(kinds.EVENT) if item["reason"] == "DataUnreadable"]
    assert any("news.jsonl line 3" in message for message in told)
