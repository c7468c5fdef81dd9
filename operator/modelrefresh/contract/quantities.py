"""The memory of a GPU as people write it, `80Gi` or `80GB`, in bytes."""

import re
from typing import Annotated, Final

from modelrefresh.contract import codec

_POWERS: Final = {"M": 2, "G": 3, "T": 4}
MEMORY: Final = codec.Form(
    pattern=r"[1-9][0-9]{0,5}(\.[0-9]{1,3})?[MGT]i?B?",
    says="an amount of memory such as 80Gi or 80GB: a number from 1 and one of "
    "M, MB, Mi, MiB, G, GB, Gi, GiB, T, TB, Ti, TiB",
)
Memory = Annotated[str, MEMORY]
"""An amount of memory: `Gi` counts in powers of 1024, `G` and `GB` in powers of 1000."""


def spelled(text: str) -> str:
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
