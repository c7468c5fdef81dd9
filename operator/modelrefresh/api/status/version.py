"""What a ModelVersion holds: what it is, what it was made of, what was measured, whether it serves."""

from typing import Annotated

import pydantic

from modelrefresh.api.merging import PATTERNS
from modelrefresh.api.model import ValidationRule
from modelrefresh.api.status.record import Record
from modelrefresh.api.status.run import Conditions
from modelrefresh.api.status.stage_facts import EvaluateFacts
from modelrefresh.api.status.types import Count, Digest, Label, Note, ShortText, Time, first
from modelrefresh.contract.limits import ADDED_RESIDUALS


class ScaledTensors(Record):
    """Tensors with a factor of their own."""

    tensors: Note
    """Names as a shell pattern."""
    scale: ShortText
    """Their factor."""


class AddedLineage(Record):
    """One residual that was added besides."""

    residual: Label
    """Name of the InstructionResidual."""
    digest: Digest | None = None
    """Of that residual."""
    scale: ShortText | None = None
    """Its factor."""


class Lineage(Record):
    """What a version was made of."""

    strategy: ShortText
    """Residual, Direct, Stock for the imported instruct model, or Transferred for an untrained base with a residual."""
    method: ShortText | None = None
    """LoRA or Full."""
    base: Annotated[str, pydantic.Field(max_length=512)] | None = None
    """URI of the model that training started from."""
    residual: Label | None = None
    """Name of the InstructionResidual."""
    residual_digest: Digest | None = None
    """Of that residual."""
    scale: ShortText | None = None
    """Factor of the residual."""
    scales: Annotated[tuple[ScaledTensors, ...], pydantic.Field(max_length=PATTERNS), first(PATTERNS)] = ()
    """Factors of some tensors instead; the first pattern that a name matches counts."""
    transfer: ShortText | None = None
    """SameFamily where the residual was cut from another base."""
    added: Annotated[tuple[AddedLineage, ...], pydantic.Field(max_length=ADDED_RESIDUALS), first(ADDED_RESIDUALS)] = ()
    """Residuals that were added besides."""
    average: ShortText | None = None
    """Share of the version that served then."""
    averaged: Digest | None = None
    """Of that version."""
    data: Annotated[str, pydantic.Field(max_length=512)] | None = None
    """URI of the text that was learned."""
    data_fingerprint: Digest | None = None
    """Content fingerprint of that text."""
    tokens: Count = 0
    """Tokens trained on."""
    image: Annotated[str, pydantic.Field(max_length=512)] | None = None
    """Jobs image, by digest."""
    config: Digest | None = None
    """Hash of the part of the spec that the run worked on."""


class VersionSpec(Record):
    """One sealed candidate: what it is, what it was made of, what was measured. Never changes."""

    rules = (
        ValidationRule(
            cel="self == oldSelf",
            holds=lambda _: True,
            message="a ModelVersion is sealed: its spec never changes; a new candidate is a new ModelVersion",
        ),
    )
    refresh: Label
    """The ModelRefresh that made it."""
    run: ShortText
    """The run that made it."""
    digest: Digest
    """Content digest, versions/DIGEST on the workspace."""
    path: Annotated[str, pydantic.Field(max_length=512)]
    """Where it lies on the workspace claim."""
    lineage: Lineage
    """What it was made of."""
    evaluation: EvaluateFacts = EvaluateFacts()
    """What was measured and what the gates said of it."""
    verdict: ShortText
    """Passed, Rejected, or Stock for what was served before the first candidate."""
    summary: Note = ""
    """The measured differences in short, such as `new-knowledge +0.1200`."""


class Served(Record):
    """Where a version serves."""

    deployment: Label
    since: Time | None = None


class VersionStatus(Record):
    """Whether a version serves."""

    conditions: Conditions = ()
    served: Served | None = None
