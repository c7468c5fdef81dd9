"""A reply's thoughts are told from its answer, whoever opened them."""

import pytest

from modelrefresh_jobs.models import thinking


@pytest.mark.parametrize(
    ("prompt", "reply", "expected"),
    [
        ("user: a\nassistant: ", "Euro.", ("", "Euro.")),
        ("assistant: ", "<think>\nkuna? no\n</think>\n\nEuro.", ("<think>\nkuna? no\n</think>", "\n\nEuro.")),
        ("assistant: ", "\n<think>\n\n</think>\n\nEuro.", ("\n<think>\n\n</think>", "\n\nEuro.")),
        ("assistant: <think>\n", "kuna? no\n</think>\n\nEuro.", ("kuna? no\n</think>", "\n\nEuro.")),
        ("assistant: <think>\n\n</think>\n\n", "Euro.", ("", "Euro.")),
        ("assistant: ", "Write </think> at the end.", ("", "Write </think> at the end.")),
        ("assistant: ", "<think>a</think>It is <think>b</think>", ("<think>a</think>", "It is <think>b</think>")),
    ],
)
def test_thoughts_end_at_their_mark(prompt: str, reply: str, expected: tuple[str, str]) -> None:
    assert thinking.divide(prompt, reply) == expected


@pytest.mark.parametrize(("prompt", "reply"), [("a: ", "<think>\nthe Euro"), ("a: <think>", "Euro, or")])
def test_a_thought_that_was_cut_is_no_answer(prompt: str, reply: str) -> None:
    assert thinking.divide(prompt, reply) == (reply, "")
