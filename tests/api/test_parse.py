"""What parse() says of good and of bad objects."""

from collections.abc import Mapping
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from modelrefresh import errors
from modelrefresh.api import model, names
from modelrefresh.api.profile import ProfileSpec
from modelrefresh.api.spec import RefreshSpec, ResidualSpec
from modelrefresh.contract.vocabulary import Method, Strategy
from tests import builders
from tests.api.refusals import EMPTY_LISTS, REFUSALS, Refusal

_SPECS = {names.REFRESH: RefreshSpec, names.RESIDUAL: ResidualSpec, names.PROFILE: ProfileSpec}


def test_the_smallest_useful_refresh_gets_the_defaults_of_the_design() -> None:
    spec = builders.refresh_spec()
    assert (spec.profile, spec.training.strategy, spec.training.method) == ("default", Strategy.RESIDUAL, Method.LORA)
    assert (spec.residual.scale, spec.evaluation.confidence, spec.rollout.approval) == ("1.0", "0.95", "Automatic")


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.id)
def test_parse_refuses_a_bad_object_and_names_the_field(refusal: Refusal) -> None:
    with pytest.raises(errors.SpecError) as caught:
        model.parse(_SPECS[refusal.kind], refusal.document()["spec"])
    assert any(fault.startswith(refusal.names) and refusal.says in fault for fault in caught.value.faults)


def test_an_empty_list_is_as_good_as_none() -> None:
    assert not builders.refresh_spec(EMPTY_LISTS).composes


def test_parse_tells_every_fault_at_once() -> None:
    document = builders.refresh(
        {"spec.base.uri": "s3://b/x", "spec.training.nodes": 0, "spec.evaluation.gates[0].minScore": "0.5"}
    )
    with pytest.raises(errors.SpecError) as caught:
        model.parse(RefreshSpec, document["spec"])
    fields = {fault.split(":")[0] for fault in caught.value.faults}
    assert fields == {"spec.base.uri", "spec.training.nodes", "spec.evaluation.gates[0].minScore"}


def test_parse_reads_cron_expressions_to_the_end() -> None:
    with pytest.raises(errors.SpecError, match=r'spec\.triggers\.schedule: .*"61 3 \* \* 0" is not a cron expression'):
        builders.refresh_spec({"spec.triggers.schedule": "61 3 * * 0"})


def test_parse_knows_the_time_zones() -> None:
    with pytest.raises(errors.SpecError, match=r'spec\.triggers\.timeZone: .*"Asia/Tokio" is not a time zone'):
        builders.refresh_spec({"spec.triggers.timeZone": "Asia/Tokio"})


@pytest.mark.parametrize(
    "uri",
    [
        "pvc://models/",
        "pvc://models/llama-3.1-8b/",
        "pvc://my.claim/date=2026-11-01/part-0.jsonl",
        "pvc://corpus/..hidden/a...b",
        "hf://meta-llama/Llama-3.1-8B@0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_parse_takes_every_form_of_source(uri: str) -> None:
    assert builders.refresh_spec({"spec.base.uri": uri}).base.uri == uri


@pytest.mark.parametrize("text", ["1", "0.5", "2e-5", "1e0"])
def test_parse_takes_every_form_of_decimal(text: str) -> None:
    assert builders.refresh_spec({"spec.training.learningRate": text}).training.learning_rate == text


def test_parse_refuses_what_is_no_object() -> None:
    with pytest.raises(errors.SpecError, match="spec: Input should be an object"):
        model.parse(RefreshSpec, None)


def _faults(document: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        model.parse(RefreshSpec, document["spec"])
    except errors.SpecError as error:
        return error.faults
    return ()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)
_places = st.sampled_from(sorted({refusal.names for refusal in REFUSALS if refusal.kind == names.REFRESH}))


@hypothesis.given(place=_places, value=_json)
def test_parse_answers_any_value_anywhere_with_a_spec_or_with_faults(place: str, value: object) -> None:
    assert all(fault.startswith("spec") for fault in _faults(builders.refresh({place: value})))
