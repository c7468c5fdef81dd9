"""Stage `search`: where the spec asks for it, the residual's factor is chosen by questions that no gate asks."""

import math
from typing import Any

from modelrefresh.api.spec import RefreshSpec
from modelrefresh.api.status.run import Run, StageRecord
from modelrefresh.api.status.stage_facts import ScaleFacts, SearchFacts
from modelrefresh.contract.stages.search import SearchInput, SearchSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh.plan.observed import ReadyRefresh
from modelrefresh.plan.stages import merge, shared_inputs
from modelrefresh.plan.stages.run_stage import RunStage, Size, UnusableSummaryError


def _ask(ready: ReadyRefresh, run: Run) -> SearchInput:
    search, evaluation = ready.spec.residual.search, ready.spec.evaluation
    assert search is not None  # noqa: S101 -- or the run would not have this stage
    return SearchInput(
        merge=merge.ask(ready, run),
        scales=tuple(map(float, search.scales)),
        suites=shared_inputs.suites(search.suites),
        max_items=evaluation.max_items,
        max_new_tokens=evaluation.max_new_tokens,
    )


def _found(_: StageRecord, summary: SearchSummary, spec: RefreshSpec) -> dict[str, Any]:
    said = {float(text): text for text in (spec.residual.search.scales if spec.residual.search else ())}
    if odd := [one for one in (summary.scale, *(one.scale for one in summary.scores)) if one not in said]:
        raise UnusableSummaryError(f"search: {odd[0]:g} is none of the factors of spec.residual.search")
    if odd := [one.score for one in summary.scores if not (math.isfinite(one.score) and 0 <= one.score <= 1)]:
        raise UnusableSummaryError(f"search.scores: {odd[0]} where scores go from 0 to 1")
    # As the owner wrote them: a status would round them, and merge is asked for what stands there.
    scores = [ScaleFacts.of(one, scale=said[one.scale]) for one in summary.scores]
    return {"search": SearchFacts(scale=said[summary.scale], scores=tuple(scores))}


def _note(asked: SearchInput) -> dict[str, Any]:
    return {"incumbent": asked.merge.previous}


def _size(spec: RefreshSpec) -> Size:
    return Size(gpus=min(spec.training.gpus_per_node, 1))


def _wanted(spec: RefreshSpec) -> bool:
    return spec.residual.search is not None


STAGE = RunStage(name=Stage.SEARCH, ask=_ask, found=_found, note=_note, size=_size, wanted=_wanted)
