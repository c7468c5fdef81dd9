"""Separation of thoughts and answer in a reply: models that think first write their thoughts between two marks.

Some open the thoughts themselves, for some the chat template does at the end of the prompt. A reply
that was cut within its thoughts has no answer. Knows nothing of scores.
"""

OPEN, CLOSE = "<think>", "</think>"
"""Marks of Qwen3, DeepSeek R1 and models distilled from it."""
SWITCH = {"enable_thinking": False}
"""Template variables that turn thinking off; templates without such a switch ignore them."""


def divide(prompt: str, reply: str) -> tuple[str, str]:
    """(thoughts, answer) of a reply, the closing mark among the thoughts; one of the two may be empty."""
    if not (prompt.rstrip().endswith(OPEN) or reply.lstrip().startswith(OPEN)):
        return "", reply
    thoughts, closed, answer = reply.partition(CLOSE)
    return thoughts + closed, answer
