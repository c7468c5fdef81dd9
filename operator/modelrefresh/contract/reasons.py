"""Why an attempt of a stage ended: the words of its result.

The operator's reasons take these in (`api/conditions.py`) and say what follows from each; people find
them in docs/troubleshooting.md. A word that an operator does not know counts as its exit code says.
"""

import enum


class StageReason(enum.StrEnum):
    """Why an attempt ended."""

    SUCCEEDED = "Succeeded"
    """The artifact is complete."""
    DATA_UNREADABLE = "DataUnreadable"
    """The text cannot be read, or its source is not there."""
    NO_DATA = "NoData"
    """No document is left to learn."""
    MODEL_UNREADABLE = "ModelUnreadable"
    """A model's folder cannot be used."""
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    """Where something is read from does not answer, or does not let the stage read."""
    RESIDUAL_INCOMPATIBLE = "ResidualIncompatible"
    """Base, instruct model, residual or trained weights do not fit together."""
    BASE_MISMATCH = "BaseMismatch"
    """The residual was cut from another base than the one trained on, or the trained weights hold it already."""
    EVALUATION_UNREADABLE = "EvaluationUnreadable"
    """A suite cannot be used, or a model cannot be asked it."""
    TRAINING_DIVERGED = "TrainingDiverged"
    """A loss or weight is not finite."""
    TRAINING_STALLED = "TrainingStalled"
    """A training step did not end."""
    OUT_OF_MEMORY = "OutOfMemory"
    """Memory of the host or the accelerator did not suffice."""
    INSUFFICIENT_STORAGE = "InsufficientStorage"
    """The workspace is full or read-only."""
    PREEMPTED = "Preempted"
    """The stage was asked to leave."""
    PEER_LOST = "PeerLost"
    """Another process of the same training went away."""
    INPUT_INVALID = "InputInvalid"
    """The request was not understood: operator and Jobs image are of different releases, or a flag is wrong."""
    INVALID_SPEC = "InvalidSpec"
    """Settings that do not go together with the model or the data."""
    INTERNAL_ERROR = "InternalError"
    """A fault of this software."""
