"""JSON that is JSON, or nearly, but not what was expected: wrong types, odd numbers and texts, depth, lost keys.

Knows JSON documents, JSON lines and the JSON header of a safetensors file; `mutations` knows bytes.
"""

import json
import random
from typing import Any

_RAW = (
    *('"a string"', '""', '"\\u0000"', '"\\ud800"', '"\\udc00x"', '"' + "a" * 5000 + '"', '"\\u202e\\ufeff"', '"é\\n"'),
    *("null", "true", "false", "0", "-1", "1", "2147483648", "-9223372036854775809", "0.5", "1e999", "-1e999", "NaN"),
    *("Infinity", "9" * 400, "9" * 5000, "-0.0", "1e-320", "[]", "{}", "[[]]", "[null]", '{"a": 1}', '{"": {}}'),
    *("[" * 500 + "]" * 500, "[" * 40_000 + "]" * 40_000, '{"a":' * 3000 + "1" + "}" * 3000, "01", "'a'", "undefined"),
    *('{"a": 1, "a": "2"}', '["x", 1]', '{"type": "ByteLevel"}', '{"content": 3}', '"{{"', '"{% for %}"', '"(((("'),
    *('"../x"', '"/etc/passwd"', '"9999-12-31T23:59:59-05:00"', '"0001-01-01T00:00:00+01:00"', '"[a-"', '"1e400"'),
)  # fmt: skip
_HOLE = "\u2063hole\u2063"
_LENGTH = 8
"""Bytes before a safetensors header that tell its length."""


def damaged(draw: random.Random, name: str, content: bytes) -> bytes | None:
    """The file with one odd value, key or text in a place where it holds JSON; None where it holds none."""
    try:
        if name.endswith(".jsonl"):
            lines = content.splitlines(keepends=True)
            place = draw.randrange(len(lines))
            lines[place] = _document(draw, lines[place]) + b"\n"
            return b"".join(lines)
        if name.endswith(".safetensors"):
            end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
            header = _document(draw, content[_LENGTH:end])
            return len(header).to_bytes(_LENGTH, "little") + header + content[end:]
        return _document(draw, content) if name.endswith(".json") else None
    except (ValueError, RecursionError):
        return None


def _document(draw: random.Random, text: bytes) -> bytes:
    changed = _odd(draw, json.loads(text))
    rendered = json.dumps(changed, ensure_ascii=draw.random() < 0.5)
    holes = json.dumps(_HOLE), json.dumps(_HOLE, ensure_ascii=False)
    for hole in holes:
        rendered = rendered.replace(hole, draw.choice(_RAW))
    return rendered.encode("utf-8", "surrogatepass")


def _odd(draw: random.Random, value: Any) -> Any:  # noqa: ANN401 -- JSON
    """The value with a hole or another key at one place, most often deep within."""
    if not isinstance(value, dict | list) or not value or draw.random() < 0.1:
        return _HOLE
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, changed = draw.choice(keys), dict(value) if isinstance(value, dict) else list(value)
    way = draw.choice(("within", "within", "within", "within", "drop", "add"))
    if way == "drop":
        del changed[key]
    elif way == "add" and isinstance(changed, dict):
        changed[draw.choice(("", "x", "é", "a" * 300, f"{key} ", "\ud800"))] = changed[key]
    elif way == "add":
        changed.append(_HOLE)
    else:
        changed[key] = _odd(draw, value[key])
    return changed
