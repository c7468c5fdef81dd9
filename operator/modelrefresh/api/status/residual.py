"""Where an InstructionResidual stands."""

from modelrefresh.api.status.record import Record
from modelrefresh.api.status.run import Conditions, Failure, StageRecord
from modelrefresh.api.status.types import Count, Digest, Measure, Note, ShortText


class ResidualStatus(Record):
    """Where an InstructionResidual stands."""

    observed_generation: Count = 0
    phase: ShortText | None = None
    conditions: Conditions = ()
    digest: Digest | None = None
    """Of the stored residual, residuals/DIGEST on the workspace."""
    base_fingerprint: Digest | None = None
    """Of the base it was cut from; a merge refuses any other base."""
    instruct_fingerprint: Digest | None = None
    architecture: Note | None = None
    parameters: Count | None = None
    bytes: Count | None = None
    relative_norm: Measure | None = None
    """Size of the residual, relative to the base."""
    extract: StageRecord | None = None
    """Its one stage."""
    last_failure: Failure | None = None
