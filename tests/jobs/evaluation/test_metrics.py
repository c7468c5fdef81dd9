"""The table of metrics, which admission reads, and the scorers of the worker are one list."""

import pkgutil

import pytest

from modelrefresh.contract import metrics
from modelrefresh.contract.vocabulary import Task
from modelrefresh_jobs.evaluation import metrics as scorers
from modelrefresh_jobs.evaluation import scoring


@pytest.mark.parametrize("metric", [metric.name for metric in metrics.METRICS])
def test_every_metric_that_a_gate_may_name_has_a_scorer(metric: str) -> None:
    assert callable(scoring.scorer(metric).score)


def test_every_scorer_is_a_metric_that_a_gate_may_name() -> None:
    files = {module.name for module in pkgutil.iter_modules(scorers.__path__)}
    assert files == {metric.name for metric in metrics.METRICS}


@pytest.mark.parametrize("task", Task)
def test_every_task_yields_a_metric(task: Task) -> None:
    assert metrics.of(task)
