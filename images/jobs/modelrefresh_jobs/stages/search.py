"""Stage `search`: merge with each factor of the residual in turn, ask, and say which answers best.

Trains nothing. One candidate at a time lies in the stage's own folder and goes when it has answered; the one that may
serve is made by `merge`. Its suites are no gate's, so that choosing by them does not flatter the candidate.
"""

import pathlib
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelrefresh.contract import metrics
from modelrefresh.contract.stages.search import ScaleScore, SearchInput, SearchSummary
from modelrefresh.contract.vocabulary import Stage
from modelrefresh_jobs import preflight
from modelrefresh_jobs.evaluation import asking, generation, suites
from modelrefresh_jobs.evaluation.suites import Item, Suite
from modelrefresh_jobs.models import prompts
from modelrefresh_jobs.process.progress import Progress
from modelrefresh_jobs.storage import sealed
from modelrefresh_jobs.storage.run_folders import RunFolders
from modelrefresh_jobs.weights import candidate, merge_sources
from modelrefresh_jobs.weights.candidate import Checked

_PAPER = 1.0
"""The factor that arXiv 2410.10739 adds the residual with."""


def artifact(_folders: RunFolders, _summary: SearchSummary) -> pathlib.Path | None:
    """Nothing: the result is all."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What each factor is asked."""

    wanted: SearchInput
    suites: Mapping[str, Suite]
    items: Mapping[str, Sequence[Item]]
    progress: Progress

    @property
    def questions(self) -> int:
        """Of all suites."""
        return sum(map(len, self.items.values()))


def run(wanted: SearchInput, folders: RunFolders, progress: Progress) -> SearchSummary:
    """Try all factors.

    Raises:
        StageError: EvaluationUnreadable, ModelUnreadable, InvalidSpec, or what `merge` says.
    """
    loaded = suites.load_all(wanted.suites, folders)
    items = suites.choose(loaded, wanted.max_items)
    found = merge_sources.of(wanted.merge, folders, trained=folders.trained, deep=True)
    work = _Search(wanted=wanted, suites=loaded, items=items, progress=progress)
    progress.report(0, len(wanted.scales) * work.questions, unit="answers")
    # What this warns of, the stage `merge` will say once.
    checked = candidate.check(found, Progress(stage=Stage.SEARCH))
    scores: list[ScaleScore] = []
    for scale in wanted.scales:
        folder = _merge(checked.scaled(scale), folders)
        scores.append(_score(work, scale, folder))
        shutil.rmtree(folder)
    return SearchSummary(scale=best(scores), scores=tuple(scores))


def best(scores: Sequence[ScaleScore]) -> float:
    """The factor that scored best; of equals the one nearest to 1, then the smaller."""
    return min(scores, key=lambda one: (-one.score, abs(one.scale - _PAPER), one.scale)).scale


def _merge(checked: Checked, folders: RunFolders) -> pathlib.Path:
    scratch = folders.scratch(Stage.SEARCH)
    target = scratch / "candidate"
    shutil.rmtree(target, ignore_errors=True)
    with sealed.draft(scratch, kind=candidate.KIND, label="candidate", attempt=folders.attempt) as made:
        candidate.write(checked, made, progress=Progress(stage=Stage.SEARCH), target=target)
    return target


def _score(work: _Search, scale: float, folder: pathlib.Path) -> ScaleScore:
    limit, means = work.wanted.max_new_tokens, []
    preflight.check_answers(prompts.load(folder), work.items, max_new_tokens=limit)
    chat = generation.Chat(folder)
    for name, suite in work.suites.items():
        metric, *_ = metrics.of(suite.task)
        answers = asking.ask(chat, suite.task, work.items[name], limit=limit, progress=work.progress)
        means.append(statistics.fmean(figures[metric] for figures in answers.figures))
    return ScaleScore(scale=scale, score=statistics.fmean(means), items=work.questions)
