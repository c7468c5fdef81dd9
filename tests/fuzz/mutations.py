"""Damaged copies of whole files: what disks, transfers, editors and exports do to them, drawn by seed.

Give it whole files by name; it yields damaged ones under the same kind of name. Knows bytes and
encodings, `documents` JSON; nothing of what reads them: who uses it says what is expected.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.fuzz import documents

_ENCODINGS = ("utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-8-sig", "utf-7")
_SPLICES = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\n", b"\r", b'"', b"{", b"[" * 3000, b"9" * 5000, b"-", b"1e999", b"NaN",
    b"\\ud800", b'"\\ud800"', b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"null", b"{}", b",", b"]", b"\x1f\x8b", b"PAR1",
    b"\x28\xb5\x2f\xfd", b"9999-12-31T23:59:59-05:00", b"0001-01-01T00:00:00+01:00", "\u2028".encode(), b"$" * 70_000,
)  # fmt: skip
"""What parsers stumble over: signs of other formats, ends of ranges, depth, half characters, long runs."""
_AS_JSON = 0.6
"""Share of JSON files that stay JSON, or nearly."""
Draw = random.Random


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A damaged copy."""

    name: str
    """Name of the file that it was made from."""
    content: bytes
    how: str
    """For the message of a test that fails."""


def mutants(whole: Mapping[str, bytes], *, count: int, seed: int) -> Iterator[Mutant]:
    """This many damaged copies of these files; equal seeds give equal copies."""
    draw = random.Random(seed)  # noqa: S311 -- repeatable on purpose
    names = sorted(whole)
    for number in range(count):
        name = names[number % len(names)]
        content, steps = whole[name], []
        odd = documents.damaged(draw, name, content) if draw.random() < _AS_JSON else None
        if odd is not None:
            yield Mutant(name=name, content=odd, how=f"seed {seed}, number {number}: {name} odd JSON")
            continue
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            way = draw.choice(_WAYS)
            content = way(draw, content, whole[draw.choice(names)])
            steps.append(way.__name__.lstrip("_"))
        yield Mutant(name=name, content=content, how=f"seed {seed}, number {number}: {name} {' '.join(steps)}")


def _at(draw: Draw, content: bytes) -> int:
    """A place: anywhere, or near an end, where headers and footers are."""
    edge = min(64, len(content))
    return draw.choice((draw.randint(0, len(content)), draw.randint(0, edge), len(content) - draw.randint(0, edge)))


def _flip_bits(draw: Draw, content: bytes, _: bytes) -> bytes:
    found = bytearray(content)
    for _number in range(draw.choice((1, 1, 3, 40)) if found else 0):
        found[min(_at(draw, content), len(found) - 1)] ^= 1 << draw.randrange(8)
    return bytes(found)


def _truncate(draw: Draw, content: bytes, _: bytes) -> bytes:
    return content[: _at(draw, content)]


def _lose_the_beginning(draw: Draw, content: bytes, _: bytes) -> bytes:
    return content[_at(draw, content) :]


def _insert(draw: Draw, content: bytes, _: bytes) -> bytes:
    at = _at(draw, content)
    return content[:at] + draw.choice((draw.choice(_SPLICES), draw.randbytes(draw.randint(1, 40)))) + content[at:]


def _overwrite(draw: Draw, content: bytes, _: bytes) -> bytes:
    at, splice = _at(draw, content), draw.choice(_SPLICES)[:64]
    return content[:at] + splice + content[at + len(splice) :]


def _swap_chunks(draw: Draw, content: bytes, _: bytes) -> bytes:
    first, second, third = sorted(_at(draw, content) for _number in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def _repeat_a_chunk(draw: Draw, content: bytes, _: bytes) -> bytes:
    first, second = sorted(_at(draw, content) for _number in range(2))
    return content[:second] + content[first:second] * draw.choice((1, 2, 5)) + content[second:]


def _zero_a_chunk(draw: Draw, content: bytes, _: bytes) -> bytes:
    first, second = sorted(_at(draw, content) for _number in range(2))
    return content[:first] + bytes(second - first) + content[second:]


def _append_another(_: Draw, content: bytes, other: bytes) -> bytes:
    return content + other


def _become_another(_: Draw, _content: bytes, other: bytes) -> bytes:
    return other


def _encode_anew(draw: Draw, content: bytes, _: bytes) -> bytes:
    return content.decode("utf-8", "replace").encode(draw.choice(_ENCODINGS), "replace")


_WAYS: tuple[Callable[[Draw, bytes, bytes], bytes], ...] = (
    _flip_bits, _flip_bits, _truncate, _lose_the_beginning, _insert, _insert, _overwrite, _swap_chunks,
    _repeat_a_chunk, _zero_a_chunk, _append_another, _become_another, _encode_anew,
)  # fmt: skip
