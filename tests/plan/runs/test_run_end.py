"""What is remembered of a run's data: how fresh it is, what was left out of it, and how much of a suite it holds."""

import datetime

import pytest

from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.api.status.stage_facts import PrepareFacts
from modelrefresh.contract.exit_codes import ExitCode
from modelrefresh.contract.result import Result
from modelrefresh.contract.stages.prepare import PrepareSummary
from modelrefresh.contract.vocabulary import Sampling, Stage
from modelrefresh.plan.actions import StartStage
from modelrefresh.plan.attempts import stage_results
from modelrefresh.plan.decide import decide
from modelrefresh.plan.observed import JobState
from modelrefresh.plan.runs import run_end
from modelrefresh.plan.stages import stage_records
from tests.plan.sights import NOW, a_context, a_job, a_run, a_sight, a_status, at_work, inputs_of

INTAKE = datetime.datetime(2026, 11, 20, 23, 0, tzinfo=datetime.UTC)


def a_prepared_run(newest: str | None) -> Run:
    run = a_run(Stage.TRAIN)
    record = run.record(Stage.PREPARE)
    assert record is not None
    return stage_records.put(run, record.evolve(end_time=INTAKE, prepare=PrepareFacts(fingerprint="f", newest=newest)))


@pytest.mark.parametrize(
    ("newest", "fresh"),
    [
        ("2026-11-19T12:00:00+00:00", "2026-11-19"),
        (None, "2026-11-20"),
        ("9999-12-31T23:59:59+00:00", "2026-11-20"),
        ("2026-11-21", "2026-11-20"),
        ("soon", "2026-11-20"),
        ("", "2026-11-20"),
    ],
)
def test_data_is_as_fresh_as_its_newest_document_and_never_fresher_than_its_intake(
    newest: str | None, fresh: str
) -> None:
    assert run_end.freshness(a_prepared_run(newest)) == fresh


def record_of(**answer: object) -> StageRecord:
    """The stage's record after this answer of the prepare stage."""
    given = {
        "fingerprint": "f",
        "unchanged": False,
        "documents": 9,
        "kept": 7,
        "tokens": 90,
        "replay_tokens": 0,
        "blocks": 3,
    }
    summary = PrepareSummary(**(given | answer))  # type: ignore[arg-type]
    said = Result(stage=Stage.PREPARE, run="r1", attempt=1, exit_code=ExitCode.OK, summary=summary)
    job = a_job(Stage.PREPARE, state=JobState.SUCCEEDED, result=said, finished=NOW)
    context = a_context(now=NOW)
    after = stage_results.observe_jobs(at_work(Stage.PREPARE), [job], context)
    record = after.run.record(Stage.PREPARE) if after.run else None
    assert record is not None
    return record


def facts_of(**answer: object) -> PrepareFacts:
    """What the status keeps of this answer."""
    found = record_of(**answer).prepare
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("generated", "said"), [(0, ""), (7, "replay: the model wrote 7 documents"), (10**9, "replay: the model wrote")]
)
def test_how_much_the_model_wrote_itself_stands_in_the_message_of_the_stage(generated: int, said: str) -> None:
    message = record_of(generated=generated, replay_tokens=500).message
    assert message.startswith(said)
    assert bool(message) == bool(said)
    assert len(message) < 104


def test_what_was_left_out_and_how_much_of_the_suites_was_learnt_stands_in_the_status() -> None:
    found = facts_of(
        overlap={"a": 0.0, "facts": 0.25, "b": 0, "c": 0, "d": 0.0},
        cut=1,
        unusable_dates=2,
        ignored_files=3,
        ignored_examples="a.csv, b.csv, c.csv",
    )
    assert [(item.suite, item.share) for item in found.overlap] == [
        ("facts", "0.2500"),
        *((suite, "0.0000") for suite in "abc"),
    ]
    assert (found.cut, found.unusable_dates, found.ignored_files) == (1, 2, 3)
    assert found.ignored_examples == "a.csv, b.csv, c.csv"


def test_what_a_stage_of_an_older_release_does_not_say_is_absent() -> None:
    found = facts_of()
    assert (found.cut, found.unusable_dates, found.ignored_files, found.overlap) == (None, None, None, ())


@pytest.mark.parametrize("sampling", list(Sampling))
def test_the_prepare_stage_is_told_which_documents_to_take_first(sampling: Sampling) -> None:
    edits: dict[str, object] = {"spec.data.sampling": sampling.value}
    status = a_status(run=a_run(Stage.PREPARE, inputs=inputs_of(edits)))
    (start,) = decide(a_sight(edits, status=status), NOW).actions
    assert isinstance(start, StartStage)
    asked = start.request.section
    assert asked is not None
    assert asked.sampling is sampling
