"""What several stages are asked alike."""

from collections.abc import Iterable

from modelrefresh.api.evaluation import Suite
from modelrefresh.contract.stages.evaluate import SuiteInput
from modelrefresh.contract.vocabulary import Strategy
from modelrefresh.plan.observed import ReadyRefresh


def start(ready: ReadyRefresh) -> str:
    """What training starts from (arXiv 2410.10739): the base in Setting 2, the instruct model in Setting 1."""
    direct = ready.spec.training.strategy is Strategy.DIRECT
    return ready.residual.instruct if direct else ready.spec.base.uri


def start_fingerprint(ready: ReadyRefresh) -> str | None:
    """What the start's weights must be; with a transfer nobody knows before they are read."""
    if ready.spec.residual_ref.transfer:
        return None
    direct = ready.spec.training.strategy is Strategy.DIRECT
    return ready.residual.instruct_fingerprint if direct else ready.residual.base_fingerprint


def incumbent(ready: ReadyRefresh) -> str | None:
    """Digest of what serves; None if nothing does."""
    return ready.status.live.digest if ready.status.live else None


def suites(named: Iterable[Suite], *, dev: bool | None = None) -> tuple[SuiteInput, ...]:
    """The owner's suites in the words of the stages."""
    return tuple(SuiteInput(name=suite.name, uri=suite.uri, task=suite.task, dev=dev) for suite in named)
