"""Flags that do not go together, refused as the API refuses such fields. Knows no stage's work."""

from collections.abc import Mapping
from typing import Any

from modelrefresh.contract import limits
from modelrefresh.contract.reasons import StageReason
from modelrefresh.contract.vocabulary import Stage, Strategy
from modelrefresh_jobs.process.errors import StageError


def check(stage: Stage, values: Mapping[str, Any]) -> None:
    """Refuse values that contradict each other, or of which one would be ignored.

    Raises:
        StageError: InputInvalid; the message names the flag.
    """
    names = [suite.name for suite in values.get("suites", ())]
    if len(set(names)) < len(names):
        raise _refusal(f"--suites: the names {', '.join(names)} must differ")
    if stage is Stage.MERGE:
        _check_merge(values)


def _check_merge(values: Mapping[str, Any]) -> None:
    if values["previous"] and not values["previous_share"]:
        raise _refusal("--previous: with which share? Give --previous-share too")
    if values["previous_share"] and not values["previous"]:
        raise _refusal("--previous-share: of what? Give --previous too")
    ignored = ("scales", "transfer", "added")
    given = [name for name in ignored if values[name]] + ["scale"] * (values["scale"] != limits.SCALE.decimal)
    if values["strategy"] is Strategy.DIRECT and given:
        raise _refusal(f"--{given[0]}: strategy Direct adds no residual; leave it out, or take Residual")
    added = [values["residual"], *(one.residual for one in values["added"])]
    if again := next((place for number, place in enumerate(added) if place in added[:number]), None):
        raise _refusal(f"--added: {again} is added already; name each residual once, with its factor")
    if len(added) - 1 > limits.ADDED_RESIDUALS:
        raise _refusal(f"--added: {len(added) - 1} residuals; at most {limits.ADDED_RESIDUALS} are added at once")


def _refusal(message: str) -> StageError:
    return StageError(StageReason.INPUT_INVALID, message)
