"""Metrics of evaluation, once for both sides: admission accepts a gate's by this table, evaluate scores by it.

A metric is a share: each reply is worth 0 to 1, a score is their mean. The worker finds the scorer by the metric's
name (`modelrefresh_jobs/evaluation/metrics/`); docs/extending.md is the recipe for another one.
"""

from dataclasses import dataclass
from typing import Final

from modelrefresh.contract.vocabulary import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric; its name is that of its scorer's file."""

    name: str
    task: Task
    """Suites of this task are scored by it."""


METRICS: Final = (
    Metric(name="exact_match", task=Task.QUESTION_ANSWERING),
    Metric(name="contains", task=Task.QUESTION_ANSWERING),
    Metric(name="follows", task=Task.INSTRUCTION_FOLLOWING),
)
"""All metrics, in the order of the report."""


def of(task: Task) -> tuple[str, ...]:
    """Names of the metrics that a task yields."""
    return tuple(metric.name for metric in METRICS if metric.task is task)
