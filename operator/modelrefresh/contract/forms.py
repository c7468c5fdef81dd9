"""Texts with a form: places, digests, dates, amounts of memory such as `80Gi` or `80GB`."""

import re
from typing import Annotated, Final

from modelrefresh.contract import codec

URI = codec.Form(pattern=r"[a-z0-9]+://.*", says="a URI")
DIGEST = codec.Form(pattern=r"[0-9a-f]{64}", says="a digest of 64 digits 0-9a-f")
DATE = codec.Form(pattern=r"\d{4}-\d\d-\d\d(T[0-9:.]{4,15}([+-]\d\d:\d\d|Z)?)?", says="an ISO date")
NAME = codec.Form(pattern=r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}", says="a name of letters, digits, '.', '_' and '-'")
TENSORS = codec.Form(pattern=r"[A-Za-z0-9_.*?]+", says="a shell pattern of tensors' names, without classes")
Name = Annotated[str, NAME]
"""What becomes one part of a path."""
Uri = Annotated[str, URI]
"""Where something is read from."""
Digest = Annotated[str, DIGEST]
"""A sealed folder of the workspace by its content; nothing else, so that no request of a pod can name a path."""
MEMORY: Final = codec.Form(
    pattern=r"[1-9][0-9]{0,5}(\.[0-9]{1,3})?[MGT]i?B?",
    says="an amount of memory such as 80Gi or 80GB: a number from 1 and one of "
    "M, MB, Mi, MiB, G, GB, Gi, GiB, T, TB, Ti, TiB",
)
Memory = Annotated[str, MEMORY]
"""An amount of memory: `Gi` counts in powers of 1024, `G` and `GB` in powers of 1000."""
_POWERS: Final = {"M": 2, "G": 3, "T": 4}


def memory_spelled(text: str) -> str:
    """An amount as people write it at a shell, `80 gb`, in the one spelling; other texts need not make sense."""
    return "".join(text.split()).upper().replace("I", "i")


def in_bytes(text: str) -> int:
    """The number of bytes.

    Raises:
        ValueError: it is no amount of memory.
    """
    if not re.fullmatch(MEMORY.pattern, text):
        raise ValueError(f"{text!r}; expected {MEMORY.says}")
    unit = text.lstrip("0123456789.")
    return int(float(text.removesuffix(unit)) * (1024 if "i" in unit else 1000) ** _POWERS[unit[0]])
