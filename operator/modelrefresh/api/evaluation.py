"""What decides: suites of questions, and gates over their scores.

Knows which metrics a task yields, and that a gate can only name a suite of its own
evaluation. Whether a number is good enough is decided in `plan/judging/gates.py`.
"""

import enum
from collections.abc import Iterator
from typing import Annotated, Final

import pydantic

from modelrefresh.api.model import ApiModel, ListMap, ValidationRule, whole
from modelrefresh.api.sources import Source
from modelrefresh.api.spec_types import Confidence, Difference, Fraction, Name
from modelrefresh.contract import limits, metrics
from modelrefresh.contract.vocabulary import Task


class Suite(Source):
    """Questions asked of candidate and incumbent, a JSON Lines file."""

    name: Name
    """Name by which gates refer to the suite; unique within the evaluation."""
    task: Task
    """How items are put and scored: question-answering (exact_match, contains), instruction-following (follows)."""


class Versus(enum.StrEnum):
    """What a gate compares the candidate with."""

    INCUMBENT = "Incumbent"
    ABSOLUTE = "Absolute"


class Gate(ApiModel):
    """One condition for promotion."""

    rules = (
        ValidationRule(
            cel="has(self.versus) && self.versus != 'Incumbent' || has(self.minDifference)",
            holds=lambda gate: gate.versus != Versus.INCUMBENT or gate.min_difference is not None,
            message='versus Incumbent needs minDifference, a decimal from -1 to 1 such as "-0.01"',
            path=".minDifference",
        ),
        ValidationRule(
            cel="has(self.versus) && self.versus != 'Incumbent' || !has(self.minScore)",
            holds=lambda gate: gate.versus != Versus.INCUMBENT or gate.min_score is None,
            message="minScore belongs to versus Absolute; leave it out, or use versus Absolute",
            path=".minScore",
        ),
        ValidationRule(
            cel="!has(self.versus) || self.versus != 'Absolute' || has(self.minScore)",
            holds=lambda gate: gate.versus != Versus.ABSOLUTE or gate.min_score is not None,
            message='versus Absolute needs minScore, a decimal from 0 to 1 such as "0.6"',
            path=".minScore",
        ),
        ValidationRule(
            cel="!has(self.versus) || self.versus != 'Absolute' || !has(self.minDifference)",
            holds=lambda gate: gate.versus != Versus.ABSOLUTE or gate.min_difference is None,
            message="minDifference belongs to versus Incumbent; leave it out, or use versus Incumbent",
            path=".minDifference",
        ),
    )
    suite: Name
    """Name of one of the suites."""
    metric: str = pydantic.Field(min_length=1, max_length=63, pattern=r"^[a-z][a-z0-9_]*$")
    """A metric of the suite's task: exact_match, contains or follows."""
    versus: Versus = Versus.INCUMBENT
    """Incumbent (if absent) compares with the model that serves, on the same items; Absolute looks at the candidate
    alone."""
    min_difference: Difference | None = None
    """Versus Incumbent: least candidate minus incumbent, -1 to 1; a guard (0 or less) must not allow to lose it all."""
    min_score: Fraction | None = None
    """Versus Absolute: the candidate itself must not lie below this; 0 to 1, share of items."""


def _strays(evaluation: "Evaluation") -> Iterator[str]:
    names = [suite.name for suite in evaluation.suites]
    for place, gate in enumerate(evaluation.gates):
        if gate.suite not in names:
            yield f'gates[{place}].suite: "{gate.suite}" is not one of the suites: {", ".join(names)}'


def _misfits(evaluation: "Evaluation") -> Iterator[str]:
    tasks = {suite.name: suite.task for suite in evaluation.suites}
    for place, gate in enumerate(evaluation.gates):
        if gate.suite in tasks and gate.metric not in metrics.of(tasks[gate.suite]):
            yield f'gates[{place}].metric: "{gate.metric}" is no metric of suite "{gate.suite}"; {_TASKS}'


def _say_first(fault: str, *, field: str, text: str) -> str:
    """CEL that names the first gate at fault; gate by gate, since the server cannot bound what filter() yields."""
    cases = (
        f"size(self.gates) > {place} && {fault.replace('GATE', f'self.gates[{place}]')} ? 'gates[{place}].{field}: \"'"
        f" + self.gates[{place}].{field} + '\" {text.replace('GATE', f'self.gates[{place}]')}"
        for place in range(GATES)
    )
    return f"{' : '.join(cases)} : ''"


_SUITES: Final = 8
GATES: Final = 12
"""Of one evaluation; a status holds as many verdicts."""
_TASKS: Final = "; ".join(f"{task} yields {', '.join(metrics.of(task))}" for task in Task)
_NAMES: Final = "self.suites[0].name" + "".join(
    f" + (size(self.suites) > {place} ? ', ' + self.suites[{place}].name : '')" for place in range(1, _SUITES)
)
_YIELDS: Final = "{" + ", ".join(f"'{task.value}': {list(metrics.of(task))}" for task in Task) + "}"
_IS_STRAY: Final = "!self.suites.exists(s, s.name == GATE.suite)"
_IS_MISFIT: Final = f"self.suites.exists(s, s.name == GATE.suite && !(GATE.metric in {_YIELDS}[s.task]))"
_SAY_STRAY: Final = _say_first(_IS_STRAY, field="suite", text="is not one of the suites: '")
_SAY_MISFIT: Final = _say_first(
    _IS_MISFIT, field="metric", text=f"""is no metric of suite "' + GATE.suite + '"; {_TASKS}'"""
)


class Evaluation(ApiModel):
    """What decides whether a candidate may serve."""

    rules = (
        ValidationRule(
            cel=f"self.gates.all(g, !({_IS_STRAY.replace('GATE', 'g')}))",
            holds=lambda evaluation: not any(_strays(evaluation)),
            message="a gate names a suite that is not one of the suites",
            expression=f"({_SAY_STRAY}) + {_NAMES}",
            says=lambda evaluation: next(_strays(evaluation)),
            path=".gates",
        ),
        ValidationRule(
            cel=f"self.gates.all(g, !{_IS_MISFIT.replace('GATE', 'g')})",
            holds=lambda evaluation: not any(_misfits(evaluation)),
            message="a gate names a metric that the task of its suite does not yield",
            expression=_SAY_MISFIT,
            says=lambda evaluation: next(_misfits(evaluation)),
            path=".gates",
        ),
    )
    suites: Annotated[tuple[Suite, ...], pydantic.Field(min_length=1, max_length=_SUITES), ListMap("name")]
    """Questions asked of candidate and incumbent."""
    gates: Annotated[tuple[Gate, ...], pydantic.Field(min_length=1, max_length=GATES)]
    """Every gate must pass before a candidate may serve."""
    confidence: Confidence = "0.95"
    """One-sided confidence at which a measured value must clear its threshold; 0.5 to less than 1."""
    max_items: int = whole(limits.MAX_ITEMS)
    """Items used per suite at most, the first ones of a fixed shuffle."""
    max_new_tokens: int = whole(limits.MAX_NEW_TOKENS)
    """Tokens that an answer may have at most."""
