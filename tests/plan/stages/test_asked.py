"""What a stage was asked stands in its record: what is said and done later follows from it, not from today's spec."""

import dataclasses
from typing import Any

import pytest

from modelrefresh.api.status.refresh import RefreshStatus
from modelrefresh.api.status.run import Outcome, Run, StageRecord, StageState
from modelrefresh.api.status.stage_facts import SearchFacts
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.manifests import version
from modelrefresh.plan.actions import SealVersion
from modelrefresh.plan.decide import decide
from modelrefresh.plan.stages import stage_records
from tests.plan.sights import (
    NEWER,
    NOW,
    STOCK,
    a_deployment,
    a_ref,
    a_run,
    a_sight,
    a_status,
    a_version,
    inputs_of,
)

SAFE = "a" * 64
DEV: dict[str, object] = {"name": "dev", "uri": "pvc://evals/dev.jsonl", "task": "question-answering"}
SEARCH: dict[str, object] = {"spec.residual.search": {"scales": ["0.6", "1.0"], "suites": [DEV]}}
AVERAGE: dict[str, object] = {**SEARCH, "spec.average": {"previous": "0.3"}}
TRANSFER: dict[str, object] = {"spec.residualRef.transfer": "SameFamily", "spec.rollout.stock": "Instruct"}
ABSOLUTE = {"suite": "knowledge", "metric": "exact_match", "versus": "Absolute", "minScore": "0.5"}
PASS = {"suite": "s", "metric": "m", "versus": "Incumbent", "needed": "0", "verdict": "Pass"}
SEARCHED = StageRecord(name=Stage.SEARCH, state=StageState.SUCCEEDED, attempt=1, search=SearchFacts(scale=0.6))


def begun(stage: Stage, edits: dict[str, object], run: Run, **change: Any) -> StageRecord:  # noqa: ANN401
    """The record of a stage's attempt that has just begun."""
    status = a_status(run=run.evolve(inputs=inputs_of(edits)), **change)
    after = decide(a_sight(edits, status=status), NOW).status.run
    record = after.record(stage) if after else None
    assert record is not None
    assert record.at_work
    return record


def importing(stock: str, state: StageState = StageState.RUNNING) -> RefreshStatus:
    """The first run makes version zero as this was asked for."""
    record = StageRecord(
        name=Stage.IMPORT,
        state=state,
        attempt=1,
        transferred=stock == "Transferred",
        digest=STOCK if state is StageState.SUCCEEDED else None,
    )
    run = a_run(inputs=inputs_of(TRANSFER))
    return RefreshStatus(run=run.evolve(stages=(record, *run.stages)))


def judged(*, search: str, merge: str, evaluate: str) -> Run:
    """A run that has passed; its stages were asked with these versions."""
    run = a_run(Stage.EVALUATE, inputs=inputs_of(AVERAGE))
    merged, measured = run.record(Stage.MERGE), run.record(Stage.EVALUATE)
    assert merged is not None
    assert measured is not None
    facts = {"incumbent": evaluate, "verdicts": [PASS]}
    ended = measured.evolve(state="Succeeded", digest=SAFE, incumbent=evaluate, evaluate=facts)
    sums = (SEARCHED.evolve(incumbent=search), merged.evolve(incumbent=merge, digest=SAFE, merge={"digest": SAFE}))
    return run.evolve(stages=(*run.stages[:2], *sums, ended))


def lineage(edits: dict[str, object], run: Run, *, stock: bool = False, **change: Any) -> dict[str, Any]:  # noqa: ANN401
    """What is said of a version that this run sealed."""
    seal = SealVersion(name="news-aaaaaaaa", digest=SAFE, run=run, stock=stock)
    found: dict[str, Any] = version.build(seal, a_sight(edits, **change))["spec"]["lineage"]
    return found


def test_search_merge_and_evaluate_record_the_version_that_they_were_asked_with() -> None:
    run = a_run(Stage.MERGE)
    searching = run.evolve(stages=(*run.stages[:2], StageRecord(name=Stage.SEARCH), *run.stages[2:]))
    assert begun(Stage.SEARCH, AVERAGE, searching).incumbent == STOCK
    assert begun(Stage.MERGE, AVERAGE, run).incumbent == STOCK
    measuring = judged(search=STOCK, merge=STOCK, evaluate=STOCK)
    unmeasured = stage_records.put(measuring, StageRecord(name=Stage.EVALUATE))
    assert begun(Stage.EVALUATE, AVERAGE, unmeasured).incumbent == STOCK


def test_a_merge_that_averages_nothing_records_no_version() -> None:
    assert begun(Stage.MERGE, {}, a_run(Stage.MERGE)).incumbent is None


@pytest.mark.parametrize("stock", ["Instruct", "Transferred"])
def test_import_records_which_version_zero_it_was_asked_for(stock: str) -> None:
    run = a_run()
    first = run.evolve(stages=(StageRecord(name=Stage.IMPORT), *run.stages))
    record = begun(Stage.IMPORT, {**TRANSFER, "spec.rollout.stock": stock}, first, stock=None)
    assert record.transferred is (stock == "Transferred")


