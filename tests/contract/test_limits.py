"""Ranges hold what they say, and a request of a pod can name no path where a digest belongs."""

import dataclasses
import json
import math
import random

import pytest

from modelrefresh.api.evaluation import Evaluation
from modelrefresh.api.model import ApiModel
from modelrefresh.api.spec import Data, LoraSettings, Training
from modelrefresh.contract import codec, limits, stage_request
from modelrefresh.contract.stages.evaluate import EvaluateInput
from modelrefresh.contract.stages.prepare import PrepareInput
from modelrefresh.contract.stages.train import TrainInput

DIGEST = "0123456789abcdef" * 4
STRANGE = ("/etc", "file:///etc", "../../etc", DIGEST[1:], DIGEST + "0", DIGEST.upper(), DIGEST + "\n", "")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_what_is_no_number_is_in_no_range(value: float) -> None:
    assert not limits.Range(least=-1, most=1).holds(value)


@pytest.mark.parametrize("seed", range(20))
def test_an_end_belongs_to_a_range_unless_it_is_open(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 -- repeatable on purpose
    least, width = draw.uniform(-5, 5), draw.uniform(0.1, 5)
    low, high = draw.random() < 0.5, draw.random() < 0.5
    limit = limits.Range(least=least, most=least + width, open_low=low, open_high=high)
    assert (limit.holds(limit.least), limit.holds(limit.most)) == (not low, not high)
    assert limit.holds(least + width / 2)
    assert not limit.holds(least - width)
    assert not limit.holds(least + 2 * width)


@pytest.mark.parametrize(
    ("asked", "written"),
    [(TrainInput, Training), (PrepareInput, Training), (PrepareInput, Data), (EvaluateInput, Evaluation)],
)
def test_a_setting_has_one_default_for_those_who_write_yaml_and_those_at_a_shell(
    asked: type, written: type[ApiModel]
) -> None:
    here = {field.name: field.default for field in dataclasses.fields(asked) if field.default not in _NONE}
    there = {name: field.default for name, field in written.model_fields.items()}
    there |= {f"lora_{name}": field.default for name, field in LoraSettings.model_fields.items()}
    both = here.keys() & there.keys()
    assert both
    assert {name: str(here[name]) for name in both} == {name: str(_number(there[name])) for name in both}


_NONE = (None, dataclasses.MISSING)


def _number(default: object) -> object:
    """A decimal is a text in YAML."""
    try:
        return float(default) if isinstance(default, str) else default
    except ValueError:
        return default


@pytest.mark.parametrize("field", ["owner", "run"])
@pytest.mark.parametrize("strange", ["../../etc", "a/b", ".", "..", "", "/", "a\n"])
def test_whose_request_it_is_can_name_no_path(field: str, strange: str) -> None:
    document = {"stage": "sweep", "owner": "chat", "run": "r1", "sweep": {}} | {field: strange}
    with pytest.raises(codec.CodecError, match=f"{field}: expected a name"):
        stage_request.parse(json.dumps(document))


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize("field", ["candidate", "incumbent", "residual", "versions"])
def test_a_pod_takes_digests_only(field: str, strange: str) -> None:
    sections = {
        "candidate": {"stage": "evaluate", "evaluate": {"candidate": strange, "incumbent": DIGEST, "suites": []}},
        "incumbent": {"stage": "evaluate", "evaluate": {"candidate": DIGEST, "incumbent": strange, "suites": []}},
        "residual": {"stage": "merge", "merge": {"start": "pvc://a/b", "residual": strange}},
        "versions": {"stage": "sweep", "sweep": {"versions": [strange]}},
    }
    with pytest.raises(codec.CodecError, match=field):
        stage_request.parse(json.dumps(sections[field] | {"owner": "chat", "run": "r1"}))


@pytest.mark.parametrize(
    ("field", "beyond"), [("scale", 2.5), ("scale", -0.1), ("previous_share", 1.0), ("previous_share", 0)]
)
def test_a_pod_takes_no_number_beyond_its_range(field: str, beyond: float) -> None:
    merge = {"start": "pvc://a/b", "residual": DIGEST, field: beyond}
    document = {"stage": "merge", "owner": "chat", "run": "r1", "merge": merge}
    with pytest.raises(codec.CodecError, match=rf"{field}: expected a number .*, saw {beyond}"):
        stage_request.parse(json.dumps(document))
    merge[field] = 0.5
    assert stage_request.parse(json.dumps(document))
