"""What the hash of a run's inputs depends on: what the user said, and no field that a release has added."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

import pydantic
import pytest

from modelrefresh.api import model
from modelrefresh.api.evaluation import Evaluation, Gate, Suite
from modelrefresh.api.merging import ResidualSettings
from modelrefresh.api.model import parse
from modelrefresh.api.sources import Source
from modelrefresh.api.spec import Data, RefreshSpec, Replay, Training
from modelrefresh.plan import prerequisites
from tests import builders

DEFAULTS: Final = {
    "profile": "default",
    "data.textField": "text",
    "data.sampling": "Newest",
    "data.replay": None,
    "data.replay.uri": None,
    "data.replay.generate": False,
    "data.replay.percent": 5,
    "training.strategy": "Residual",
    "training.method": "LoRA",
    "training.maxTokens": 100_000_000,
    "training.sequenceLength": 2048,
    "training.learningRate": None,
    "training.learningRateSchedule": "Linear",
    "training.warmupRatio": "0.05",
    "training.minLearningRateRatio": None,
    "training.decayRatio": None,
    "training.epochs": "1",
    "training.batchSize": 8,
    "training.gradientAccumulation": 1,
    "training.nodes": 1,
    "training.gpusPerNode": 1,
    "training.zeroStage": 2,
    "training.lora.rank": 64,
    "training.lora.alpha": 128,
    "training.lora.embeddings": False,
    "training.checkpointSeconds": 600,
    "training.seed": 0,
    "residualRef.transfer": None,
    "residual.scale": "1.0",
    "residual.scales": (),
    "residual.search": None,
    "residuals": (),
    "residuals.transfer": None,
    "residuals.scale": "1.0",
    "average": None,
    "evaluation.gates.versus": "Incumbent",
    "evaluation.gates.minDifference": None,
    "evaluation.gates.minScore": None,
    "evaluation.confidence": "0.95",
    "evaluation.maxItems": 1000,
    "evaluation.maxNewTokens": 64,
}
"""Of every field that a run works on. A new one gets its line; one that stands here never changes (decision 13)."""


class NewerReplay(Replay):
    """As a later release may have it."""

    order: str = "Random"


class NewerData(Data):
    """The same."""

    language: str | None = None
    replay: NewerReplay | None = None


class NewerTraining(Training):
    """The same."""

    weight_decay: str = "0.0"


class NewerSuite(Suite):
    """The same; defaults of list items are not even written by the API server."""

    shots: int = 0


class NewerGate(Gate):
    """The same."""

    correction: str = "None"


class NewerEvaluation(Evaluation):
    """The same."""

    suites: Annotated[tuple[NewerSuite, ...], pydantic.Field(max_length=8)]
    gates: Annotated[tuple[NewerGate, ...], pydantic.Field(max_length=12)]
    judge: str | None = None


class NewerSettings(ResidualSettings):
    """The same."""

    layers: str = "All"


class NewerSpec(RefreshSpec):
    """The same."""

    data: NewerData
    training: NewerTraining = NewerTraining()
    residual: NewerSettings = NewerSettings()
    evaluation: NewerEvaluation


SAID: Final[list[dict[str, object]]] = [
    {},
    {"spec.training": {}},
    {"spec.training.seed": 7, "spec.residual.scale": "0.5"},
    {"spec.data.replay": {"uri": "pvc://corpus/general"}},
    {"spec.evaluation.gates[1]": {"suite": "knowledge", "metric": "contains", "versus": "Absolute", "minScore": "0.4"}},
    {"spec.training": {"method": "Full", "lora": {"rank": 8}}, "spec.profile": "large"},
]


def hashed(kind: type[RefreshSpec], edits: dict[str, object]) -> str:
    """The hash of a spec that an operator of this release reads."""
    return prerequisites.inputs(parse(kind, builders.refresh(edits)["spec"]), residual="e" * 64)


@pytest.mark.parametrize("edits", SAID)
def test_fields_that_a_release_adds_change_no_hash(edits: dict[str, object]) -> None:
    assert hashed(NewerSpec, edits) == hashed(RefreshSpec, edits)


@pytest.mark.parametrize(
    "edit",
    [
        {"spec.training.weightDecay": "0.1"},
        {"spec.data.language": "cs"},
        {"spec.evaluation.suites[0].shots": 3},
        {"spec.evaluation.gates[0].correction": "Holm"},
        {"spec.residual.layers": "Attention"},
    ],
)
def test_a_new_field_that_is_used_changes_the_hash(edit: dict[str, object]) -> None:
    assert hashed(NewerSpec, edit) != hashed(RefreshSpec, {})


@pytest.mark.parametrize(
    "edit",
    [
        {"spec.training": {"seed": 0, "warmupRatio": "0.05", "learningRateSchedule": "Linear", "lora": {"rank": 64}}},
        {"spec.evaluation.gates[0].versus": "Incumbent"},
        {"spec.data.sampling": "Newest", "spec.residual": {"scale": "1.0"}, "spec.profile": "default"},
    ],
)
def test_a_default_that_the_api_server_or_the_user_writes_out_changes_no_hash(edit: dict[str, object]) -> None:
    assert hashed(RefreshSpec, edit) == hashed(RefreshSpec, {})


@pytest.mark.parametrize("path", ["training.seed", "training.nodes", "data.textField", "profile"])
def test_every_other_value_changes_the_hash(path: str) -> None:
    assert hashed(RefreshSpec, {f"spec.{path}": 5 if path.startswith("training") else "other"}) != hashed(
        RefreshSpec, {}
    )


def test_a_run_whose_step_stalled_goes_on_with_more_patience() -> None:
    assert hashed(RefreshSpec, {"spec.training.stallSeconds": 1200}) == hashed(RefreshSpec, {})


def test_no_default_that_a_run_works_on_ever_changes_its_value() -> None:
    fields = ("profile", "base", "residual_ref", "data", "training", "residual", "residuals", "average", "evaluation")
    found = {path: value for name in fields for path, value in defaults(RefreshSpec.model_fields[name], _camel(name))}
    del found["training.stallSeconds"]
    assert found == DEFAULTS


def defaults(field: pydantic.fields.FieldInfo, path: str) -> Iterator[tuple[str, Any]]:
    """Paths and values of a field's default and of those below it."""
    parts = [kind for kind in _kinds(field.annotation) if issubclass(kind, Source | model.ApiModel)]
    if not field.is_required() and not isinstance(field.default, model.ApiModel):
        yield path, field.default
    for part in parts:
        for name, inner in part.model_fields.items():
            yield from defaults(inner, f"{path}.{_camel(name)}")


def _kinds(hint: Any) -> Iterator[type]:  # noqa: ANN401 -- type hints have no common type
    if isinstance(hint, type):
        yield hint
    for inner in getattr(hint, "__args__", ()):
        yield from _kinds(inner)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(summary.title() for summary in rest)
