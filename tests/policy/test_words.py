"""Words that do not belong here: where the project was written, by which means, and strings that live elsewhere.

The forbidden ones are put together from parts, so that this file does not contain them.
"""

import re
from pathlib import Path

import pytest

from tests.policy import checkout

GENERATED = ("go.sum", "go.mod")
LOCKS = checkout.ROOT / "requirements"

FORBIDDEN = {
    "host of a package registry": "|".join(
        re.escape(host)
        for host in (
            "pypi" + ".org",
            "python" + "hosted.org",
            "proxy." + "golang.org",
            "sum." + "golang.org",
            "deb." + "debian.org",
            "registry." + "npmjs.org",
            "crates" + ".io",
        )
    ),
    "path of one machine": "(?<![\\w.<}])/(?:" + "wo" + "rk|ro" + "ot|ho" + "me)/",
    "way of writing": "(?i)\\b(?:"
    + "|".join(
        (
            "CE" + "O",
            "chat" + "gpt",
            "clau" + "de",
            "co" + "pilot",
            "sub" + "agents?",
            "ai" + " (?:assist" + "|agent|tool)",
        )
    )
    + ")",
    "unfinished work": "\\b(?:" + "TO" + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\\b",
}


def _readable() -> list[Path]:
    return [path for path in checkout.text_files() if path.name not in GENERATED and not path.is_relative_to(LOCKS)]


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_no_file_contains_a(kind: str) -> None:
    pattern = re.compile(FORBIDDEN[kind])
    found = []
    for path in _readable():
        if kind == "path of one machine" and path.name == "Dockerfile":
            continue  # the paths inside an image are its own
        text = path.read_text(encoding="utf-8")
        found += [
            f"{checkout.name(path)}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    assert found == []


def test_keys_of_our_api_group_are_written_in_one_python_file() -> None:
    key = re.compile(r"""(?<=["'])modelrefresh\.""" + r"dev/")
    names = checkout.SOURCE_ROOTS[0] / "api" / "names.py"
    literal = [
        checkout.name(path)
        for path in checkout.production_files()
        if path != names and key.search(path.read_text(encoding="utf-8"))
    ]
    assert literal == []
