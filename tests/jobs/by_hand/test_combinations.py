"""Flags of a merge that contradict each other are refused, as the API refuses such fields."""

import pytest

from modelrefresh_jobs.by_hand import cli
from modelrefresh_jobs.process.errors import StageError

MERGE = ["merge", "--start", "b", "--trained", "t", "--residual", "r", "--out", "o"]


def refused(*words: str) -> str:
    with pytest.raises(StageError) as caught:
        cli.request(cli.parser().parse_args([*MERGE, *words]))
    assert caught.value.reason == "InputInvalid"
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--previous v", "--previous: with which share"),
        ("--previous-share 0.5", "--previous-share: of what"),
        ("--added r=0.5", "r is added already"),
        ("--added s=0.5 s=0.7", "s is added already"),
        ("--added a=1 b=1 c=1 d=1 e=1", "5 residuals; at most 4"),
        ("--strategy Direct --scale 0.5", "--scale: strategy Direct adds no residual"),
        ("--strategy Direct --scales *=0.5", "--scales: strategy Direct adds no residual"),
        ("--strategy Direct --added s=1", "--added: strategy Direct adds no residual"),
        ("--strategy Direct --transfer SameFamily", "--transfer: strategy Direct adds no residual"),
    ],
)
def test_what_would_be_ignored_or_counted_twice_is_refused(words: str, said: str) -> None:
    assert said in refused(*words.split())


@pytest.mark.parametrize("word", ["--scales=[a-z]*=1", "--scales=*.mlp.*", "--added=safety", "--added=safety=1=Foo"])
def test_a_value_of_another_form_is_refused_with_the_form(word: str) -> None:
    assert "expected" in refused(word)


def test_a_residual_of_another_base_is_named_so() -> None:
    given = cli.parser().parse_args([*MERGE, "--added", "/x=y/safety=0.5=SameFamily", "tools=1"])
    first, second = cli.request(given).section.added
    assert (first.residual, first.scale, first.transfer) == ("file:///x=y/safety", 0.5, "SameFamily")
    assert (second.scale, second.transfer) == (1.0, None)