@pytest.mark.parametrize("state", [StageState.RUNNING, StageState.SUCCEEDED])
@pytest.mark.parametrize(("asked_for", "wanted"), [("Instruct", "None"), ("Instruct", "Transferred")])
def test_another_stock_model_takes_the_place_of_a_run_that_imports(
    asked_for: str, wanted: str, state: StageState
) -> None:
    edits = {**TRANSFER, "spec.rollout.stock": wanted, "spec.evaluation.gates": [ABSOLUTE]}
    status = importing(asked_for, state)
    assert status.run is not None
    status = status.evolve(run=status.run.evolve(inputs=inputs_of(edits)))
    sight = a_sight(edits, status=status, versions=(), target=a_deployment(digest=None))
    ended = decide(sight, NOW).status
    assert ended.run is not None
    assert (ended.run.outcome, ended.stock) == (Outcome.SUPERSEDED, None)
    opened = decide(dataclasses.replace(sight, status=ended), NOW).status.run
    assert opened is not None
    assert (opened.outcome, opened.stages[0].name is Stage.IMPORT) == (None, wanted != "None")


def test_what_a_superseded_run_has_imported_is_not_registered() -> None:
    status = importing("Instruct", StageState.SUCCEEDED)
    assert status.run is not None
    status = status.evolve(run=status.run.evolve(outcome="Superseded"))
    plan = decide(a_sight(TRANSFER, status=status, versions=(), target=a_deployment(digest=None)), NOW)
    assert plan.status.stock is None


def test_a_run_that_imports_what_is_wanted_goes_on() -> None:
    status = importing("Instruct", StageState.SUCCEEDED)
    plan = decide(a_sight(TRANSFER, status=status, versions=(), target=a_deployment(digest=None)), NOW)
    assert plan.status.stock is not None
    assert plan.status.stock.digest == STOCK


def test_a_stock_model_that_is_no_longer_wanted_is_not_rolled_out() -> None:
    edits: dict[str, object] = {"spec.rollout.stock": "None", "spec.evaluation.gates": [ABSOLUTE]}
    status = a_status(live=None, run=a_run(inputs=inputs_of(edits)))
    plan = decide(a_sight(edits, status=status, target=a_deployment(digest=None)), NOW)
    assert plan.status.rollout is None


def test_the_stock_s_lineage_is_what_was_imported_whatever_the_spec_says_now() -> None:
    edits = {**TRANSFER, "spec.rollout.stock": "Transferred"}
    found = [importing(stock, StageState.SUCCEEDED).run for stock in ("Instruct", "Transferred")]
    assert [lineage(edits, run, stock=True)["strategy"] for run in found if run] == ["Stock", "Transferred"]


@pytest.mark.parametrize(("previous", "share"), [(STOCK, "0.3"), (None, None)])
def test_a_candidate_s_lineage_says_a_share_only_where_something_was_averaged_in(
    previous: str | None, share: str | None
) -> None:
    run = judged(search=STOCK, merge=STOCK, evaluate=STOCK)
    merged = run.record(Stage.MERGE)
    assert merged is not None
    run = stage_records.put(run, merged.evolve(incumbent=previous))
    assert lineage(AVERAGE, run).get("average") == share
    assert lineage(AVERAGE, run, status=a_status(live=None)).get("average") == share


@pytest.mark.parametrize(
    ("asked_with", "again"),
    [
        ({"search": NEWER, "merge": NEWER, "evaluate": STOCK}, [Stage.EVALUATE]),
        ({"search": NEWER, "merge": STOCK, "evaluate": NEWER}, [Stage.MERGE, Stage.EVALUATE]),
        ({"search": STOCK, "merge": NEWER, "evaluate": NEWER}, [Stage.SEARCH, Stage.MERGE, Stage.EVALUATE]),
        ({"search": STOCK, "merge": STOCK, "evaluate": STOCK}, [Stage.SEARCH, Stage.MERGE, Stage.EVALUATE]),
    ],
)
def test_what_was_averaged_with_another_version_than_serves_now_is_done_again(
    asked_with: dict[str, str], again: list[Stage]
) -> None:
    status = a_status(run=judged(**asked_with), live=a_ref(NEWER), candidate=a_ref(SAFE))
    versions = (a_version(), a_version(NEWER, served=True))
    after = decide(a_sight(AVERAGE, status=status, versions=versions, target=a_deployment(digest=NEWER)), NOW).status
    assert after.run is not None
    assert [one.name for one in after.run.stages if one.state is StageState.WAITING] == again
    assert {one.digest for one in after.run.stages if one.name in again} == {None}
    assert (stage_records.candidate(after.run) is None, stage_records.scale(after.run) is None) == (
        Stage.MERGE in again,
        Stage.SEARCH in again,
    )


def test_without_an_average_another_live_version_is_only_measured_against() -> None:
    run = judged(search=STOCK, merge=STOCK, evaluate=STOCK).evolve(inputs=inputs_of(SEARCH))
    status = a_status(run=run, live=a_ref(NEWER))
    versions = (a_version(), a_version(NEWER, served=True))
    after = decide(a_sight(SEARCH, status=status, versions=versions, target=a_deployment(digest=NEWER)), NOW).status
    assert after.run is not None
    assert [one.name for one in after.run.stages if one.state is StageState.WAITING] == [Stage.EVALUATE]
