"""Where the prefixes of allowed sources end."""

import pytest

from modelrefresh.contract import uris


@pytest.mark.parametrize(
    ("prefix", "uri"),
    [
        ("pvc://", "pvc://anything/at/all"),
        ("pvc://corpus", "pvc://corpus/"),
        ("pvc://corpus", "pvc://corpus/a/b"),
        ("pvc://corpus/public", "pvc://corpus/public"),
        ("pvc://corpus/public", "pvc://corpus/public/"),
        ("pvc://corpus/public/", "pvc://corpus/public"),
        ("pvc://corpus/public/", "pvc://corpus/public/a.jsonl"),
        ("hf://", "hf://org/name@" + "0" * 40),
        ("hf://org", "hf://org/name@" + "0" * 40),
        ("hf://org/name", "hf://org/name@" + "0" * 40),
        ("hf://org/name@" + "0" * 40, "hf://org/name@" + "0" * 40),
    ],
)
def test_a_prefix_covers_itself_and_what_lies_below(prefix: str, uri: str) -> None:
    assert uris.covers(prefix, uri)


@pytest.mark.parametrize(
    ("prefix", "uri"),
    [
        ("pvc://models", "pvc://models-of-the-other-team/x"),
        ("pvc://corpus/public", "pvc://corpus/public-embargoed/x"),
        ("pvc://corpus/public", "pvc://corpus"),
        ("pvc://corpus/a@b", "pvc://corpus/a"),
        ("pvc://corpus/a", "pvc://corpus/a@b"),
        ("hf://meta-llama", "hf://meta-llama-evil/x@" + "0" * 40),
        ("hf://org/name", "hf://org/name-evil@" + "0" * 40),
        ("hf://", "pvc://corpus/x"),
    ],
)
def test_a_prefix_ends_at_a_boundary(prefix: str, uri: str) -> None:
    assert not uris.covers(prefix, uri)


def test_the_widest_of_several_prefixes_counts() -> None:
    prefixes = ("pvc://corpus/public/news", "pvc://corpus/public", "hf://org")
    assert uris.widest(prefixes, "pvc://corpus/public/news/a") == "pvc://corpus/public"


def test_no_prefix_is_the_widest_of_none_that_covers() -> None:
    assert uris.widest(("pvc://corpus",), "pvc://models/x") is None
