"""Every string that anyone outside reads: group, kinds, labels, annotations, finalizer, names of children.

Child names are functions of what the child is for, so creating twice is harmless. Nothing
here is configurable.
"""

import hashlib
from typing import Final

GROUP: Final = "modelrefresh.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

REFRESH: Final = "ModelRefresh"
RESIDUAL: Final = "InstructionResidual"
MODEL_VERSION: Final = "ModelVersion"
PROFILE: Final = "RefreshProfile"

PLURALS: Final = {
    REFRESH: "modelrefreshes",
    RESIDUAL: "instructionresiduals",
    MODEL_VERSION: "modelversions",
    PROFILE: "refreshprofiles",
}

LABEL_OWNER_UID: Final = f"{GROUP}/owner-uid"
"""uid of the ModelRefresh or InstructionResidual that a Job, pod or version belongs to; all LISTs go by it."""
LABEL_OWNER: Final = f"{GROUP}/owner"
"""Its name (cut with a hash if over 63 characters), for people."""
LABEL_OWNER_KIND: Final = f"{GROUP}/owner-kind"
"""ModelRefresh or InstructionResidual."""
LABEL_RUN: Final = f"{GROUP}/run"
LABEL_STAGE: Final = f"{GROUP}/stage"
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
LABEL_EGRESS: Final = f"{GROUP}/egress"
"""On the pod of a stage that fetches from outside: `hub`."""
LABEL_VERSION: Final = f"{GROUP}/version"
"""On the pod template of a target Deployment: the ModelVersion it serves."""
LABEL_REFRESH: Final = f"{GROUP}/refresh"
"""On a target Deployment and its pods: the ModelRefresh that rolls it."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "modelrefresh"

ANNOTATION_REFRESH: Final = f"{GROUP}/refresh"
"""On a ModelRefresh: any new token opens a run."""
ANNOTATION_APPROVE: Final = f"{GROUP}/approve"
"""On a ModelRefresh with manual approval: the name of the ModelVersion that may be rolled out."""
ANNOTATION_ALLOW: Final = f"{GROUP}/allow"
"""On a Deployment, by its owner: names of the ModelRefreshes that may change it, with commas; "*" for any."""
ANNOTATION_HOLDER: Final = f"{GROUP}/holder"
"""On a target Deployment, by the operator: name of the ModelRefresh that rolls it, and no other does."""
ANNOTATION_HOLDER_UID: Final = f"{GROUP}/holder-uid"
"""Its uid: names can be made anew, or cut to the same label."""
ANNOTATION_DIGEST: Final = f"{GROUP}/digest"
"""On the pod template of a target Deployment: digest of the version it serves."""

ANNOTATION_PROFILE: Final = f"{GROUP}/profile"
"""On a Job: hash of the RefreshProfile that it was made with."""
ANNOTATION_OWNER: Final = f"{GROUP}/owner"
"""On a Job: full name of its owner."""

FINALIZER: Final = f"{GROUP}/cleanup"
FIELD_MANAGER: Final = "modelrefresh"
STATUS_MANAGER: Final = "modelrefresh-status"
MODEL_VARIABLE: Final = "MODELREFRESH_MODEL"
"""Environment variable of the target container: path of the served version on the mounted workspace."""
DEFAULT_PROFILE: Final = "default"
QUEUE_LABEL: Final = "kueue.x-k8s.io/queue-name"

_LABEL_LIMIT = 63
_JOB_LIMIT = 52
"""Longest Job name whose pods (name-index-suffix) still fit 63 characters."""


def short(text: str, *, limit: int = _LABEL_LIMIT) -> str:
    """The text itself, or its head and a hash where it is longer than the limit."""
    if len(text) <= limit:
        return text
    return f"{text[: limit - 9].rstrip('-.')}-{_digest(text)[:8]}"


def run_id(*, uid: str, trigger: str, inputs: str) -> str:
    """Short hash of the owner, what opened the run and what it works on."""
    return _digest(f"{uid}\n{trigger}\n{inputs}")[:10]


def job_name(*, owner: str, uid: str | None, run: str, stage: str, attempt: int) -> str:
    """Name of the Job of one attempt; its pods have it as host name, so it has no dot and begins with a letter.

    Without a uid it is the name that operators before this release gave.
    """
    mark = f"-{_digest(uid)[:8]}" if uid else ""
    return _label(owner, tail=f"-{run}{mark}-{stage}-{attempt}")


def service_name(*, owner: str, uid: str) -> str:
    """Name of the headless Service of one ModelRefresh; one that was made anew does not meet what its namesake left."""
    return _label(owner, tail=f"-nodes-{_digest(uid)[:8]}")


def policy_name(*, owner: str, uid: str, of: str) -> str:
    """Name of a NetworkPolicy for pods of one object's stages."""
    return f"{short(owner, limit=40)}-{of}-{_digest(uid)[:8]}"


def version_name(*, refresh: str, uid: str, digest: str) -> str:
    """Name of the ModelVersion of one sealed candidate; no other refresh has one, however it is called."""
    return f"{short(refresh, limit=41)}-{digest[:8]}-{_digest(uid)[:8]}"


def _label(owner: str, *, tail: str) -> str:
    """An owner's name as the head of a DNS label."""
    head = owner.replace(".", "-")
    head = head if head[0].isalpha() else f"r-{head}"
    # Two owners that were told apart by a dot only stay two.
    head = head if head == owner else f"{head}-{_digest(owner)[:4]}"
    return short(head, limit=_JOB_LIMIT - len(tail)) + tail


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
