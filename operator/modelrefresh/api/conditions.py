"""Condition types and reasons: the words in which the operator speaks.

Reasons are the keys of docs/troubleshooting.md, of events and of logs; those of stages are the
contract's. Types follow kstatus (`Ready`, `Reconciling`, `Stalled`).
"""

import enum

from modelrefresh.contract.reasons import StageReason


class ConditionType(enum.StrEnum):
    """Types of `status.conditions`."""

    READY = "Ready"
    """A version serves, or the residual is stored, and nothing needs the user.

    Stays True while a run works or a candidate is rejected."""
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
    RUN_OPENED = "RunOpened"
    """A run began; its trigger is told."""
    RUNNING = "Running"
    """A stage is at work."""
    QUEUED = "Queued"
    """A stage's pod waits for capacity (GPU, memory, queue)."""
    STAGE_SUCCEEDED = "StageSucceeded"
    """A stage ended well."""
    STAGE_WARNING = "StageWarning"
    """A stage ended well and says what its model owner should look at."""
    SUCCEEDED = StageReason.SUCCEEDED
    """Done, nothing to report."""
    PROMOTED = "Promoted"
    """The candidate passed every gate and serves."""
    REJECTED = "Rejected"
    """A gate failed; the incumbent goes on serving."""
    SKIPPED = "Skipped"
    """The data has not changed since the last run; nothing was trained."""
    SUPERSEDED = "Superseded"
    """The spec says something else than what the run works on."""
    ROLLED_BACK = "RolledBack"
    """The candidate did not become available in time, or a person undid its rollout; the version before serves."""
    FAILED = "Failed"
    """A stage gave up."""
    AWAITING_APPROVAL = "AwaitingApproval"
    """The candidate passed; a person must approve it."""
    PROMOTION_HELD = "PromotionHeld"
    """This digest failed a rollout or was undone before; it is not tried again by itself."""
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
    RETAINED = "Retained"
    """Retention removed scratch or versions that nothing needs."""

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
    INVALID_SPEC = StageReason.INVALID_SPEC
    """Stored before today's schema, or contradictory."""
    PROFILE_NOT_FOUND = "ProfileNotFound"
    PROFILE_NOT_USABLE = "ProfileNotUsable"
    """The RefreshProfile itself is not as this release wants it."""
    PROFILE_NOT_FOR_NAMESPACE = "ProfileNotForNamespace"
    """The profile does not say that this namespace may use it."""
    PROFILE_FORBIDS = "ProfileForbids"
    """The profile's limits or allowed sources do not cover this spec."""
    RESIDUAL_NOT_FOUND = "ResidualNotFound"
    RESIDUAL_NOT_READY = "ResidualNotReady"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    """A PersistentVolumeClaim that a source or the workspace names is not in this namespace."""
    TARGET_NOT_FOUND = "TargetNotFound"
    """The Deployment or its container does not exist, or does not mount the workspace."""
    TARGET_NOT_ALLOWED = "TargetNotAllowed"
    """The Deployment does not say that this ModelRefresh may change it."""
    TARGET_CONFLICT = "TargetConflict"
    """Another ModelRefresh holds this Deployment, or something else sets the variable."""
    PODS_REFUSED = "PodsRefused"
    """A stage's Job is there, but its pods cannot be made: quota, pod security, a name in the profile."""
    POD_STUCK = "PodStuck"
    """A stage's pod has a node and cannot start there: a missing Secret, a volume that cannot be mounted."""
    WRITE_REFUSED = "WriteRefused"
    """The API server refused a write of the operator: a quota, a missing permission, a name that is taken."""

    # How stages fail.
    DATA_UNREADABLE = StageReason.DATA_UNREADABLE
    NO_DATA = StageReason.NO_DATA
    """The prepare stage kept no document."""
    MODEL_UNREADABLE = StageReason.MODEL_UNREADABLE
    SOURCE_UNAVAILABLE = StageReason.SOURCE_UNAVAILABLE
    RESIDUAL_INCOMPATIBLE = StageReason.RESIDUAL_INCOMPATIBLE
    BASE_MISMATCH = StageReason.BASE_MISMATCH
    """The residual was cut from another base than the one trained on, or the trained weights hold it already."""
    EVALUATION_UNREADABLE = StageReason.EVALUATION_UNREADABLE
    TRAINING_DIVERGED = StageReason.TRAINING_DIVERGED
    TRAINING_STALLED = StageReason.TRAINING_STALLED
    OUT_OF_MEMORY = StageReason.OUT_OF_MEMORY
    INSUFFICIENT_STORAGE = StageReason.INSUFFICIENT_STORAGE
    PREEMPTED = StageReason.PREEMPTED
    IMAGE_PULL_FAILED = "ImagePullFailed"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    POD_LOST = "PodLost"
    """The pod vanished without a result."""
    PEER_LOST = StageReason.PEER_LOST
    """Processes of one training lost each other, and none of them says why."""
    INPUT_INVALID = StageReason.INPUT_INVALID
    """The stage did not understand its input: operator and Job image do not fit together."""
    INTERNAL_ERROR = StageReason.INTERNAL_ERROR

    # Rollout.
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    TARGET_PAUSED = "TargetPaused"
    """A person has paused the Deployment; no time counts against the candidate."""
    TARGET_HINDERED = "TargetHindered"
    """The cluster keeps the Deployment's new pods from being made or started; no time counts either."""
    TARGET_SCALED_TO_ZERO = "TargetScaledToZero"
    """The Deployment has no replicas: nothing serves, so a candidate can neither pass nor fail."""
