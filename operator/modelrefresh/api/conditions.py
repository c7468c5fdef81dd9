"""Condition types and reasons: the words in which the operator speaks.

Reasons are the keys of docs/troubleshooting.md, of events and of logs; each is documented
under itself with its cause. Types follow kstatus (`Ready`, `Reconciling`, `Stalled`).
"""

import enum


class ConditionType(enum.StrEnum):
    """Types of `status.conditions`."""

    READY = "Ready"
    """A measured version serves and nothing needs the user; stays True while a run works or a candidate is rejected."""
    RECONCILING = "Reconciling"
    """True while the operator works towards the spec."""
    STALLED = "Stalled"
    """True when nothing goes on until a person acts."""
    SUSPENDED = "Suspended"
    """True while spec.suspend holds new stages back."""
    GATES_PASSED = "GatesPassed"
    """The verdict of the current or last run."""
    ROLLED_OUT = "RolledOut"
    """Whether the target Deployment serves the live version."""


class Reason(enum.StrEnum):
    """Why a condition has its status."""

    # Normal course of a run.
    PENDING = "Pending"
    """Seen for the first time, nothing started yet."""
    RUNNING = "Running"
    """A stage is at work."""
    QUEUED = "Queued"
    """A stage's pod waits for capacity (GPU, memory, queue)."""
    STAGE_SUCCEEDED = "StageSucceeded"
    """A stage ended well."""
    SUCCEEDED = "Succeeded"
    """Done, nothing to report."""
    PROMOTED = "Promoted"
    """The candidate passed every gate and serves."""
    REJECTED = "Rejected"
    """A gate failed; the incumbent goes on serving."""
    SKIPPED = "Skipped"
    """The data has not changed since the last run; nothing was trained."""
    SUPERSEDED = "Superseded"
    """A newer trigger took the run's place."""
    ROLLED_BACK = "RolledBack"
    """The candidate did not become available in time; the previous version serves."""
    FAILED = "Failed"
    """A stage gave up."""
    AWAITING_APPROVAL = "AwaitingApproval"
    """The candidate passed; a person must approve it."""
    SUSPENDED = "Suspended"
    """spec.suspend is true."""
    IDLE = "Idle"
    """No run is due."""
    DELETING = "Deleting"
    """The object is being deleted; its Jobs are stopped first."""
    ROLLING_OUT = "RollingOut"
    """The Deployment is moving to the candidate."""
    SERVING = "Serving"
    """The live version is available in the target Deployment."""

    # Verdicts.
    GATES_PASSED = "GatesPassed"
    BELOW_THRESHOLD = "BelowThreshold"
    """A difference lies surely below what the gate demands."""
    INCONCLUSIVE = "Inconclusive"
    """Too few items to tell at the declared confidence; counts as not passed."""
    RESULTS_MISSING = "ResultsMissing"
    """A gate's suite or metric has no usable result; never passes."""
    NO_VERDICT = "NoVerdict"
    """No run has been judged yet."""

    # What only the cluster can know.
    INVALID_SPEC = "InvalidSpec"
    """Stored before today's schema, or contradictory."""
    PROFILE_NOT_FOUND = "ProfileNotFound"
    PROFILE_FORBIDS = "ProfileForbids"
    """The profile's limits or allowed sources do not cover this spec."""
    RESIDUAL_NOT_FOUND = "ResidualNotFound"
    RESIDUAL_NOT_READY = "ResidualNotReady"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    """A PersistentVolumeClaim that a source or the workspace names is not in this namespace."""
    TARGET_NOT_FOUND = "TargetNotFound"
    """The Deployment or its container does not exist."""
    TARGET_CONFLICT = "TargetConflict"
    """An older ModelRefresh already rolls this Deployment."""

    # How stages fail.
    DATA_UNREADABLE = "DataUnreadable"
    NO_DATA = "NoData"
    """No document survived intake."""
    MODEL_UNREADABLE = "ModelUnreadable"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    RESIDUAL_INCOMPATIBLE = "ResidualIncompatible"
    BASE_MISMATCH = "BaseMismatch"
    """The residual was cut from another base than the one trained on."""
    EVALUATION_UNREADABLE = "EvaluationUnreadable"
    TRAINING_DIVERGED = "TrainingDiverged"
    OUT_OF_MEMORY = "OutOfMemory"
    INSUFFICIENT_STORAGE = "InsufficientStorage"
    PREEMPTED = "Preempted"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    POD_LOST = "PodLost"
    """The pod vanished without a result."""
    INPUT_INVALID = "InputInvalid"
    """The stage did not understand its input: operator and Job image do not fit together."""
    INTERNAL_ERROR = "InternalError"

    # Rollout.
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    PROMOTION_HELD = "PromotionHeld"
    """This digest failed a rollout before; it is not tried again by itself."""
    RETAINED = "Retained"
    """Retention removed scratch or versions that nothing needs."""
