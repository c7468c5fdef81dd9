"""How a test of the suite says what it attacks.

`@attack` says what is tried, by whom and how it ends; `docs/security.md` shows all of them in a table
that `make crds` writes. Numbers are those of the first audit, so that none of its kinds gets lost.
"""

from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What a test tries."""

    does: str
    """What the attacker does, in a few words."""
    by: str
    """Who can try it: what rights or access it takes."""
    ends: str
    """How it ends: refused or contained, and with which reason or where."""
    kinds: tuple[int, ...] = ()
    """Numbers of the first audit's kinds."""


def attack(*kinds: int, does: str, by: str, ends: str) -> Any:  # noqa: ANN401 -- pytest's decorators are untyped
    """Mark a test as an attack."""
    return pytest.mark.attack(Attack(does=does, by=by, ends=ends, kinds=kinds))
