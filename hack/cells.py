"""Words and code as cells of a Markdown table."""

import re


def plain(text: str) -> str:
    """A text that shows as it is: what Markdown would take for its own is escaped outside of code spans."""
    return "".join(
        part.replace("|", r"\|") if part.startswith("`") else re.sub(r"([\\*<\[\]|])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", " ".join(text.split()))
    )


def code(text: str) -> str:
    """A code span."""
    return f"`{text}`".replace("|", r"\|")
