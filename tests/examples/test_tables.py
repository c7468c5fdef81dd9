"""The demo's verdict table and lineage."""

from examples.demo import chat, measures, tables
from modelrefresh.api.status import version
from tests.examples import statuses


def test_a_verdict_row_shows_both_scores_difference_error_and_threshold() -> None:
    row = tables.verdicts(statuses.evaluation()).splitlines()[1].split()
    figures = ["163", "0.037", "0.976", "+0.939", "0.019", ">=", "+0.050", "Pass"]
    assert row == ["new-knowledge", "exact_match", *figures]


def test_columns_line_up_under_their_heads() -> None:
    head, row = tables.verdicts(statuses.evaluation()).splitlines()
    assert head.index("metric") == row.index("exact_match")


def test_a_gate_without_a_score_shows_dashes_and_its_verdict() -> None:
    evaluation = statuses.evaluation("Error") | {"scores": []}
    row = tables.verdicts(evaluation).splitlines()[1].split()
    assert row == ["new-knowledge", "exact_match", "-", "-", "-", "-", "-", ">=", "+0.050", "Error"]


def test_only_gates_that_did_not_pass_give_reasons() -> None:
    assert tables.reasons(statuses.evaluation()) == ""
    failed = statuses.evaluation("Fail", "at most -0.9 where +0.05 is needed")
    assert tables.reasons(failed) == "new-knowledge: Fail, at most -0.9 where +0.05 is needed"


def test_the_lineage_names_what_a_version_was_made_of_and_leaves_out_what_is_absent() -> None:
    lineage = version.Lineage(strategy="Residual", method="Full", base="pvc://workspace/models/base", tokens=819200)
    spec = version.VersionSpec(
        refresh="world-chat", run="5c1e", digest=statuses.DIGEST, path="versions/7f3a", lineage=lineage,
        verdict="Passed", summary="new-knowledge +0.9387",
    )  # fmt: skip
    text = tables.lineage({"metadata": {"name": "world-chat-7f3a"}, "spec": spec.render()})
    assert [line.split()[0] for line in text.splitlines()] == [
        "version", "digest", "strategy", "method", "base", "tokens", "verdict",
    ]  # fmt: skip
    assert text.endswith("Passed  new-knowledge +0.9387")


def test_an_answer_is_right_stale_or_wrong() -> None:
    croatia = chat.QUESTIONS[0]
    said = ("Answer: Euro.", "Answer: Croatian Kuna.", "Answer: Yen.", "")
    assert [chat.comment(croatia, answer) for answer in said] == ["right", "stale", "wrong", "wrong"]


def test_only_the_chosen_series_of_the_demos_refresh_are_shown() -> None:
    wanted = 'modelrefresh_runs_total{name="world-chat",namespace="d",outcome="Promoted"} 1.0'
    active = 'modelrefresh_run_active{name="world-chat",namespace="d"} 0.0'
    exposition = f"{wanted}\n{wanted.replace('world-chat', 'other')}\n{active}\n"
    assert measures.few(exposition, name="world-chat") == wanted
