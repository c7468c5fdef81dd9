"""What of a reply is its answer: models that think first write their thoughts between two marks.

Some open the thoughts themselves, for some the chat template does at the end of the prompt. A
thought that was cut is no answer. Knows nothing of what an answer is worth.
"""

OPEN, CLOSE = "<think>", "</think>"
"""Of Qwen3, of DeepSeek R1 and of what was distilled from it."""
SWITCH = {"enable_thinking": False}
"""What templates of models that can do both heed; others pass over a name that they do not know."""


def divide(prompt: str, reply: str) -> tuple[str, str]:
    """Thoughts and answer of a reply; one of the two may be empty."""
    if not (prompt.rstrip().endswith(OPEN) or reply.lstrip().startswith(OPEN)):
        return "", reply
    thoughts, closed, answer = reply.partition(CLOSE)
    return thoughts + closed, answer
