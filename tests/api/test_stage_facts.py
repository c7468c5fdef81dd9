"""What the status keeps of a stage's summary is what the summary says."""

import dataclasses

import pytest

from modelrefresh.api.status import stage_facts
from modelrefresh.api.status.record import Record
from modelrefresh.api.status.residual import ResidualStatus
from modelrefresh.api.status.stage_facts import (
    EvaluateFacts,
    MergeFacts,
    PrepareFacts,
    ScaleFacts,
    ScoreFacts,
    SearchFacts,
    TrainFacts,
    VerdictFacts,
)
from modelrefresh.contract.stages.evaluate import EvaluateSummary, Score
from modelrefresh.contract.stages.extract import ExtractSummary
from modelrefresh.contract.stages.merge import MergeSummary
from modelrefresh.contract.stages.prepare import PrepareSummary
from modelrefresh.contract.stages.search import ScaleScore, SearchSummary
from modelrefresh.contract.stages.train import TrainSummary
from modelrefresh.plan.judging.gates import GateVerdict

MADE_FROM: dict[type[Record], type] = {
    PrepareFacts: PrepareSummary,
    TrainFacts: TrainSummary,
    SearchFacts: SearchSummary,
    ScaleFacts: ScaleScore,
    MergeFacts: MergeSummary,
    ScoreFacts: Score,
    VerdictFacts: GateVerdict,
}


@pytest.mark.parametrize(("kept", "said"), MADE_FROM.items())
def test_every_fact_that_is_kept_is_said_under_the_same_name(kept: type[Record], said: type) -> None:
    assert set(kept.model_fields) - {field.name for field in dataclasses.fields(said)} == set()


def test_an_evaluation_keeps_what_was_said_and_the_verdicts() -> None:
    said = {field.name for field in dataclasses.fields(EvaluateSummary)}
    assert set(EvaluateFacts.model_fields) - said == {"verdicts"}


def test_a_residual_keeps_all_that_is_said_of_it() -> None:
    assert {field.name for field in dataclasses.fields(ExtractSummary)} <= set(ResidualStatus.model_fields)


def test_no_facts_are_made_by_another_way() -> None:
    named = {one for one in vars(stage_facts).values() if isinstance(one, type) and one.__name__.endswith("Facts")}
    assert named - set(MADE_FROM) == {EvaluateFacts, stage_facts.OverlapFacts}
